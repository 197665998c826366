"""What the automation conditions request over written histories: once per cause, and nothing without one."""

from collections import defaultdict
from datetime import datetime
from typing import Any

import dagster as dg
import pytest
from dagster import DagsterRunStatus

from dvd_rental_pipeline.automation.conditions import LAYER_CONDITIONS, after_any_of
from dvd_rental_pipeline.core.private_api.dagster import FreshnessState
from dvd_rental_pipeline_tests.automation.history import History, at

SOURCE, MODELS, REPORTS = "dvd_rental_catch_up", "models_follow_source", "reports_every_morning"
PAYMENT = dg.AssetKey(["dvd_rental", "payment"])
RENTAL = dg.AssetKey(["dvd_rental", "rental"])
FACT = dg.AssetKey(["marts", "fct_payment"])


@pytest.fixture
def night(history: History) -> History:
    """Everything is built, every check passes, and each sensor has been evaluated."""
    history.build(history.keys("raw", "staging", "snapshots", "marts", "reports", "site"))
    for sensor in (SOURCE, MODELS, REPORTS):
        assert history.tick(sensor, at("04:00").replace(second=30)) == set()
    return history


def layers(keys: set[dg.AssetKey]) -> set[str]:
    return {key.path[0] for key in keys}


def blocking_check(history: History, key: dg.AssetKey) -> dg.AssetCheckKey:
    checks = history.graph.get_check_keys_for_assets({key})
    return next(check for check in sorted(checks) if history.graph.get(check).blocking)


def models_of(history: History) -> set[dg.AssetKey]:
    return set(history.keys("staging", "snapshots", "marts"))


def test_nothing_is_requested_in_an_empty_home(history: History) -> None:
    for sensor in (SOURCE, MODELS, REPORTS):
        for clock in ("04:00", "05:00", "05:30"):
            assert history.tick(sensor, at(clock)) == set()


def test_nothing_is_requested_when_nothing_changed(night: History) -> None:
    for clock in ("04:01", "04:30", "04:59"):
        for sensor in (SOURCE, MODELS, REPORTS):
            assert night.tick(sensor, at(clock)) == set()


def test_a_sync_requests_all_models_once_in_one_run(night: History) -> None:
    night.build(night.keys("raw"))
    assert night.tick(MODELS, at("04:10")) == models_of(night)
    assert night.tick(MODELS, at("04:11")) == set()
    night.build(night.keys("staging", "snapshots", "marts"))
    assert night.tick(MODELS, at("04:12")) == set()


def test_a_sync_without_changes_requests_models_at_the_half_hour_alone(night: History) -> None:
    for clock in ("04:10", "04:25"):
        night.build(night.keys("raw"), changed=False)
        assert night.tick(MODELS, at(clock)) == set()
    assert night.tick(MODELS, at("04:30")) == models_of(night), "so that they stay fresh"
    assert night.tick(MODELS, at("04:31")) == set()
    night.build(night.keys("staging", "snapshots", "marts"), changed=False)
    assert night.tick(MODELS, at("05:00")) == set(), "no input was updated"
    night.build(night.keys("raw"), changed=False)
    assert night.tick(MODELS, at("05:01")) == models_of(night)


def test_a_change_before_a_sync_without_changes_is_not_missed(night: History) -> None:
    night.build(night.keys("raw"))
    night.build(night.keys("raw"), changed=False)
    assert night.tick(MODELS, at("04:10")) == models_of(night)
    run = night.begin_run(models_of(night))
    assert night.tick(MODELS, at("04:11")) == set()
    night.instance.report_run_failed(night.instance.get_run_by_id(run.run_id) or run)
    night.build(night.keys("raw"), changed=False)
    assert night.tick(MODELS, at("04:16")) == models_of(night), "the failed run has not built them"


def test_a_change_of_one_table_requests_its_readers_alone(night: History) -> None:
    night.build([key for key in night.keys("raw") if key != PAYMENT], changed=False)
    night.build([PAYMENT])
    requested = night.tick(MODELS, at("04:10"))
    readers = dg.AssetSelection.assets(PAYMENT).downstream().resolve(night.graph) & models_of(night)
    assert FACT in readers
    assert requested == readers


def test_models_wait_for_running_syncs_and_builds(night: History) -> None:
    night.build(night.keys("raw"))
    sync = night.begin_run(night.keys("raw"))
    assert night.tick(MODELS, at("04:10")) == set(), "a sync is running"
    night.build(night.keys("raw"))
    night.instance.report_run_canceled(sync)
    assert night.tick(MODELS, at("04:11")) == models_of(night), "two syncs, one run"
    run = night.begin_run(models_of(night))
    night.build(night.keys("raw"))
    assert night.tick(MODELS, at("04:12")) == set(), "the models are being built"
    night.build(night.keys("staging", "snapshots", "marts"))
    night.build(night.keys("raw"))
    night.instance.report_run_canceled(run)
    assert night.tick(MODELS, at("04:13")) == models_of(night), "the sync in between is not missed"
    assert night.tick(MODELS, at("04:14")) == set()


