"""Failed runs are one incident per kind of run: one alert with the reasons, and one when it is resolved."""

import logging
from collections.abc import Iterator, Sequence

import dagster as dg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run_iterator
from dagster._core.remote_origin import (
    InProcessCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from dvd_rental_pipeline.automation import alert_sensor
from dvd_rental_pipeline.automation.alerts import Alert, Alerts
from dvd_rental_pipeline.automation.run_failures import run_failure_alerts
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.private_api.dagster import UnresolvedAssetJobDefinition

LOCATION = InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name="nowhere"), location_name="here")
REPOSITORY = RemoteRepositoryOrigin(LOCATION, "__repository__")

_sent: list[Alert] = []
_broken: set[str] = set()


class RecordedAlerts(Alerts):
    """Records what is sent."""

    def send(self, alert: Alert, log: logging.Logger) -> bool:
        _sent.append(alert)
        return True


@dg.asset
def film() -> None:
    if "film" in _broken:
        raise PipelineError("The bucket is closed.")


@dg.asset
def rental() -> None:
    if "rental" in _broken:
        raise dg.Failure(description="dbt could not build everything.", allow_retries=False)


nightly = dg.define_asset_job("nightly", selection="*")
films = dg.define_asset_job("films", selection="film")
definitions = dg.Definitions(assets=[film, rental], jobs=[nightly, films], executor=dg.in_process_executor)


class Runs:
    """Runs on an instance, as the daemon launches them, and the alerts about them."""

    def __init__(self, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
        self.instance, self.now = instance, 1_000_000.0
        self.cursor: str | None = None
        monkeypatch.setattr(alert_sensor, "_now", lambda: self.now)

    def run(self, job: UnresolvedAssetJobDefinition, *, launched: bool = True, **tags: str) -> str:
        definition = definitions.resolve_job_def(job.name)
        run = self.instance.create_run_for_job(
            definition,
            tags=tags,
            remote_job_origin=RemoteJobOrigin(REPOSITORY, job.name) if launched else None,
        )
        list(execute_run_iterator(InMemoryJob(definition), run, self.instance))
        return run.run_id

    def evaluate(self, after_minutes: float = 1) -> Sequence[Alert]:
        _sent.clear()
        self.now += after_minutes * 60
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            resources={"alerts": RecordedAlerts(dagster_url="https://dagster.example.com/")},
        )
        self.cursor = run_failure_alerts.evaluate_tick(context).cursor
        return list(_sent)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Runs]:
    _broken.clear()
    with dg.DagsterInstance.ephemeral() as instance:
        yield Runs(instance, monkeypatch)


def test_failed_runs_send_one_alert_with_reasons_and_one_when_resolved(runs: Runs) -> None:
    _broken.update({"film", "rental"})
    first = runs.run(nightly)
    (alert,) = runs.evaluate()
    assert alert.subject == "runs of nightly"
    assert set(alert.happened.splitlines()) >= {
        f"Run {first[:8]} failed.",
        "step rental: dbt could not build everything.",
        "step film: dvd_rental_pipeline.core.errors.PipelineError: The bucket is closed.",
    }
    assert alert.owner == "team:data_engineering"
    assert alert.link == f"https://dagster.example.com/runs/{first}"
    runs.run(nightly)
    assert runs.evaluate(15) == [], "the same incident"
    _broken.clear()
    runs.run(nightly)
    assert runs.evaluate(15) == []
    (resolved,) = runs.evaluate(45)
    assert resolved.resolved
    assert resolved.subject == alert.subject
    assert runs.evaluate(600) == []


def test_flapping_runs_are_one_incident(runs: Runs) -> None:
    sent = []
    for _ in range(4):
        _broken.add("film")
        runs.run(films)
        sent += runs.evaluate(15)
        _broken.clear()
        runs.run(films)
        sent += runs.evaluate(15)
    sent += runs.evaluate(45)
    assert [alert.resolved for alert in sent] == [False, True]


def test_each_schedule_and_sensor_is_an_incident_of_its_own(runs: Runs) -> None:
    _broken.add("film")
    runs.run(films, **{"dagster/schedule_name": "every_hour"})
    runs.run(films, **{"dagster/sensor_name": "after_all"})
    (alert,) = runs.evaluate()
    assert alert.subject == "runs of after_all and 1 more"
    assert "runs of every_hour: Run" in alert.happened
    _broken.clear()
    runs.run(films, **{"dagster/sensor_name": "after_all"})
    runs.evaluate()
    (resolved,) = runs.evaluate(45)
    assert set(resolved.happened.splitlines()) >= {"runs of after_all: Such runs succeed again."}


def test_a_run_of_the_command_line_sends_nothing(runs: Runs) -> None:
    _broken.add("film")
    runs.run(nightly, launched=False)
    assert runs.evaluate() == []


def test_successful_runs_send_nothing(runs: Runs) -> None:
    runs.run(nightly)
    runs.run(films)
    assert runs.evaluate() == []
    assert runs.cursor == "{}"


def test_the_sensor_runs_by_default() -> None:
    assert run_failure_alerts.default_status is dg.DefaultSensorStatus.RUNNING
