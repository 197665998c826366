"""The real sample database, from its dump to the reports, whose totals are known."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from dvd_rental_pipeline_tests.end_to_end.command_line import CommandLine

pytestmark = pytest.mark.slow

RENTALS = 16_044
PAYMENTS = 14_596
REVENUE = Decimal("61312.04")


@pytest.fixture(scope="module")
def reports(dvd_rental: CommandLine, real_dump: Path) -> CommandLine:
    """The command line after restoring the dump and one run."""
    dvd_rental.ok("source", "restore", str(real_dump))
    dvd_rental.ok("run")
    return dvd_rental


def totals(reports: CommandLine, expression: str, *, column: str) -> dict[str, Decimal]:
    """`expression` over every report that has `column`, by report."""
    tables = reports.json(
        "query",
        "select table_name from information_schema.columns"
        f" where table_schema = 'reports' and column_name = '{column}' order by 1",
    )
    query = " union all ".join(
        f"select '{table}' as report, cast({expression} as varchar) as total from reports.{table}"
        for table in (row["table_name"] for row in tables)
        if table not in OVERLAPPING
    )
    return {row["report"]: Decimal(row["total"]) for row in reports.json("query", query)}


def documented_reports(reports: CommandLine, column: str) -> set[str]:
    """The reports whose description in the dbt project has `column`."""
    manifest = json.loads((reports.home / "dbt" / "local" / "manifest.json").read_text(encoding="utf-8"))
    return {
        node["name"]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model"
        and node["schema"] == "reports"
        and column in node["columns"]
        # The reports of other pipelines are not built.
        and not {"sales", "totesys", "signups"} & set(node["fqn"])
    } - OVERLAPPING


# A rental counts once per actor of its film.
BY_ACTOR = {"top_actors", "actor_performance_by_store"}

# Reports whose rows overlap (periods, special features, attributes, forecasts of one month) or cover a window
# of time. Data tests compare their parts with the totals.
OVERLAPPING = {
    "film_rankings",
    "genre_rankings",
    "country_rankings",
    "special_feature_performance",
    "customer_demographics",
    "revenue_forecasts",
    "stock_unavailability",
    "films_to_restock",
}


def by_actor(reports: CommandLine) -> dict[str, Decimal]:
    """The expected totals of the reports by actor, computed from the raw tables alone."""
    (row,) = reports.json(
        "query",
        """
        with actors as (select film_id, count(*) as actors from dvd_rental.film_actor group by film_id),
        paid as (
            select rental_id, count(*) as payments, sum(amount) as revenue from dvd_rental.payment group by 1
        )
        select
            sum(actors) as rentals,
            sum(actors * coalesce(payments, 0)) as payments,
            cast(sum(actors * coalesce(revenue, 0)) as varchar) as revenue
        from dvd_rental.rental
        inner join dvd_rental.inventory using (inventory_id)
        inner join actors using (film_id)
        left join paid using (rental_id)
        """,
    )
    return {name: Decimal(str(value)) for name, value in row.items()}


def test_revenue_sums_to_the_cent_in_every_report(reports: CommandLine) -> None:
    found = totals(reports, "sum(revenue)", column="revenue")
    by_actors = by_actor(reports)["revenue"]
    expected = dict.fromkeys(documented_reports(reports, "revenue"), REVENUE)
    assert set(expected) > BY_ACTOR
    assert found == expected | dict.fromkeys(BY_ACTOR, by_actors)
    assert totals(reports, "sum(monetary)", column="monetary") == {"customer_segments": REVENUE}


def test_every_report_with_payments_has_all_of_them(reports: CommandLine) -> None:
    found = totals(reports, "sum(payments)", column="payments")
    by_actors = by_actor(reports)["payments"]
    expected = dict.fromkeys(documented_reports(reports, "payments"), Decimal(PAYMENTS))
    assert set(expected) > BY_ACTOR
    assert found == expected | dict.fromkeys(BY_ACTOR, by_actors)


def test_every_report_with_rentals_has_all_in_its_scope(reports: CommandLine) -> None:
    found = totals(reports, "sum(rentals)", column="rentals")
    expected = dict.fromkeys(documented_reports(reports, "rentals"), Decimal(RENTALS))
    assert set(expected) > BY_ACTOR
    expected |= dict.fromkeys(BY_ACTOR, by_actor(reports)["rentals"])
    (row,) = reports.json(
        "query",
        """
        select
            (select count(*) from dvd_rental.rental where return_date is not null) as returned,
            (
                select coalesce(sum(n), 0) from (
                    select count(rental_id) as n from dvd_rental.inventory left join dvd_rental.rental
                    using (inventory_id) group by inventory_id having n <= 1
                )
            ) as idle
        """,
    )
    # Open rentals have no duration; the list of idle copies does not have all films.
    expected |= {
        "rental_durations": Decimal(row["returned"]),
        "idle_copies": Decimal(row["idle"]),
    }
    assert found == expected
    details = "select count(*) as n, count(distinct rental_id) as keys from reports.rental_details"
    assert reports.json("query", details) == [{"n": RENTALS, "keys": RENTALS}]
    assert totals(reports, "sum(frequency)", column="frequency") == {"customer_segments": RENTALS}


def test_facts_have_one_row_per_event(reports: CommandLine) -> None:
    (row,) = reports.json(
        "query",
        """
        select
            (select count(*) from marts.fct_rental) as rentals,
            (select count(*) from marts.fct_payment) as payments,
            (select cast(sum(amount) as varchar) from marts.fct_payment) as paid,
            (select cast(sum(revenue) as varchar) from marts.fct_rental) as earned
        """,
    )
    assert row == {"rentals": RENTALS, "payments": PAYMENTS, "paid": str(REVENUE), "earned": str(REVENUE)}


@pytest.mark.parametrize(
    ("rank", "report", "by"),
    [
        ("rental_rank", "top_actors", "rentals desc, actor_id"),
        ("rental_rank", "top_films", "rentals desc, film_id"),
        ("revenue_rank", "customer_value", "revenue desc, customer_id"),
        ("revenue_rank", "sales_by_city", "revenue desc, city_id"),
        ("revenue_rank", "sales_by_country", "revenue desc, country_id"),
    ],
)
def test_ranks_cover_all_rows_and_the_key_breaks_ties(
    reports: CommandLine, rank: str, report: str, by: str
) -> None:
    (row,) = reports.json(
        "query",
        f"select count(*) as n from (select {rank}, row_number() over (order by {by}) as expected"
        f" from reports.{report}) where {rank} != expected",
    )
    assert row == {"n": 0}


def test_two_actors_or_cities_of_one_name_stay_two(reports: CommandLine) -> None:
    rows = reports.json(
        "query", "select actor_id from reports.top_actors where actor_name = 'Susan Davis' order by 1"
    )
    assert [row["actor_id"] for row in rows] == [101, 110]
    rows = reports.json("query", "select count(*) as n from marts.dim_geography where city = 'London'")
    assert rows == [{"n": 2}]


def test_late_returns_and_open_rentals_add_up(reports: CommandLine) -> None:
    (row,) = reports.json(
        "query",
        "select sum(late) as late, sum(on_time) as on_time, sum(open) as open, sum(rentals) as rentals"
        " from reports.late_returns",
    )
    assert row == {"late": 8121, "on_time": 7740, "open": 183, "rentals": RENTALS}
    assert reports.json("query", "select count(*) as n from reports.overdue_rentals") == [{"n": 183}]
    (row,) = reports.json(
        "query",
        "select sum(copies) as copies, sum(on_loan) as on_loan, sum(available) as available"
        " from reports.film_availability",
    )
    assert row == {"copies": 4581, "on_loan": 183, "available": 4581 - 183}


def test_every_customer_has_a_segment_and_a_country(reports: CommandLine) -> None:
    (row,) = reports.json(
        "query",
        """
        select
            (select count(distinct customer_id) from reports.customer_segments) as in_segments,
            (select count(distinct segment) from reports.customer_segments) as segments,
            (select sum(customers) from reports.segment_behaviour) as behaving,
            (select sum(customers) from reports.sales_by_country) as in_countries,
            (select count(*) from reports.sales_by_country) as countries,
            (select sum(customers) from reports.sales_by_city) as in_cities
        """,
    )
    assert row == {
        "in_segments": 599, "segments": 6, "behaving": 599, "in_countries": 599, "countries": 108,
        "in_cities": 599,
    }  # fmt: skip


def test_customers_who_last_rented_on_one_day_are_equally_recent(reports: CommandLine) -> None:
    rows = reports.json(
        "query",
        "select recency_days, count(distinct recency_score) as scores, count(*) as customers"
        " from reports.customer_segments group by 1 having count(*) > 150 order by 1",
    )
    assert rows == [
        {"recency_days": 454, "scores": 1, "customers": 158},
        {"recency_days": 629, "scores": 1, "customers": 279},
    ]


def test_the_partial_last_month_is_not_read_as_a_whole_one(reports: CommandLine) -> None:
    rows = reports.json(
        "query",
        "select cast(month as varchar) as month, status, cast(revenue as varchar) as revenue,"
        " cast(growth_pct as varchar) as growth, forecast_method"
        " from reports.revenue_trend where status != 'forecast' order by 1",
    )
    assert [tuple(row.values()) for row in rows] == [
        ("2007-02-01", "partial", "8351.84", None, "none"),
        ("2007-03-01", "complete", "23886.56", None, "none"),
        ("2007-04-01", "complete", "28559.46", "19.56", "last month"),
        ("2007-05-01", "running", "514.18", None, "last month"),
    ]
    rows = reports.json("query", "select distinct note from reports.forecast_accuracy")
    assert [row["note"].partition(" (")[0] for row in rows] == ["History is too short for a season"]


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("marts.fct_rental", "rental_id, customer_id, film_id, store_id, revenue"),
        ("marts.fct_payment", "payment_id, rental_id, customer_id, amount"),
        ("marts.dim_customer", "customer_id"),
        ("marts.dim_film", "film_id"),
        ("reports.genre_performance", "category, rentals, revenue"),
        ("reports.rating_performance", "rating, rentals, revenue"),
        ("reports.top_actors", "actor_id, actor_name, rentals, revenue, rental_rank"),
        ("reports.customer_value", "customer_id, customer_name, rentals, payments, revenue"),
        ("reports.sales_by_country", "country, customers, rentals, revenue"),
        ("reports.sales_by_city", "city_id, city, country, customers, revenue"),
        ("reports.revenue_by_month", "month, store_id, revenue, payments"),
        ("reports.customer_segments", "customer_id, segment, recency_days, frequency, monetary"),
        ("reports.segment_behaviour", "segment"),
        ("reports.film_availability", "film_id, title, store_id, copies, on_loan, available"),
        ("reports.overdue_rentals", "rental_id"),
        ("reports.late_returns", "late, on_time, open"),
        ("reports.rental_details", "rental_id"),
    ],
)
def test_columns_that_consumers_rely_on_exist(reports: CommandLine, table: str, columns: str) -> None:
    (row,) = reports.json("query", f"select count(*) as n from (select {columns} from {table})")
    assert row["n"] > 0


def test_revenue_of_each_store_is_that_of_its_copies(reports: CommandLine) -> None:
    rows = reports.json(
        "query", "select store_id, cast(revenue as varchar) as revenue from reports.sales_by_store order by 1"
    )
    assert [row["revenue"] for row in rows] == ["30628.91", "30683.13"]


def test_revenue_of_each_store_and_month(reports: CommandLine) -> None:
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


def test_rentals_are_late_on_time_or_open(reports: CommandLine) -> None:
    rows = reports.json(
        "query", "select return_status, count(*) as n from marts.fct_rental group by 1 order by 1"
    )
    assert {row["return_status"]: row["n"] for row in rows} == {"late": 8121, "on_time": 7740, "open": 183}


def test_films_without_a_copy_are_in_the_report(reports: CommandLine) -> None:
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


def test_the_real_dump_fails_exactly_one_check(reports: CommandLine) -> None:
    report = json.loads(reports.run("checks", "report", "--format", "json", "--output", "-").stdout)
    # The other pipelines were not run: their assets have no evaluated check.
    evaluated = {check["asset"] for check in report["checks"] if check["outcome"] != "not run"}
    assert {"dvd_rental/payment", "marts/fct_payment", "reports/sales_by_store"} <= evaluated
    problems = {
        check["check"]
        for check in report["checks"]
        if check["asset"] in evaluated and check["outcome"] != "passed"
    }
    # Four payments were made by a customer other than the renter.
    assert problems == {"is_true_fct_payment_is_paid_by_renter"}
