"""Runs that fail are told to people: once for all runs of a kind, until such runs succeed again."""

import logging
from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
from dagster import DagsterEventType, DagsterRunStatus, RunsFilter

from dvd_rental_pipeline.automation.alert_policy import AlertPolicy
from dvd_rental_pipeline.automation.alert_sensor import Finding, build_alert_sensor
from dvd_rental_pipeline.automation.alerts import Alert, Alerts, Severity
from dvd_rental_pipeline.automation.run_tags import INCIDENT_KEY

OWNER = "team:data_engineering"
"""Who mends a run, whatever it was building."""

# A schedule that fails every quarter of an hour is one story. It is over when nothing has failed for a while.
ALERT_POLICY = AlertPolicy(open_after=timedelta(0), close_after=timedelta(minutes=45))
LOOKED_AT = 100
STARTED_BY = (INCIDENT_KEY, "dagster/schedule_name", "dagster/sensor_name")


def _collect_findings(context: dg.SensorEvaluationContext, alerts: Alerts) -> Iterator[Finding]:
    runs = context.instance.get_runs(
        RunsFilter(statuses=[DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE]), limit=LOOKED_AT
    )
    successes: list[dg.DagsterRun] = []
    seen: set[str] = set()
    for run in runs:  # the newest first
        kind = _kind(run)
        if run.status is DagsterRunStatus.SUCCESS:
            successes.append(run)
        # A run that `dvd-rental run` starts in its own process is told by that command.
        if kind in seen or run.remote_job_origin is None:
            continue
        seen.add(kind)
        mended = run.status is DagsterRunStatus.SUCCESS or any(_covers(other, run) for other in successes)
        yield Finding(
            subject=f"runs of {kind}",
            owner=OWNER,
            problem=None
            if mended
            else f"Run {run.run_id[:8]} failed.\n{_describe_problem(context.instance, run)}",
            link=alerts.run_link(run.run_id),
        )


def send_failure(alerts: Alerts, run_id: str, title: str, happened: str, log: logging.Logger) -> None:
    """Tell people that a run failed which the daemon did not start, and its sensor does not see."""
    alerts.send(
        Alert(
            subject=f"run {run_id[:8]} of {title}",
            happened=happened,
            owner=OWNER,
            link=alerts.run_link(run_id),
            severity=Severity.ERROR,
        ),
        log,
    )


def _kind(run: dg.DagsterRun) -> str:
    """What starts such runs: a schedule, a sensor, or a person who asks for a job or for some assets."""
    starter = next((run.tags[tag] for tag in STARTED_BY if tag in run.tags), None)
    if starter is not None:
        return starter
    if not run.job_name.startswith("__") or not run.asset_selection:
        return run.job_name
    keys = sorted(key.to_user_string() for key in run.asset_selection)
    return keys[0] if len(keys) == 1 else f"{keys[0]} and {len(keys) - 1} more"


def _covers(later: dg.DagsterRun, run: dg.DagsterRun) -> bool:
    """Whether `later`, which succeeded, has built all that `run` was to build."""
    if run.asset_selection is None:
        return later.asset_selection is None and later.job_name == run.job_name
    return later.asset_selection is not None and run.asset_selection <= later.asset_selection


def _describe_problem(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """What each failed step says; for a run without one (its process died), what the run says."""
    steps = instance.all_logs(run.run_id, of_type=DagsterEventType.STEP_FAILURE)
    said = [
        f"step {entry.step_key}: {_reason(entry.dagster_event)}"
        for entry in steps
        if entry.step_key is not None and entry.dagster_event is not None
    ]
    if said:
        return "\n".join(said)
    ends = instance.all_logs(run.run_id, of_type=DagsterEventType.RUN_FAILURE)
    messages = [entry.dagster_event.message for entry in ends if entry.dagster_event is not None]
    return next((message for message in messages if message), "It gives no reason.")


def _reason(event: dg.DagsterEvent) -> str:
    failure = event.step_failure_data
    if failure.user_failure_data and failure.user_failure_data.description:
        return failure.user_failure_data.description
    error = failure.error
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip() if error is not None else "failed"


run_failure_alerts = build_alert_sensor(
    "run_failure_alerts",
    _collect_findings,
    ALERT_POLICY,
    description="Tells people when a run fails, with what each of its steps said, and when none has failed for "
    "45 minutes.",
    runbook="docs/runbook.md#run-failure",
    resolved_text="Such runs succeed again.",
)