def test_a_sync_right_after_a_request_is_not_missed(night: History) -> None:
    night.build(night.keys("raw"))
    assert night.tick(MODELS, at("04:10")) == models_of(night)
    night.build(night.keys("staging", "snapshots", "marts"))
    night.build(night.keys("raw"))
    assert night.tick(MODELS, at("04:11")) == models_of(night), "newer than what the request has built"
    assert night.tick(MODELS, at("04:12")) == set()


def test_models_that_fail_are_not_requested_again_without_an_update(night: History) -> None:
    night.build(night.keys("raw"))
    assert night.tick(MODELS, at("04:10")) == models_of(night)
    run = night.begin_run(models_of(night))
    assert night.tick(MODELS, at("04:11")) == set()
    night.instance.report_run_failed(night.instance.get_run_by_id(run.run_id) or run)
    for clock in ("04:12", "04:20"):
        assert night.tick(MODELS, at(clock)) == set()
    night.build(night.keys("raw"))
    assert night.tick(MODELS, at("04:25")) == models_of(night)


def test_a_failed_raw_check_holds_its_readers_until_a_sync_passes(night: History) -> None:
    check = blocking_check(night, PAYMENT)
    night.build(night.keys("raw"), failing=[check])
    requested = night.tick(MODELS, at("04:10"))
    payments = dg.AssetKey(["staging", "stg_dvd_rental__payment"])
    held = {payments, *dg.AssetSelection.assets(payments).downstream().resolve(night.graph)} & models_of(night)
    assert FACT in held
    assert held & requested == set()
    assert dg.AssetKey(["staging", "stg_dvd_rental__film"]) in requested, (
        "readers of other tables are requested"
    )
    night.build([key for key in night.keys("staging", "snapshots", "marts") if key in requested])
    for clock in ("04:11", "04:20"):
        assert night.tick(MODELS, at(clock)) == set()
    night.build(night.keys("raw"))
    assert night.tick(MODELS, at("04:25")) >= held, "the fix releases it"


def test_views_built_manually_do_not_release_readers_of_a_failed_table(night: History) -> None:
    film, versions = dg.AssetKey(["dvd_rental", "film"]), dg.AssetKey(["snapshots", "film_versions"])
    check = blocking_check(night, film)
    night.build(night.keys("raw"), failing=[check])
    requested = night.tick(MODELS, at("04:10"))
    assert versions not in requested
    # Two views between the table and the snapshot, whose own checks all pass.
    night.build([*requested, *night.keys("staging")])
    for clock in ("04:11", "04:20"):
        assert versions not in night.tick(MODELS, at(clock)), "the fault shows through the views"
    night.check(check, passed=True)
    assert versions in night.tick(MODELS, at("04:21"))


def test_a_check_that_passes_again_releases_without_a_sync(night: History) -> None:
    check = blocking_check(night, PAYMENT)
    night.build(night.keys("raw"), failing=[check])
    requested = night.tick(MODELS, at("04:10"))
    night.build([key for key in night.keys("staging", "snapshots", "marts") if key in requested])
    night.check(check, passed=True)
    assert FACT in night.tick(MODELS, at("04:11"))
    assert night.tick(MODELS, at("04:12")) == set()


def test_a_late_source_requests_one_sync_of_all_its_tables(night: History) -> None:
    night.freshness(night.keys("raw"), FreshnessState.PASS)
    assert night.tick(SOURCE, at("04:45")) == set()
    night.freshness([PAYMENT], FreshnessState.FAIL)
    assert night.tick(SOURCE, at("04:46")) == set(night.keys("raw"))
    night.freshness([RENTAL], FreshnessState.FAIL)
    for clock in ("04:47", "04:48", "05:30"):
        assert night.tick(SOURCE, at(clock)) == set(), "one request, however long it is late"


def test_a_source_late_during_a_sync_is_caught_up_if_that_fails(night: History) -> None:
    night.freshness([PAYMENT], FreshnessState.PASS)
    assert night.tick(SOURCE, at("04:40")) == set()
    sync = night.begin_run(night.keys("raw"))
    night.freshness([PAYMENT], FreshnessState.FAIL)
    assert night.tick(SOURCE, at("04:46")) == set(), "the sync may still succeed"
    night.instance.report_run_failed(sync)
    assert night.instance.get_run_by_id(sync.run_id).status is DagsterRunStatus.FAILURE  # type: ignore[union-attr]
    assert night.tick(SOURCE, at("04:47")) == set(night.keys("raw"))
    assert night.tick(SOURCE, at("04:48")) == set()


