"""The real sample database, from its dump to the reports: every total is known."""

from decimal import Decimal
from pathlib import Path

import pytest

from dvd_rental_pipeline_tests.end_to_end.command_line import CommandLine

RENTALS = 16_044
PAYMENTS = 14_596
REVENUE = Decimal("61312.04")
# Each stands in a published project that joined wrongly.
WRONG_JOINS = {Decimal("13359.34"), Decimal("334667.72"), 3 * REVENUE}


@pytest.fixture(scope="module")
def reports(dvd_rental: CommandLine, real_dump: Path) -> CommandLine:
    """The command line once the dump is restored and the graph has run."""
    dvd_rental.ok("source", "restore", str(real_dump))
    dvd_rental.ok("run")
    return dvd_rental


def totals(reports: CommandLine, sql: str) -> dict[str, Decimal | int]:
    (row,) = reports.json("query", sql)
    return {name: Decimal(str(value)) for name, value in row.items()}


@pytest.mark.parametrize(
    ("table", "rentals", "payments"),
    [
        ("marts.fct_rental", "count(*)", "sum(payments)"),
        ("marts.fct_payment", "null", "count(*)"),
        ("reports.revenue_by_month", "null", "sum(payments)"),
        ("reports.sales_by_store", "sum(rentals)", "sum(payments)"),
        ("reports.sales_by_country", "sum(rentals)", "sum(payments)"),
        ("reports.genre_performance", "sum(rentals)", "sum(payments)"),
        ("reports.top_films", "sum(rentals)", "sum(payments)"),
    ],
)
def test_every_table_that_shows_money_sums_to_the_cent(
    reports: CommandLine, table: str, rentals: str, payments: str
) -> None:
    revenue = "amount" if table == "marts.fct_payment" else "revenue"
    found = totals(
        reports,
        f"select cast(sum({revenue}) as varchar) as revenue, {payments} as payments, "
        f"coalesce({rentals}, {RENTALS}) as rentals from {table}",
    )
    assert found["revenue"] not in WRONG_JOINS
    assert found == {"revenue": REVENUE, "payments": PAYMENTS, "rentals": RENTALS}


def test_each_store_earned_what_its_own_copies_earned(reports: CommandLine) -> None:
    rows = reports.json(
        "query", "select store_id, cast(revenue as varchar) as revenue from reports.sales_by_store order by 1"
    )
    assert [row["revenue"] for row in rows] == ["30628.91", "30683.13"]


def test_each_store_and_month_is_right(reports: CommandLine) -> None:
    rows = reports.json(
        "query",
        "select store_id, cast(month as varchar) as month, cast(revenue as varchar) as revenue "
        "from reports.revenue_by_month order by 1, 2",
    )
    months = ["2007-02-01", "2007-03-01", "2007-04-01", "2007-05-01"]
    expected = {
        1: ["4136.19", "11826.23", "14423.39", "243.10"],
        2: ["4215.65", "12060.33", "14136.07", "271.08"],
    }
    assert [(row["store_id"], row["month"][:10], row["revenue"]) for row in rows] == [
        (store, month, revenue)
        for store, by_month in expected.items()
        for month, revenue in zip(months, by_month, strict=True)
    ]


def test_late_on_time_and_open_rentals_are_told_apart(reports: CommandLine) -> None:
    rows = reports.json(
        "query", "select return_status, count(*) as n from marts.fct_rental group by 1 order by 1"
    )
    assert {row["return_status"]: row["n"] for row in rows} == {"late": 8121, "on_time": 7740, "open": 183}


def test_films_without_a_copy_stay_visible(reports: CommandLine) -> None:
    (row,) = reports.json(
        "query", "select count(*) as films, count(*) filter (rentals = 0) as never from reports.top_films"
    )
    assert row == {"films": 1000, "never": 42}


def test_no_secret_column_leaves_the_raw_layer(reports: CommandLine) -> None:
    rows = reports.json(
        "query",
        "select table_schema, table_name, column_name from information_schema.columns "
        "where table_schema != 'dvd_rental' and column_name in ('password', 'picture', 'fulltext')",
    )
    assert rows == []
