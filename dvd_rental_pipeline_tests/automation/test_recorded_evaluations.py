"""What is recorded of evaluations explains what was requested or held, and does not grow without bound."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from unittest import mock

import dagster as dg
import pytest
from dagster._core.storage.schedules.base import ScheduleStorage
from dagster._core.test_utils import freeze_time

from dvd_rental_pipeline.automation.conditions import AFTER_INPUTS, EVERY_MORNING
from dvd_rental_pipeline.automation.recorded_evaluations import KEPT_FOR, Evaluation
from dvd_rental_pipeline.core.private_api.dagster import SensorExecutionData, get_current_datetime
from dvd_rental_pipeline.core.private_api.dagster_storage import delete_evaluations
from dvd_rental_pipeline_tests.automation.history import at
from dvd_rental_pipeline_tests.automation.sensor_ticks import SensorTicks

CHANGED, UNCHANGED = dg.AssetKey("changed"), dg.AssetKey("unchanged")
MODEL, REPORT = dg.AssetKey("model"), dg.AssetKey("report")
CHECK = dg.AssetCheckKey(CHANGED, "is_right")


@dg.asset(key=CHANGED, check_specs=[dg.AssetCheckSpec("is_right", asset=CHANGED, blocking=True)])
def changed() -> dg.MaterializeResult:  # type: ignore[type-arg]
    return dg.MaterializeResult()


@dg.asset(key=UNCHANGED)
def unchanged() -> None: ...


@dg.asset(key=MODEL, deps=[CHANGED, UNCHANGED], automation_condition=AFTER_INPUTS)
def model() -> None: ...


@dg.asset(key=REPORT, deps=[CHANGED], automation_condition=EVERY_MORNING)
def report() -> None: ...


class RecordedTicks(SensorTicks):
    """Ticks whose evaluations are recorded as the daemon does."""

    number = 0

    def tick(self) -> SensorExecutionData:
        data = super().tick()
        self.number += 1
        self._storage().add_auto_materialize_asset_evaluations(
            self.number, [each.with_run_ids(set()) for each in data.automation_condition_evaluations]
        )
        return data

    def recorded(self, key: dg.AssetKey = MODEL) -> list[Evaluation]:
        """The evaluations of `key`, the latest first."""
        return [
            record.get_evaluation_with_run_ids().evaluation
            for record in self._storage().get_auto_materialize_asset_evaluations(key, limit=10)
        ]

    def _storage(self) -> ScheduleStorage:
        assert self.instance.schedule_storage is not None
        return self.instance.schedule_storage


@pytest.fixture
def ticks(history_folder: Path) -> Iterator[RecordedTicks]:
    """All tables are built, and the first tick has found nothing to do."""
    with dg.DagsterInstance.local_temp(str(history_folder)) as instance:
        ticks = RecordedTicks(instance, [changed, unchanged, model, report])
        ticks.history.build([CHANGED, UNCHANGED, MODEL, REPORT])
        ticks.history.check(CHECK, passed=True)
        assert not ticks.tick().run_requests
        yield ticks


def names(evaluation: Evaluation) -> set[str]:
    return {node.condition_snapshot.name for node in evaluation.iter_nodes()}


def test_an_evaluation_without_a_reason_to_build_is_not_recorded(ticks: RecordedTicks) -> None:
    ticks.history.check(CHECK, passed=True)
    assert not ticks.tick().run_requests
    assert ticks.recorded() == []


def test_a_request_is_recorded_with_the_inputs_that_asked_for_it(ticks: RecordedTicks) -> None:
    ticks.history.build([CHANGED])
    ticks.history.check(CHECK, passed=True)
    assert ticks.tick().run_requests
    (evaluation,) = ticks.recorded()
    assert evaluation.true_subset.size == 1
    assert "changed" in names(evaluation)
    assert "unchanged" not in names(evaluation)


def test_what_is_held_is_recorded_with_what_holds_it(ticks: RecordedTicks) -> None:
    ticks.history.build([CHANGED])
    ticks.history.check(CHECK, passed=False)
    assert not ticks.tick().run_requests
    (evaluation,) = ticks.recorded()
    assert evaluation.true_subset.size == 0
    held = [each for each in evaluation.child_evaluations if each.true_subset.is_empty]
    assert [each.condition_snapshot.class_name for each in held] == ["UpstreamBlockingChecksPassed"]


def test_old_evaluations_are_deleted(ticks: RecordedTicks) -> None:
    ticks.history.build([CHANGED])
    assert ticks.tick().run_requests
    now = get_current_datetime()
    with freeze_time(now + KEPT_FOR - timedelta(hours=1)):
        ticks.tick()
        assert len(ticks.recorded()) == 1
    with freeze_time(now + KEPT_FOR + timedelta(hours=1)):
        ticks.tick()
        assert ticks.recorded() == []


def test_a_report_is_recorded_in_the_morning_alone(history_folder: Path) -> None:
    with dg.DagsterInstance.local_temp(str(history_folder)) as instance:
        with freeze_time(at("04:30")):
            ticks = RecordedTicks(instance, [changed, unchanged, model, report])
            ticks.history.build([CHANGED, UNCHANGED, MODEL, REPORT])
            ticks.tick()
        with freeze_time(at("04:45")):
            instance.report_runless_asset_event(dg.AssetMaterialization(CHANGED))
            ticks.history.check(CHECK, passed=False)
            ticks.tick()
            assert ticks.recorded(REPORT) == [], "an update before the morning is no reason"
        with freeze_time(at("05:15")):
            instance.report_runless_asset_event(dg.AssetMaterialization(CHANGED))
            ticks.tick()
            (evaluation,) = ticks.recorded(REPORT)
    assert evaluation.true_subset.size == 0, "the failed check holds it"


def test_a_storage_that_deletes_by_itself_is_not_asked_to() -> None:
    # As that of Dagster+, which says that it supports evaluations, and refuses this call.
    storage = mock.create_autospec(ScheduleStorage, instance=True)
    storage.supports_auto_materialize_asset_evaluations = True
    delete_evaluations(storage, before=0.0)
    storage.purge_asset_evaluations.assert_not_called()
