"""Jobs, and when they run."""

import dagster as dg
from dagster import DagsterRunStatus, RunsFilter

from dvd_rental_pipeline.automation.freshness import SYNC_CRON
from dvd_rental_pipeline.automation.run_tags import CAUSE, INCIDENT_KEY
from dvd_rental_pipeline.core.private_api.dagster import UnresolvedAssetJobDefinition
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL

UNFINISHED = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]

_raw_tables = dg.AssetSelection.key_prefixes(DVD_RENTAL.name)

dvd_rental_job = dg.define_asset_job(
    "dvd_rental",
    # The report on the checks is downstream of nothing, so that nothing that fails can skip it.
    selection=_raw_tables.downstream().materializable() | dg.AssetSelection.assets(["site", "checks"]),
    description="Replicate the DVD rental database, then build every model, report and check on it.",
)

SYNC_JOB = "dvd_rental_sync"


def build_sync_job(data_lag: dg.AssetChecksDefinition | None = None) -> UnresolvedAssetJobDefinition:
    """The job of the schedule: the raw tables with their checks, and those of what the models make of them."""
    # What is built on the tables waits for their checks.
    selection: dg.AssetSelection = _raw_tables
    if data_lag is not None:
        selection |= dg.AssetSelection.checks(data_lag)
    return dg.define_asset_job(
        SYNC_JOB,
        selection=selection,
        description="Replicate the DVD rental database and check the tables, and how old the data of all the "
        "others are; the models follow by themselves.",
    )


@dg.schedule(
    name=SYNC_JOB,
    job_name=SYNC_JOB,
    cron_schedule=SYNC_CRON,
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every 15 minutes, unless a sync is still running. The first sync ever is a person's decision.",
)
def sync_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Ask for a sync, unless nobody has ever asked for one or one is under way."""
    leader = dg.AssetKey([DVD_RENTAL.name, DVD_RENTAL.leader.name])
    if context.instance.get_latest_materialization_event(leader) is None:
        return dg.SkipReason(
            "The source was never replicated. Start that yourself, as it copies every table: materialize all "
            "in the asset graph, or `dvd-rental run`. From then on changes are fetched by themselves."
        )
    running = _unfinished_run_of(context.instance, leader)
    if running is not None:
        return dg.SkipReason(f"Run {running[:8]} is still syncing, or waits to.")
    return dg.RunRequest(tags={CAUSE: "schedule", INCIDENT_KEY: SYNC_JOB})


def _unfinished_run_of(instance: dg.DagsterInstance, key: dg.AssetKey) -> str | None:
    """The id of a run that is to materialize `key` and has not ended, however it was started."""
    for run in instance.get_runs(RunsFilter(statuses=UNFINISHED)):
        # A run of a whole job names no assets.
        if run.asset_selection is None or key in run.asset_selection:
            return run.run_id
    return None
