"""Alerts when runs fail: one per kind of run, until a run of that kind succeeds again."""

import logging
from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
from dagster import DagsterEventType, DagsterRunStatus, RunsFilter

from dvd_rental_pipeline.automation.alert_policy import AlertPolicy
from dvd_rental_pipeline.automation.alert_sensor import Finding, build_alert_sensor
from dvd_rental_pipeline.automation.alerts import Alert, Alerts, Severity
from dvd_rental_pipeline.automation.failure_messages import step_failure_message
from dvd_rental_pipeline.core.run_tags import INCIDENT_KEY

OWNER = "team:data_engineering"
"""The team that fixes runs, whatever they build."""

# A schedule that fails every 15 minutes is one incident. It is resolved when nothing has failed for a while.
ALERT_POLICY = AlertPolicy(open_after=timedelta(0), close_after=timedelta(minutes=45))
EXAMINED_RUNS = 100
STARTED_BY = (INCIDENT_KEY, "dagster/schedule_name", "dagster/sensor_name")


def _collect_findings(context: dg.SensorEvaluationContext, alerts: Alerts) -> Iterator[Finding]:
    runs = context.instance.get_runs(
        RunsFilter(statuses=[DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE]), limit=EXAMINED_RUNS
    )
    successes: list[dg.DagsterRun] = []
    seen: set[str] = set()
    for run in runs:  # newest first
        kind = _kind(run)
        if run.status is DagsterRunStatus.SUCCESS:
            successes.append(run)
        # `dvd-rental run` reports the failure of its own run.
        if kind in seen or run.remote_job_origin is None:
            continue
        seen.add(kind)
        succeeded = run.status is DagsterRunStatus.SUCCESS or any(_covers(other, run) for other in successes)
        problem = None if succeeded else f"Run {run.run_id[:8]} failed.\n{_reasons(context.instance, run)}"
        yield Finding(subject=f"runs of {kind}", owner=OWNER, problem=problem, link=alerts.run_link(run.run_id))


def send_failure(alerts: Alerts, run_id: str, title: str, happened: str, log: logging.Logger) -> None:
    """Send an alert for a failed run that the daemon did not start, which the sensor leaves out."""
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
    """What starts such runs: a schedule, a sensor, or a person who launches a job or some assets."""
    starter = next((run.tags[tag] for tag in STARTED_BY if tag in run.tags), None)
    if starter is not None:
        return starter
    if not run.job_name.startswith("__") or not run.asset_selection:
        return run.job_name
    keys = sorted(key.to_user_string() for key in run.asset_selection)
    return keys[0] if len(keys) == 1 else f"{keys[0]} and {len(keys) - 1} more"


def _covers(later: dg.DagsterRun, run: dg.DagsterRun) -> bool:
    """Whether `later`, which succeeded, built everything that `run` was launched for."""
    if run.asset_selection is None:
        return later.asset_selection is None and later.job_name == run.job_name
    return later.asset_selection is not None and run.asset_selection <= later.asset_selection


def _reasons(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """Why each failed step failed; for a run without one (its process died), the run's own message."""
    steps = instance.all_logs(run.run_id, of_type=DagsterEventType.STEP_FAILURE)
    reasons = [
        f"step {entry.step_key}: {step_failure_message(entry.dagster_event)}"
        for entry in steps
        if entry.step_key is not None and entry.dagster_event is not None
    ]
    if reasons:
        return "\n".join(reasons)
    ends = instance.all_logs(run.run_id, of_type=DagsterEventType.RUN_FAILURE)
    messages = [entry.dagster_event.message for entry in ends if entry.dagster_event is not None]
    return next((message for message in messages if message), "No reason was recorded.")


run_failure_alerts = build_alert_sensor(
    "run_failure_alerts",
    _collect_findings,
    ALERT_POLICY,
    description="Alerts when a run fails, with the reason of each failed step, and when none has failed for 45 "
    "minutes.",
    runbook="docs/runbook.md#run-failure",
    resolved_text="Such runs succeed again.",
)
