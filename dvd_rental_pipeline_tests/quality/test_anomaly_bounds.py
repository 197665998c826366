"""Learned bounds accept normal business, bursts and gaps included, and stop what normal business never does."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import boto3
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
from dvd_rental_pipeline.quality.metric_history import MAX_HISTORY, MetricHistory, MetricHistoryError
from dvd_rental_pipeline.sample.dvd_rental.tables import DVD_RENTAL_TABLES
from dvd_rental_pipeline.sample.restore.restore import restore
from dvd_rental_pipeline.warehouse.resource import DuckDBWarehouseResource
from dvd_rental_pipeline_tests.stand_ins.aws import REGION, AwsStandIn

PAYMENTS = dg.AssetKey(["marts", "fct_payment"])
COPIED = dg.AssetKey(["dvd_rental", "payment"])
USUAL = (100, 101, 103, 103, 106)
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
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@dataclass(frozen=True)
class Revenue:
    """The revenue of the mart, and the check of it."""

    warehouse: DuckDBWarehouseResource
    history: MetricHistory

    def check(
        self, amount: float, instance: dg.DagsterInstance, *, accept: bool = False
    ) -> dg.AssetCheckEvaluation | None:
        """Set the revenue and run the check; None if its step failed."""
        with duckdb.connect(self.warehouse.path) as connection:
            connection.execute("create schema if not exists marts")
            connection.execute(f"create or replace table marts.fct_payment as select {amount} as amount")
        result = dg.materialize(
            [build_anomaly_checks([METRIC], copied_asset=COPIED)],
            instance=instance,
            resources={"warehouse": self.warehouse, "metric_history": self.history},
            selection=dg.AssetSelection.all_asset_checks(),
            run_config={"ops": {"learnt_bounds": {"config": {"accept": accept}}}},
            raise_on_error=False,
        )
        return next(iter(result.get_asset_check_evaluations()), None)

    def passes(self, amount: float, instance: dg.DagsterInstance, *, accept: bool = False) -> bool:
        evaluation = self.check(amount, instance, accept=accept)
        assert evaluation is not None
        return evaluation.passed


@pytest.fixture(params=["instance", pytest.param("folder", marks=pytest.mark.slow)])
def revenue(request: pytest.FixtureRequest, tmp_path: Path) -> Revenue:
    """With its history in the Dagster instance, and in a folder."""
    location = None if request.param == "instance" else str(tmp_path / "history")
    return Revenue(
        DuckDBWarehouseResource(path=str(tmp_path / "warehouse.duckdb")), MetricHistory(location=location)
    )


def report_full_copy(instance: dg.DagsterInstance) -> None:
    instance.report_runless_asset_event(dg.AssetMaterialization(COPIED, metadata={"sync_mode": "snapshot"}))


def test_a_wrong_value_fails_until_it_is_fixed_or_accepted(
    revenue: Revenue, instance: dg.DagsterInstance
) -> None:
    for amount in USUAL:
        assert revenue.passes(amount, instance)
    tripled = revenue.check(318, instance)
    assert tripled is not None
    assert not tripled.passed
    assert "multiplied" in str(tripled.description)
    assert not revenue.passes(318, instance), "a failed value is not learned"
    assert revenue.passes(107, instance), "fixed"
    assert not revenue.passes(318, instance)
    assert revenue.passes(318, instance, accept=True)
    assert revenue.passes(319, instance), "the new level is learned"


def test_a_full_copy_starts_a_new_history(revenue: Revenue, instance: dg.DagsterInstance) -> None:
    for amount in USUAL:
        revenue.check(amount, instance)
    report_full_copy(instance)
    assert revenue.passes(1_000_000, instance)


@pytest.fixture
def in_bucket(aws: AwsStandIn, tmp_path: Path) -> Revenue:
    """Its history is in a bucket, as in the deployment whose instance ends with each task."""
    boto3.client("s3").create_bucket(
        Bucket="processed", CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    return Revenue(
        DuckDBWarehouseResource(path=str(tmp_path / "warehouse.duckdb")),
        MetricHistory(location="s3://processed/_metric_history"),
    )


def check_in_new_instance(revenue: Revenue, amount: float, *, after_full_copy: bool = False) -> bool:
    with dg.DagsterInstance.ephemeral() as instance:
        if after_full_copy:
            report_full_copy(instance)
        return revenue.passes(amount, instance)


def test_bounds_are_learnt_over_instances_that_keep_no_history(in_bucket: Revenue) -> None:
    for amount in USUAL:
        assert check_in_new_instance(in_bucket, amount)
    assert not check_in_new_instance(in_bucket, 318)
    assert check_in_new_instance(in_bucket, 107)
    assert check_in_new_instance(in_bucket, 1_000_000, after_full_copy=True)
    assert check_in_new_instance(in_bucket, 318), "the full copy started a new history"


def test_a_damaged_history_fails_the_step_and_is_named(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    (tmp_path / "metric_history.json").write_text('{"marts/fct_payment:revenue": [{"at": 1')
    damaged = Revenue(
        DuckDBWarehouseResource(path=str(tmp_path / "warehouse.duckdb")), MetricHistory(location=str(tmp_path))
    )
    assert damaged.check(100, instance) is None, "it never passes for want of a history"
    with pytest.raises(MetricHistoryError, match=r"metric_history\.json.* is damaged.* delete it"):
        damaged.history.read(instance, [METRIC.spec.key], since=0)


def test_no_more_values_are_kept_than_are_read(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    history = MetricHistory(location=str(tmp_path))
    for value in range(MAX_HISTORY + 5):
        history.add({METRIC.spec.key: float(value)}, since=0)
    past = history.read(instance, [METRIC.spec.key], since=0)[METRIC.spec.key]
    assert past == [float(value) for value in range(5, MAX_HISTORY + 5)]
