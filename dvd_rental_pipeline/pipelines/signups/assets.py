"""The asset of new users in PostgreSQL, its checks, and the schedule that loads it every minute."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import dagster as dg
from dagster import DagsterRunStatus, RunsFilter

from dvd_rental_pipeline.automation.schedules import unfinished_run_of
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.run_tags import CAUSE, INCIDENT_KEY
from dvd_rental_pipeline.core.runbook import FAILED_ROWS, SAMPLE, Section
from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.pipelines.signups.catalog import SIGNUPS
from dvd_rental_pipeline.pipelines.signups.load import load_due_minutes
from dvd_rental_pipeline.pipelines.signups.resources import SignupsApiResource, SignupsDatabaseResource
from dvd_rental_pipeline.pipelines.signups.store import SignupsStore
from dvd_rental_pipeline.pipelines.signups.store_checks import STORE_CHECKS
from dvd_rental_pipeline.quality import durations
from dvd_rental_pipeline.quality.row_checks import check_spec

USERS = dg.AssetKey(["signups_postgres", "users"])
JOB = "signups_load"
KEPT_RUNS = 60
"""How many successful runs of the schedule stay in the run history: those of an hour."""


@dg.asset(
    key=USERS,
    group_name="signups",
    owners=["team:marketing"],
    kinds={"postgresql", "python"},
    tags={"layer": "raw", "domain": "signups", "pii": "true"},
    description="One row per user who signed up, in `signups.users` of PostgreSQL, read from the API and "
    "validated. Invalid records are in `signups.rejected_records`, without their values.",
    freshness_policy=dg.FreshnessPolicy.time_window(
        warn_window=timedelta(minutes=5), fail_window=timedelta(minutes=15)
    ),
    check_specs=[
        check_spec(USERS, check.name, check.description, Section.NEW_USERS, blocking=False)
        for check in STORE_CHECKS
    ],
)
def signups_postgres_users(
    context: dg.AssetExecutionContext,
    signups_api: SignupsApiResource,
    signups_database: SignupsDatabaseResource,
) -> dg.MaterializeResult:  # type: ignore[type-arg]
    try:
        with signups_database.open() as store, signups_api.open(context.log.warning) as client:
            report = load_due_minutes(
                store,
                client,
                durations.utc_now(),
                batch_size=signups_api.batch_size,
                nationalities=signups_api.nationalities,
                log=context.log.info,
            )
            checks = _evaluate(store)
    except PipelineError as error:
        # The message is for the user; a traceback would hide it.
        raise dg.Failure(description=str(error), allow_retries=False) from None
    return dg.MaterializeResult(
        metadata={
            "minutes_loaded": report.minutes,
            "minutes_due": report.minutes_due,
            "last_minute": report.last_minute.isoformat() if report.last_minute else "none",
            "users_received": report.rows.received,
            "users_inserted": report.rows.inserted,
            "users_updated": report.rows.updated,
            "records_rejected": report.rows.rejected,
        },
        check_results=checks,
    )


def _evaluate(store: SignupsStore) -> Sequence[dg.AssetCheckResult]:
    results = []
    for check in STORE_CHECKS:
        problem = check.find_problem(store)
        metadata: dict[str, Any] = {FAILED_ROWS: problem.rows if problem else 0}
        if problem and problem.sample:
            rows = [{name: str(value) for name, value in row.items()} for row in problem.sample]
            metadata[SAMPLE] = dg.MetadataValue.table([dg.TableRecord(row) for row in rows])
        results.append(
            dg.AssetCheckResult(
                check_name=check.name,
                passed=problem is None,
                # A warning: what has been loaded is valid, and no further table should wait for it.
                severity=dg.AssetCheckSeverity.WARN,
                description=problem.text if problem else None,
                metadata=metadata,
            )
        )
    return results


@dg.schedule(
    name=JOB,
    job_name=JOB,
    cron_schedule="* * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Loads new users every minute, unless a load is still running; a load catches up what was "
    "missed. Start the first load yourself.",
)
def signups_load_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    instance = context.instance
    if instance.get_latest_materialization_event(USERS) is None:
        return dg.SkipReason("No user was ever loaded. Start the first run yourself; the schedule follows it.")
    running = unfinished_run_of(instance, USERS, {JOB, SIGNUPS.name})
    if running is not None:
        return dg.SkipReason(f"Run {running[:8]} is still loading, or is queued to.")
    delete_old_runs(instance)
    return dg.RunRequest(tags={CAUSE: "schedule", INCIDENT_KEY: JOB})


def delete_old_runs(instance: dg.DagsterInstance, keep: int = KEPT_RUNS, at_most: int = 10) -> None:
    """Delete the oldest successful runs of the schedule beyond `keep`, `at_most` of them at a time.

    Failed runs stay, and so do the last results of the asset and its checks.
    """
    successful = RunsFilter(job_name=JOB, statuses=[DagsterRunStatus.SUCCESS], tags={CAUSE: "schedule"})
    records = instance.get_run_records(successful, limit=keep + at_most)
    # SQLAlchemy takes a third of a second to import.
    from dvd_rental_pipeline.core.private_api.dagster_storage import (  # noqa: PLC0415
        LocalComputeLogManager,
        delete_check_results,
    )

    for run_id in (record.dagster_run.run_id for record in records[keep:]):
        # Another process may have deleted it.
        with suppress(dg.DagsterRunNotFoundError):
            instance.delete_run(run_id)
            delete_check_results(instance.event_log_storage, run_id)
            # A bucket has rules of its own for old logs, and the pipeline may have no right to delete there.
            if isinstance(instance.compute_log_manager, LocalComputeLogManager):
                instance.compute_log_manager.delete_logs(prefix=[run_id])


def build_definitions(_: Settings) -> dg.Definitions:
    """The asset, its job and its schedule."""
    return dg.Definitions(
        assets=[signups_postgres_users],
        jobs=[
            dg.define_asset_job(
                JOB,
                selection=[USERS],
                description="Load the minutes of new users since the last load into PostgreSQL.",
            )
        ],
        schedules=[signups_load_schedule],
    )