def test_a_sync_that_succeeds_late_requests_no_other(night: History) -> None:
    night.freshness([PAYMENT], FreshnessState.PASS)
    assert night.tick(SOURCE, at("04:40")) == set()
    sync = night.begin_run(night.keys("raw"))
    night.freshness([PAYMENT], FreshnessState.FAIL)
    assert night.tick(SOURCE, at("04:46")) == set()
    night.build(night.keys("raw"))
    night.freshness([PAYMENT], FreshnessState.PASS)
    night.instance.report_run_canceled(sync)
    assert night.tick(SOURCE, at("04:47")) == set()


def test_a_source_that_is_late_again_is_caught_up_again(night: History) -> None:
    for clock in ("04:00", "06:00"):
        night.freshness([PAYMENT], FreshnessState.FAIL)
        assert night.tick(SOURCE, at(clock)) == set(night.keys("raw"))
        night.build(night.keys("raw"))
        night.freshness([PAYMENT], FreshnessState.PASS)
        assert night.tick(SOURCE, at(clock).replace(minute=10)) == set()


def reports_and_site(history: History) -> set[dg.AssetKey]:
    return set(history.keys("reports", "site"))


def test_reports_are_requested_after_the_marts_and_once_a_day(night: History) -> None:
    night.build(night.keys("raw", "staging", "snapshots", "marts"))
    assert night.tick(REPORTS, at("04:59")) == set(), "not before five"
    assert night.tick(REPORTS, at("05:01")) == set(), "the marts were built before five"
    night.build(night.keys("raw", "staging", "snapshots", "marts"))
    assert night.tick(REPORTS, at("05:10")) == reports_and_site(night)
    night.build(night.keys("reports", "site"))
    for clock in ("05:15", "12:00", "23:59"):
        night.build(night.keys("raw", "staging", "snapshots", "marts"))
        assert night.tick(REPORTS, at(clock)) == set()
    assert night.tick(REPORTS, at("05:01", day=1)) == set()
    night.build(night.keys("raw", "staging", "snapshots", "marts"))
    assert night.tick(REPORTS, at("05:10", day=1)) == reports_and_site(night)


def test_a_machine_that_slept_at_five_builds_reports_on_waking(night: History) -> None:
    assert night.tick(REPORTS, at("09:00")) == set()
    night.build(night.keys("raw", "staging", "snapshots", "marts"))
    assert night.tick(REPORTS, at("09:02")) == reports_and_site(night)


@pytest.mark.parametrize("released", [at("05:40"), at("11:00")])
def test_a_failed_mart_check_holds_its_reports_until_it_passes(night: History, released: datetime) -> None:
    assert night.tick(REPORTS, at("05:00")) == set()
    check = blocking_check(night, FACT)
    night.build(night.keys("raw", "staging", "snapshots", "marts"), failing=[check])
    requested = night.tick(REPORTS, at("05:10"))
    readers = dg.AssetSelection.assets(FACT).downstream(depth=1, include_self=False).resolve(night.graph)
    readers &= reports_and_site(night)
    assert readers
    assert readers & requested == set()
    assert night.tick(REPORTS, at("05:20")) == set()
    night.check(check, passed=True)
    assert night.tick(REPORTS, released) >= readers
    assert night.tick(REPORTS, released.replace(minute=59)) == set()


@pytest.mark.parametrize("layer", LAYER_CONDITIONS)
def test_every_since_has_a_state_of_its_own(layer: str) -> None:
    conditions: list[dg.AutomationCondition[Any]] = [LAYER_CONDITIONS[layer]]
    by_state = defaultdict(set)
    while conditions:
        condition = conditions.pop()
        conditions += condition.children
        if condition.name == "SINCE":
            state = condition.get_node_unique_id(parent_unique_id=None, index=None, target_key=None)
            by_state[state].add(condition.get_unique_id())
    assert by_state
    assert {len(different) for different in by_state.values()} == {1}


def test_the_check_report_is_requested_after_a_sync_that_has_not_published_it() -> None:
    table, page = dg.AssetKey(["dvd_rental", "payment"]), dg.AssetKey(["site", "checks"])

    @dg.asset(key=page, automation_condition=after_any_of([table]))
    def checks_page() -> None: ...

    definitions = dg.Definitions([dg.AssetSpec(table), checks_page])
    with dg.DagsterInstance.ephemeral() as instance:
        history = History(definitions, instance)
        assert history.tick(MODELS, at("04:00")) == set()
        history.build([table], changed=False)
        assert history.tick(MODELS, at("04:10")) == {page}
        history.build([page])
        assert history.tick(MODELS, at("04:11")) == set()
        sync = history.begin_run([table, page])
        history.build([table])
        assert history.tick(MODELS, at("04:15")) == set(), "the sync will publish it"
        history.build([page])
        history.instance.report_run_canceled(sync)
        assert history.tick(MODELS, at("04:16")) == set()


def test_the_site_follows_reports_that_were_built_manually(night: History) -> None:
    night.build(night.keys("reports"))
    assert layers(night.tick(REPORTS, at("14:00"))) == {"site"}
    assert night.tick(REPORTS, at("14:01")) == set()
