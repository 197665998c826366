"""The cost report: seconds by asset and day from the history of runs, what reuse saves, Snowflake's credits."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dvd_rental_pipeline.publishing.cost_report.asset import (
    COSTS_KEY,
    HISTORY_FILE,
    OTHER_STATEMENTS,
    build_costs_asset,
    read_credits,
)
from dvd_rental_pipeline.publishing.cost_report.cost_history import KEPT, CostHistory
from dvd_rental_pipeline.publishing.cost_report.page import build_content
from dvd_rental_pipeline.publishing.cost_report.run_costs import AssetDay, run_costs
from dvd_rental_pipeline.publishing.report_pages.shown_rows import shown_rows
from dvd_rental_pipeline.publishing.site import FolderSite
from dvd_rental_pipeline.transform.reused import REUSED
from dvd_rental_pipeline.warehouse.errors import WarehouseError
from dvd_rental_pipeline.warehouse.interface import Rows
from dvd_rental_pipeline.warehouse.resource import DuckDBWarehouseResource

NOW = datetime(2026, 3, 10, 6, tzinfo=UTC)
YESTERDAY = date(2026, 3, 9)
TODAY = datetime.now(UTC).date().isoformat()
MART, REPORT = "marts/dim_film", "reports/top_films"


def asset_key(name: str) -> dg.AssetKey:
    return dg.AssetKey(name.split("/"))


class Models(dg.Config):
    """Whether the step reports its report as "built" or "reused", and whether it fails before it."""

    report: str = "built"
    fails: bool = False


@dg.multi_asset(
    name="dbt_models",
    specs=[dg.AssetSpec(asset_key(MART)), dg.AssetSpec(asset_key(REPORT), deps=[asset_key(MART)])],
    check_specs=[dg.AssetCheckSpec("has_rows", asset=asset_key(MART))],
)
def models(config: Models) -> Iterator[Any]:
    yield dg.MaterializeResult(
        asset_key=asset_key(MART), metadata={"Execution Duration": 2.5, "dagster/row_count": 1000}
    )
    if config.fails:
        raise dg.Failure("no report")
    done = {REUSED: "unchanged"} if config.report == "reused" else {"Execution Duration": 4.0, "bytes": 10}
    yield dg.MaterializeResult(asset_key=asset_key(REPORT), metadata=done)
    yield dg.AssetCheckResult(
        asset_key=asset_key(MART), check_name="has_rows", passed=True, metadata={"Execution Duration": 0.5}
    )


@dg.multi_asset(
    name="sync", specs=[dg.AssetSpec(["dvd_rental", "film"]), dg.AssetSpec(["dvd_rental", "actor"])]
)
def sync() -> Iterator[Any]:
    for name, rows in (("film", 30), ("actor", 10)):
        yield dg.MaterializeResult(
            asset_key=["dvd_rental", name], metadata={"rows_synced": rows, "airbyte_job_bytes": 4_000}
        )


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def run(instance: dg.DagsterInstance, *assets: dg.AssetsDefinition, **config: Any) -> str:
    settings = {"ops": {"dbt_models": {"config": config}}} if config else None
    return dg.materialize(assets, instance=instance, run_config=settings, raise_on_error=False).run_id


def by_asset(costs: list[AssetDay]) -> dict[str, AssetDay]:
    return {cost.asset: cost for cost in costs}


def test_a_model_costs_its_own_seconds_and_those_of_its_tests(instance: dg.DagsterInstance) -> None:
    costs = by_asset(run_costs(instance, run(instance, models)))
    assert (costs[MART].seconds, costs[MART].builds, costs[MART].rows) == (3.0, 1, 1000)
    assert (costs[REPORT].seconds, costs[REPORT].bytes) == (4.0, 10)
    assert {cost.day for cost in costs.values()} == {TODAY}
    assert costs["step dbt_models"].seconds == 0, "the durations of the events are longer than the step"


def test_tables_of_a_sync_share_its_seconds_and_the_bytes_of_its_job(instance: dg.DagsterInstance) -> None:
    run_id = run(instance, sync)
    (stats,) = instance.get_run_step_stats(run_id)
    costs = by_asset(run_costs(instance, run_id))
    assert set(costs) == {"dvd_rental/film", "dvd_rental/actor"}
    took = (stats.end_time or 0) - (stats.start_time or 0)
    assert [cost.seconds for cost in costs.values()] == [pytest.approx(took / 2)] * 2
    assert {name: cost.bytes for name, cost in costs.items()} == {
        "dvd_rental/film": 3_000,
        "dvd_rental/actor": 1_000,
    }


def test_what_is_reused_costs_nothing_and_saves_the_mean_of_its_builds(instance: dg.DagsterInstance) -> None:
    for report in ("built", "reused", "reused", "reused"):
        run(instance, models, report=report)
    history = CostHistory().with_ended_runs(instance, datetime.now(UTC))
    cost = by_asset(list(history.days))[REPORT]
    assert (cost.builds, cost.reused, cost.seconds) == (1, 3, 4.0)
    content = build_content(history, None, datetime.now(UTC))
    (saved,) = (chart for chart in content.charts if chart.name == "saved_by_asset")
    assert shown_rows(saved, content.filters)[0] == {"asset": REPORT, "saved": 12.0, "reused": 3}
    headlines = {each.label: each for each in content.headlines}
    # Four times the mart with its test (3 s), once the report (4 s); three reports were not built.
    assert headlines["Saved by reuse"].value == f"{12 / (12 + 16):.0%}"


def test_a_failed_run_has_cost_what_it_did(instance: dg.DagsterInstance) -> None:
    run(instance, models, fails=True)
    history = CostHistory().with_ended_runs(instance, datetime.now(UTC))
    assert by_asset(list(history.days))[MART].seconds == 2.5


def test_each_run_is_counted_once(instance: dg.DagsterInstance) -> None:
    now = datetime.now(UTC)
    run(instance, models)
    once = CostHistory().with_ended_runs(instance, now)
    again = CostHistory.from_json(once.to_json()).with_ended_runs(instance, now)
    assert list(again.days) == list(once.days)
    run(instance, models)
    twice = by_asset(list(again.with_ended_runs(instance, now).days))
    assert (twice[MART].builds, twice[MART].seconds, twice[MART].rows) == (2, 6.0, 2000)


def test_days_are_forgotten_after_a_month(instance: dg.DagsterInstance) -> None:
    days = [AssetDay(MART, (NOW - age).date().isoformat(), builds=1) for age in (KEPT, timedelta(days=29))]
    kept = CostHistory(days, {}).with_ended_runs(instance, NOW)
    assert [day.day for day in kept.days] == ["2026-02-09"]


def test_the_page_counts_the_run_that_builds_it_and_is_published(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    condition = dg.AutomationCondition.eager()
    policy = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=1))
    site = FolderSite(path=str(tmp_path / "site"))
    costs = build_costs_asset([], [], policy, condition)
    result = dg.materialize(
        [models, costs],
        instance=instance,
        resources={"site": site, "warehouse": DuckDBWarehouseResource(path=str(tmp_path / "none.duckdb"))},
    )
    (event,) = [each for each in result.get_asset_materialization_events() if each.asset_key == COSTS_KEY]
    assert event.materialization.metadata["Assets built"].value == "2"
    html = (tmp_path / "site" / "costs" / "index.html").read_text(encoding="utf-8")
    assert MART in html
    assert "data-verdict" not in html, "no check decides about this page"
    stored = CostHistory.from_json((tmp_path / "site" / "costs" / HISTORY_FILE).read_bytes())
    assert list(stored.days) == [], "the run has not ended"


class ChargingWarehouse(DuckDBWarehouseResource):
    """A warehouse that answers with `used`, or refuses."""

    def credits_by_tag(self, since: date) -> Rows | None:
        if self.path == "refused":
            raise WarehouseError("not authorized.")
        rows = [
            (YESTERDAY, MART, None, 0.002),
            (YESTERDAY, None, "has_rows", 0.001),
            (YESTERDAY, None, None, 0.004),
        ]
        return Rows(["day", "asset", "check", "credits"], rows)


def test_credits_count_for_the_asset_of_the_statement_or_of_its_test() -> None:
    charged, unknown = read_credits(ChargingWarehouse(path="any"), NOW.date(), {"has_rows": MART})
    assert unknown == ""
    assert charged == {
        (MART, "2026-03-09"): pytest.approx(0.003),
        (OTHER_STATEMENTS, "2026-03-09"): pytest.approx(0.004),
    }
    history = CostHistory([AssetDay(MART, "2026-03-09", builds=1, seconds=3.0)])
    content = build_content(history, charged, NOW)
    (chart,) = (chart for chart in content.charts if chart.name == "credits_by_asset")
    assert [(row["asset"], row["credits"]) for row in shown_rows(chart, content.filters)] == [
        (OTHER_STATEMENTS, 4.0),
        (MART, 3.0),
    ]


def test_a_refusal_is_named_on_the_page_and_shows_no_credits() -> None:
    charged, unknown = read_credits(ChargingWarehouse(path="refused"), NOW.date(), {})
    content = build_content(CostHistory(), charged, NOW, unknown)
    assert "not authorized" in content.limits
    assert "credits_by_day" not in {chart.name for chart in content.charts}
