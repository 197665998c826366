"""Conditions are evaluated after something has happened, and only then."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test, freeze_time

from dvd_rental_pipeline.automation.gated_sensor import LONGEST_PAUSE
from dvd_rental_pipeline.core.private_api.dagster import FreshnessState
from dvd_rental_pipeline_tests.automation.history import MIDNIGHT
from dvd_rental_pipeline_tests.automation.sensor_ticks import SensorTicks

SOURCE, MODEL = dg.AssetKey("source"), dg.AssetKey("model")
CHECK = dg.AssetCheckKey(SOURCE, "is_right")
NOTHING = "Nothing has happened since the last evaluation."


@dg.asset(
    key=SOURCE,
    check_specs=[dg.AssetCheckSpec("is_right", asset=SOURCE)],
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=1)),
)
def source() -> dg.MaterializeResult:  # type: ignore[type-arg]
    return dg.MaterializeResult()


@dg.asset(key=MODEL, deps=[SOURCE], automation_condition=dg.AutomationCondition.eager())
def model() -> None: ...


def build_ticks(instance: dg.DagsterInstance) -> SensorTicks:
    return SensorTicks(instance, [source, model])


def is_evaluated(ticks: SensorTicks) -> bool:
    return ticks.tick().skip_message != NOTHING


@pytest.fixture
def ticks(history_folder: Path) -> Iterator[SensorTicks]:
    """A sensor whose last tick found nothing, at a clock that stands still."""
    with dg.DagsterInstance.local_temp(str(history_folder)) as instance, freeze_time(MIDNIGHT):
        ticks = build_ticks(instance)
        assert is_evaluated(ticks), "the first tick of a process evaluates"
        assert not is_evaluated(ticks)
        yield ticks


def _run_ends(ticks: SensorTicks) -> None:
    run = create_run_for_test(ticks.instance, status=dg.DagsterRunStatus.STARTED)
    assert is_evaluated(ticks)
    ticks.instance.report_run_failed(run)


EVENTS: dict[str, Callable[[SensorTicks], object]] = {
    "an asset is materialized": lambda ticks: ticks.instance.report_runless_asset_event(
        dg.AssetMaterialization(SOURCE)
    ),
    "an external asset is observed": lambda ticks: ticks.instance.report_runless_asset_event(
        dg.AssetObservation(SOURCE)
    ),
    "a check is evaluated": lambda ticks: ticks.history.check(CHECK, passed=False),
    "a check is planned": lambda ticks: ticks.history.plan_check(CHECK),
    "a freshness state changes": lambda ticks: ticks.history.freshness([SOURCE], FreshnessState.FAIL),
    "a build begins": lambda ticks: ticks.history.begin_run([MODEL]),
    "a run ends": _run_ends,
    "the cursor is reset": lambda ticks: setattr(ticks, "cursor", None),
}


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_each_kind_of_event_is_followed_by_one_evaluation(
    ticks: SensorTicks, event: Callable[[SensorTicks], object]
) -> None:
    event(ticks)
    assert is_evaluated(ticks)
    assert not is_evaluated(ticks)


def test_deadlines_are_noticed_without_an_event(ticks: SensorTicks) -> None:
    with freeze_time(MIDNIGHT + LONGEST_PAUSE - timedelta(seconds=1)):
        assert not is_evaluated(ticks)
    with freeze_time(MIDNIGHT + LONGEST_PAUSE):
        assert is_evaluated(ticks)
        assert not is_evaluated(ticks)


def test_an_evaluation_requests_runs_with_the_tags_of_the_sensor(ticks: SensorTicks) -> None:
    ticks.instance.report_runless_asset_event(dg.AssetMaterialization(SOURCE))
    (request,) = ticks.tick().run_requests or ()
    assert request.asset_selection == [MODEL]
    assert request.tags["why"] == "inputs"
    assert not ticks.tick().run_requests


def test_a_new_process_evaluates_once(ticks: SensorTicks) -> None:
    other = build_ticks(ticks.instance)
    other.cursor = ticks.cursor
    assert is_evaluated(other)
    assert not is_evaluated(other)
