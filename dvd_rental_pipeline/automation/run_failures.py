"""Every run that fails is told to people, once."""

import logging

import dagster as dg

from dvd_rental_pipeline.resources.alerts import Alert, Alerts, Severity

OWNER = "team:data_engineering"
"""Who mends a run, whatever it was building."""


@dg.run_failure_sensor(
    name="run_failure_alerts",
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Sends one alert for each run that fails, with the failures of its steps in words.",
)
def run_failure_alerts(context: dg.RunFailureSensorContext, alerts: Alerts) -> None:
    """Send one alert for the failed run of `context`."""
    run = context.dagster_run
    send_failure(alerts, run.run_id, _title(run), _in_words(context), context.log)


def send_failure(alerts: Alerts, run_id: str, title: str, happened: str, log: logging.Logger) -> None:
    """Tell people that a run failed. The sensor sees the runs that Dagster launched, and no others."""
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


def _title(run: dg.DagsterRun) -> str:
    """The job, or for a run that the UI or an automation made up, its assets."""
    if not run.job_name.startswith("__") or not run.asset_selection:
        return run.job_name
    keys = sorted(key.to_user_string() for key in run.asset_selection)
    return keys[0] if len(keys) == 1 else f"{keys[0]} and {len(keys) - 1} more"


def _in_words(context: dg.RunFailureSensorContext) -> str:
    """What each failed step says; for a run without one (its process died), what the run says."""
    said = [
        f"step {event.step_key}: {_reason(event)}"
        for event in context.get_step_failure_events()
        if event.step_key is not None
    ]
    return "\n".join(said) or context.failure_event.message or "The run failed and gives no reason."


def _reason(event: dg.DagsterEvent) -> str:
    failure = event.step_failure_data
    if failure.user_failure_data and failure.user_failure_data.description:
        return failure.user_failure_data.description
    error = failure.error
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip() if error is not None else "failed"
