"""One alert for each failed run, which says what failed in the words of the step."""

import logging

import dagster as dg

from dvd_rental_pipeline.automation.run_failures import run_failure_alerts
from dvd_rental_pipeline.errors import PipelineError
from dvd_rental_pipeline.resources.alerts import Alert, Alerts

_sent: list[Alert] = []


class KeptAlerts(Alerts):
    """Keeps what is sent."""

    def send(self, alert: Alert, log: logging.Logger) -> bool:
        _sent.append(alert)
        return True


@dg.asset
def refused() -> None:
    raise PipelineError("The bucket is closed.")


@dg.asset
def given_up() -> None:
    raise dg.Failure(description="dbt could not build everything.", allow_retries=False)


job = dg.define_asset_job("nightly", selection="*")
definitions = dg.Definitions(assets=[refused, given_up], jobs=[job], executor=dg.in_process_executor)


def alert_of(job_name: str) -> Alert:
    _sent.clear()
    with dg.DagsterInstance.ephemeral() as instance:
        result = definitions.resolve_job_def(job_name).execute_in_process(
            instance=instance, raise_on_error=False
        )
        context = dg.build_run_status_sensor_context(
            sensor_name="run_failure_alerts",
            dagster_event=result.get_run_failure_event(),
            dagster_instance=instance,
            dagster_run=result.dagster_run,
            resources={"alerts": KeptAlerts(dagster_url="https://dagster.example.com/")},
        ).for_run_failure()
        run_failure_alerts(context)
    (alert,) = _sent
    assert alert.link == f"https://dagster.example.com/runs/{result.run_id}"
    return alert


def test_a_failed_run_is_told_once_with_what_each_step_said() -> None:
    alert = alert_of("nightly")
    assert alert.subject.endswith("of nightly")
    assert set(alert.happened.splitlines()) == {
        "step given_up: dbt could not build everything.",
        "step refused: dvd_rental_pipeline.errors.PipelineError: The bucket is closed.",
    }
    assert not alert.resolved


def test_it_watches_from_the_first_deployment_on() -> None:
    assert run_failure_alerts.default_status is dg.DefaultSensorStatus.RUNNING
