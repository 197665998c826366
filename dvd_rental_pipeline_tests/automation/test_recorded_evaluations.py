"""What is recorded of evaluations explains what was requested or held, and does not grow without bound."""

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
import pytest
from dagster._core.test_utils import freeze_time

from dvd_rental_pipeline.automation.conditions import AFTER_INPUTS
from dvd_rental_pipeline.automation.gated_sensor import GatedConditionSensor
from dvd_rental_pipeline.automation.recorded_evaluations import KEPT_FOR, Evaluation
from dvd_rental_pipeline.core.private_api.dagster import SensorExecutionData, get_current_datetime
from dvd_rental_pipeline_tests.automation.history import History

CHANGED, UNCHANGED, MODEL = dg.AssetKey("changed"), dg.AssetKey("unchanged"), dg.AssetKey("model")
CHECK = dg.AssetCheckKey(CHANGED, "is_right")


@dg.asset(key=CHANGED, check_specs=[dg.AssetCheckSpec("is_right", asset=CHANGED, blocking=True)])
def changed() -> dg.MaterializeResult:  # type: ignore[type-arg]
    return dg.MaterializeResult()


@dg.asset(key=UNCHANGED)
def unchanged() -> None: ...


@dg.asset(key=MODEL, deps=[CHANGED, UNCHANGED], automation_condition=AFTER_INPUTS)
def model() -> None: ...


class Ticks:
    """The ticks of one sensor, whose evaluations are recorded as the daemon does."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.sensor = GatedConditionSensor(
            "models", target=dg.AssetSelection.all(), run_tags={}, description="Builds models."
        )
        self.definitions = dg.Definitions(assets=[changed, unchanged, model], sensors=[self.sensor])
        self.history = History(self.definitions, instance)
        self.instance, self.cursor, self.number = instance, None, 0

    def tick(self) -> SensorExecutionData:
        context = dg.build_sensor_context(
            self.instance, cursor=self.cursor, repository_def=self.definitions.get_repository_def()
        )
        data = self.sensor.evaluate_tick(context)
        self.cursor = data.cursor
        self.number += 1
        storage = self.instance.schedule_storage
        assert storage is not None
        storage.add_auto_materialize_asset_evaluations(
            self.number, [each.with_run_ids(set()) for each in data.automation_condition_evaluations]
        )
        return data

    def recorded(self) -> list[Evaluation]:
        """The evaluations of the model, the latest first."""
        storage = self.instance.schedule_storage
        assert storage is not None
        return [
            record.get_evaluation_with_run_ids().evaluation
            for record in storage.get_auto_materialize_asset_evaluations(MODEL, limit=10)
        ]


@pytest.fixture
def ticks() -> Iterator[Ticks]:
    """All tables are built, and the first tick has found nothing to do."""
    with dg.DagsterInstance.local_temp() as instance:
        ticks = Ticks(instance)
        for key in (CHANGED, UNCHANGED, MODEL):
            instance.report_runless_asset_event(dg.AssetMaterialization(key))
        ticks.history.check(CHECK, passed=True)
        assert not ticks.tick().run_requests
        yield ticks


def names(evaluation: Evaluation) -> set[str]:
    return {node.condition_snapshot.name for node in evaluation.iter_nodes()}


def test_an_evaluation_without_a_reason_to_build_is_not_recorded(ticks: Ticks) -> None:
    ticks.history.check(CHECK, passed=True)
    assert not ticks.tick().run_requests
    assert ticks.recorded() == []


def test_a_request_is_recorded_with_the_inputs_that_asked_for_it(ticks: Ticks) -> None:
    ticks.instance.report_runless_asset_event(dg.AssetMaterialization(CHANGED))
    ticks.history.check(CHECK, passed=True)
    assert ticks.tick().run_requests
    (evaluation,) = ticks.recorded()
    assert evaluation.true_subset.size == 1
    assert "changed" in names(evaluation)
    assert "unchanged" not in names(evaluation)


def test_what_is_held_is_recorded_with_what_holds_it(ticks: Ticks) -> None:
    ticks.instance.report_runless_asset_event(dg.AssetMaterialization(CHANGED))
    ticks.history.check(CHECK, passed=False)
    assert not ticks.tick().run_requests
    (evaluation,) = ticks.recorded()
    assert evaluation.true_subset.size == 0
    held = [each for each in evaluation.child_evaluations if each.true_subset.is_empty]
    assert [each.condition_snapshot.class_name for each in held] == ["UpstreamBlockingChecksPassed"]


def test_old_evaluations_are_deleted(ticks: Ticks) -> None:
    ticks.instance.report_runless_asset_event(dg.AssetMaterialization(CHANGED))
    assert ticks.tick().run_requests
    now = get_current_datetime()
    with freeze_time(now + KEPT_FOR - timedelta(hours=1)):
        ticks.tick()
        assert len(ticks.recorded()) == 1
    with freeze_time(now + KEPT_FOR + timedelta(hours=1)):
        ticks.tick()
        assert ticks.recorded() == []
