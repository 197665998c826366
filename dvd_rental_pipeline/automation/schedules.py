"""The jobs of a pipeline that is replicated by change data capture, and the schedule of its sync."""

from collections.abc import Collection, Sequence

import dagster as dg
from dagster import DagsterRunStatus, RunsFilter

from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.core.private_api.dagster import UnresolvedAssetJobDefinition
from dvd_rental_pipeline.core.run_tags import CAUSE, INCIDENT_KEY
from dvd_rental_pipeline.ingestion.asset_keys import leader_key

UNFINISHED = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.SUSPENDED,
    DagsterRunStatus.CANCELING,
]


def sync_job_name(domain: Domain) -> str:
    """Name of the job and of the schedule that sync `domain`."""
    return f"{domain.name}_sync"


def raw_tables(domain: Domain) -> dg.AssetSelection:
    """The raw tables of `domain`."""
    return dg.AssetSelection.key_prefixes([domain.name])


def build_whole_job(
    domain: Domain,
    others: Collection[str],
    always: dg.AssetSelection,
    fillers: Sequence[dg.AssetKey] = (),
) -> UnresolvedAssetJobDefinition:
    """A job that syncs `domain` and builds everything that depends on it alone, and the assets of `always`.

    `others` are the schemas of other pipelines: what depends on their tables as well is built by sensors once
    both exist. `always` is for assets that are downstream of nothing, so that no failure can skip them.
    `fillers` write the tables of the source, and are built first.
    """
    own: dg.AssetSelection = raw_tables(domain).downstream() | dg.AssetSelection.assets(*fillers)
    if others:
        own -= dg.AssetSelection.key_prefixes(*others).downstream()
    return dg.define_asset_job(
        domain.name,
        selection=own.materializable() | always,
        description=f"Replicate {domain.name}, then build every model, report and check that depends on it "
        "alone.",
    )


def build_sync_job(domain: Domain, also: dg.AssetSelection | None = None) -> UnresolvedAssetJobDefinition:
    """The job of the schedule: the raw tables with their checks, and `also`.

    That is what every sync asks for, and what would take a run of its own: the checks of data lag downstream,
    and the check report.
    """
    return dg.define_asset_job(
        sync_job_name(domain),
        selection=raw_tables(domain) if also is None else raw_tables(domain) | also,
        description=f"Replicate {domain.name}, check its raw tables and the data lag of the tables built from "
        "them, and publish the check report. The models follow automatically.",
    )


def build_sync_schedule(domain: Domain, cron: str) -> dg.ScheduleDefinition:
    """The schedule of `domain`'s sync: never the first sync, and never two at once."""
    name = sync_job_name(domain)
    leader = leader_key(domain)

    @dg.schedule(
        name=name,
        job_name=name,
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Syncs {domain.name}, unless a sync is still running. Start the first sync yourself.",
    )
    def sync_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if context.instance.get_latest_materialization_event(leader) is None:
            return dg.SkipReason(
                "The source has never been replicated. Start the first run yourself, since it copies every "
                "table: *Materialize all* in the asset graph, or `dvd-rental run`. After that, changes are "
                "synced on schedule."
            )
        running = unfinished_run_of(context.instance, leader, {domain.name, name})
        if running is not None:
            return dg.SkipReason(f"Run {running[:8]} is still syncing, or is queued to.")
        return dg.RunRequest(tags={CAUSE: "schedule", INCIDENT_KEY: name})

    return sync_schedule


def unfinished_run_of(instance: dg.DagsterInstance, key: dg.AssetKey, jobs: Collection[str]) -> str | None:
    """The id of an unfinished run that will materialize `key`, however it was started.

    `jobs` are those that contain `key`: a run of a whole job names no assets.
    """
    for run in instance.get_runs(RunsFilter(statuses=UNFINISHED)):
        if run.job_name in jobs if run.asset_selection is None else key in run.asset_selection:
            return run.run_id
    return None
