"""Learned bounds accept normal business, bursts and gaps included, and stop what normal business never does."""

import random
from itertools import accumulate
from pathlib import Path

import dagster as dg
import duckdb
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvd_rental_pipeline.quality.anomaly_bounds import (
    MIN_HISTORY,
    TrackedMetric,
    build_anomaly_checks,
    learn_bounds,
)
from dvd_rental_pipeline.sample.dvd_rental.tables import DVD_RENTAL_TABLES
from dvd_rental_pipeline.sample.restore.restore import restore
from dvd_rental_pipeline.warehouse.resource import DuckDBWarehouseResource

PAYMENTS = dg.AssetKey(["marts", "fct_payment"])
METRIC = TrackedMetric(PAYMENTS, "revenue", "select sum(amount) from marts.fct_payment", "Revenue")


def passes(history: list[float], value: float) -> bool:
    bounds = learn_bounds(history)
    return bounds is None or bounds.low <= value <= bounds.high


def test_the_real_days_pass(database_url: str, real_dump: Path) -> None:
    restore(database_url, [real_dump], DVD_RENTAL_TABLES)
    with psycopg.connect(database_url) as source:
        days = source.execute(
            "select sum(amount)::float, count(*)::float from payment group by payment_date::date"
            " order by payment_date::date"
        ).fetchall()
    assert len(days) == 32
    for position in (0, 1):
        totals = list(accumulate(day[position] for day in days))
        assert all(passes(totals[:known], totals[known]) for known in range(1, len(totals)))
        # Nor do the runs of days on which nothing was paid.
        quiet = [total for total in totals for _ in range(4)]
        assert all(passes(quiet[:known], quiet[known]) for known in range(1, len(quiet)))


def test_thirty_days_of_normal_business_pass() -> None:
    chance = random.Random(3)
    for _ in range(50):
        start = chance.uniform(20_000, 100_000)
        steps = [chance.choice([0, 1, 1, 2, 10]) * chance.uniform(100, 900) for _ in range(30)]
        totals = list(accumulate([start, *steps]))
        assert all(passes(totals[:known], totals[known]) for known in range(1, len(totals)))


@pytest.mark.parametrize("share", [3.0, 2.0, 0.5, 0.0])
def test_a_fan_out_and_a_loss_are_stopped(share: float) -> None:
    totals = list(accumulate([60_000.0, *[700.0, 0.0, 1_400.0, 350.0, 900.0, 20.0, 2_500.0]]))
    assert not passes(totals, totals[-1] * share)
    assert not passes([totals[-1]] * 8, totals[-1] * share)


@pytest.mark.parametrize(
    ("history", "low", "high"),
    [
        pytest.param([100.0] * 5, 90, 195, id="never changed: a tenth less, nearly twice as much"),
        pytest.param([60.0, 70, 80, 90, 100], 90, 150, id="grew: half as much again"),
        pytest.param([100.0, 200, 300, 400, 500], 450, 750, id="grew by less than half"),
        pytest.param([0.0, 10, 200, 210, 400], 360, 1_220, id="grew in bursts"),
        pytest.param([500.0, 400, 300, 200, 100], 0, 195, id="fell by more than a tenth each time"),
    ],
)
def test_a_value_passes_up_to_each_bound_and_no_further(history: list[float], low: float, high: float) -> None:
    assert passes(history, low)
    assert not passes(history, low - 0.01)
    assert passes(history, high)
    assert not passes(history, high + 0.01)


@given(st.lists(st.floats(0, 1e9), min_size=MIN_HISTORY, max_size=40))
def test_an_unchanged_value_always_passes(history: list[float]) -> None:
    assert passes(history, history[-1])


@pytest.fixture
def revenue(tmp_path):  # type: ignore[no-untyped-def]
    """Sets the revenue of the mart and runs the check."""
    warehouse = DuckDBWarehouseResource(path=str(tmp_path / "warehouse.duckdb"))
    checks = build_anomaly_checks([METRIC], copied_asset=dg.AssetKey(["dvd_rental", "payment"]))
    with dg.DagsterInstance.ephemeral() as instance:

        def run(amount: float, *, accept: bool = False) -> dg.AssetCheckEvaluation:
            with duckdb.connect(warehouse.path) as connection:
                connection.execute("create schema if not exists marts")
                connection.execute(f"create or replace table marts.fct_payment as select {amount} as amount")
            result = dg.materialize(
                [checks],
                instance=instance,
                resources={"warehouse": warehouse},
                selection=dg.AssetSelection.all_asset_checks(),
                run_config={"ops": {"learnt_bounds": {"config": {"accept": accept}}}},
                raise_on_error=False,
            )
            (evaluation,) = result.get_asset_check_evaluations()
            return evaluation

        run.instance = instance  # type: ignore[attr-defined]
        yield run


def test_a_wrong_value_fails_until_it_is_fixed_or_accepted(revenue) -> None:  # type: ignore[no-untyped-def]
    for amount in (100, 101, 103, 103, 106):
        assert revenue(amount).passed
    tripled = revenue(318)
    assert not tripled.passed
    assert "multiplied" in str(tripled.description)
    assert not revenue(318).passed, "a failed value is not learned"
    assert revenue(107).passed, "fixed"
    assert not revenue(318).passed
    assert revenue(318, accept=True).passed
    assert revenue(319).passed, "the new level is learned"


def test_a_full_copy_starts_a_new_history(revenue) -> None:  # type: ignore[no-untyped-def]
    for amount in (100, 101, 103, 103, 106):
        revenue(amount)
    revenue.instance.report_runless_asset_event(
        dg.AssetMaterialization(["dvd_rental", "payment"], metadata={"sync_mode": "snapshot"})
    )
    assert revenue(1_000_000).passed
