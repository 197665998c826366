"""The forecast of revenue, on the payments of the sample generator."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from dvd_rental_pipeline.sample.dvd_rental.generator.clock import micros
from dvd_rental_pipeline.sample.dvd_rental.generator.payments import PaymentHistory
from dvd_rental_pipeline.sample.dvd_rental.generator.plan import SamplePlan
from dvd_rental_pipeline.sample.dvd_rental.generator.reference_data import ReferenceData
from dvd_rental_pipeline.sample.dvd_rental.generator.rentals import rental_history
from dvd_rental_pipeline_tests.dbt_models.raw_tables import Dbt, RawTables
from dvd_rental_pipeline_tests.parsed_project import ParsedProject

UNTIL = datetime(2026, 11, 20, 18)
REPORTS = ("revenue_by_day", "monthly_totals", "revenue_forecasts", "forecast_accuracy", "revenue_trend")


@pytest.mark.parametrize(
    "seed", [1, pytest.param(2, marks=pytest.mark.heavy), pytest.param(3, marks=pytest.mark.heavy)]
)
def test_the_forecast_is_as_defined_and_beats_naive_ones(
    tmp_path: Path, parsed_project: ParsedProject, seed: int
) -> None:
    raw = RawTables(tmp_path)
    put_marts(raw, seed)
    Dbt(raw, parsed_project)("run", "--select", *REPORTS)

    revenue = [float(value) for (value,) in raw.query(
        "select revenue from reports.monthly_totals where is_complete order by month"
    )]  # fmt: skip
    assert len(revenue) == 47, "four years of sample data, whose first and last month are not whole"
    forecasts = raw.query(
        "select known_months, horizon, cast(forecast_revenue as double) from reports.revenue_forecasts"
        " where method = 'seasonal' order by 1, 2"
    )
    assert [(known, horizon) for known, horizon, _ in forecasts] == [
        (known, horizon) for known in range(24, 48) for horizon in (1, 2, 3, 4)
    ]
    for known, horizon, forecast in forecasts:
        assert forecast == pytest.approx(seasonal_forecast(revenue[:known], horizon), abs=0.006)

    errors = {
        (method, horizon): (months, error)
        for method, horizon, months, error in raw.query(
            "select method, horizon, months, cast(error_pct as double) from reports.forecast_accuracy"
        )
    }
    for horizon in (1, 2, 3, 4):
        for naive in ("last month", "same month last year", "moving average"):
            assert errors["seasonal", horizon] < errors[naive, horizon], (naive, horizon)
            assert errors["seasonal", horizon][0] == errors[naive, horizon][0] == 24 - horizon
    assert raw.query(
        "select count(*) from reports.forecast_accuracy where is_used and is_as_good_as_naive"
    ) == [(4,)]

    ((booked, forecast, low, high),) = raw.query(
        "select revenue, forecast_revenue, forecast_low, forecast_high from reports.revenue_trend"
        " where status = 'running'"
    )
    assert booked < low < forecast < high
    ((december, mean),) = raw.query(
        "select max(case when month = '2026-12-01' then forecast_revenue end), avg(forecast_revenue)"
        " from reports.revenue_trend where month > '2025-12-31' and forecast_revenue is not null"
    )
    assert december > mean, "the sample data have their peak in winter"
    raw.close()


def seasonal_forecast(revenue: Sequence[float], horizon: int) -> float:
    """Return the forecast `horizon` months after the last of `revenue`, as `revenue_forecasts` defines it."""
    years = np.array(revenue[len(revenue) % 12 :]).reshape(-1, 12)
    growth = np.clip(years[-1].sum() / years[-2].sum(), 0.7, 1.4) ** (1 / 12)
    index = years / (years.mean(axis=1, keepdims=True) * growth ** (np.arange(12) - 5.5))
    return float(years[-1].mean() * growth ** (5.5 + horizon) * index.mean(axis=0)[horizon - 1])


def put_marts(raw: RawTables, seed: int) -> None:
    """Create the marts that the forecast reads, with the payments of the sample data at scale 1."""
    plan = SamplePlan.make(1, seed, UNTIL)
    reference = ReferenceData.make(plan)
    history = PaymentHistory(reference)
    payments = [history.pay(rentals) for rentals in rental_history(reference)]
    payments.append(history.finish())
    days = np.concatenate([(part.paid - micros(plan.start)) // 86_400_000_000 for part in payments])
    cents = np.concatenate([part.cents for part in payments])
    raw.warehouse.execute("create schema marts")
    raw.warehouse.execute(
        "create table marts.fct_payment as"
        " select i as payment_id, cast(? as date) + cast(day as integer) as paid_on,"
        " cast(cents / 100 as numeric(18, 2)) as amount"
        " from (select unnest(?) as day, unnest(?) as cents, unnest(range(?)) as i)",
        [plan.start, days.tolist(), cents.tolist(), len(days)],
    )
    raw.warehouse.execute(
        "create table marts.data_as_of as"
        " select cast(? as timestamp) as as_of, cast(? as timestamp) as first_event_at",
        [UNTIL, plan.start],
    )
    raw.warehouse.execute(
        "create table marts.dim_date as select cast(range as date) as date_day"
        " from range(date '2022-01-01', date '2028-01-01', interval 1 day)"
    )
