"""Data that are unusual or cannot be right: every model is built, and every check that blocks passes."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dvd_rental_pipeline_tests.dbt_models.raw_tables import OTHER_PIPELINES, START, Dbt, RawTables, fill
from dvd_rental_pipeline_tests.parsed_project import ParsedProject

# A string, since Python's datetime has neither infinities nor years BC.
SENTINELS = (
    "infinity",
    "-infinity",
    "9999-12-31",
    "1900-01-01",
    "1970-01-01",
    "0001-01-01",
    "0044-03-15 (BC)",
    "2050-05-30",
)
TEXTS = ('O\'Hara "the" <b>&amp;</b>', "🎬 café", "שלום עולם", "{{ jinja }} {% raw %}", "a\\b; drop table x --")
MANY_RENTALS = 100_000
MANY_CATEGORIES = 10_000


def _rent(
    raw: RawTables, rental_id: int, rented_at: Any, returned_at: Any = None, inventory_id: int = 1
) -> None:
    raw.put(
        "rental",
        {
            "rental_id": rental_id,
            "rental_date": rented_at,
            "return_date": returned_at,
            "inventory_id": inventory_id,
            "customer_id": 1 + rental_id % 8,
            "staff_id": 1,
        },
    )


def _pay(raw: RawTables, payment_id: int, rental_id: int | None, paid_at: Any) -> None:
    raw.put(
        "payment",
        {
            "payment_id": payment_id,
            "rental_id": rental_id,
            "customer_id": 1 + (rental_id or 0) % 8,
            "staff_id": 1,
            "amount": 2.99,
            "payment_date": paid_at,
        },
    )


def _build(raw: RawTables, project: ParsedProject, *options: str) -> None:
    excluded = ("--exclude-resource-type", "unit_test", "--exclude", *OTHER_PIPELINES)
    Dbt(raw, project)("build", *options, *excluded)


@pytest.fixture
def raw(tmp_path: Path) -> RawTables:
    raw = RawTables(tmp_path)
    fill(raw)
    raw.pass_time(days=400)
    return raw


def _nothing(raw: RawTables) -> None:
    """A business that has not rented anything yet."""


def _no_payments(raw: RawTables) -> None:
    for number in range(1, 13):
        _rent(raw, number, START + timedelta(days=number), START + timedelta(days=number + 2), number)


def _payments_without_rentals(raw: RawTables) -> None:
    for number in range(1, 5):
        _pay(raw, number, None, START + timedelta(days=number))


def _one_store(raw: RawTables) -> None:
    for inventory_id in range(2, 13, 2):
        raw.delete("inventory", inventory_id)
    for customer_id in range(1, 9):
        raw.change("customer", customer_id, store_id=1)
    raw.change("staff", 2, store_id=1)
    raw.delete("store", 2)
    _rent(raw, 1, START, START + timedelta(days=1))
    _pay(raw, 1, 1, START)


def _one_day(raw: RawTables) -> None:
    for number in range(1, 7):
        _rent(raw, number, START + timedelta(hours=number), START + timedelta(hours=number + 1), number)
        _pay(raw, number, number, START + timedelta(hours=number))


def _texts(raw: RawTables) -> None:
    for key, text in enumerate(TEXTS, start=1):
        raw.change("film", key, title=text)
        raw.change("customer", key, first_name=text, last_name=text)
        raw.put("category", {"category_id": 10 + key, "name": text})
        raw.put("film_category", {"film_id": key, "category_id": 10 + key})
        raw.delete("film_category", key, 1 + key % 2)
    _no_payments(raw)


@pytest.mark.parametrize(
    "change",
    [
        *(pytest.param(change, marks=pytest.mark.slow) for change in (_nothing, _texts)),
        *(
            pytest.param(change, marks=pytest.mark.heavy)
            for change in (_no_payments, _payments_without_rentals, _one_store, _one_day)
        ),
    ],
)
def test_unusual_business_builds_and_passes_every_blocking_test(
    raw: RawTables, parsed_project: ParsedProject, change: Callable[[RawTables], None]
) -> None:
    change(raw)
    _build(raw, parsed_project)
    rentals, payments = raw.query("select count(*) from marts.fct_rental"), len(raw.keys("payment"))
    assert rentals == [(len(raw.keys("rental")),)]
    assert raw.query("select count(*) from marts.fct_payment") == [(payments,)]


@pytest.mark.slow
def test_implausible_times_are_named_and_move_nothing(raw: RawTables, parsed_project: ParsedProject) -> None:
    _no_payments(raw)
    for number in range(1, 13):
        _pay(raw, number, number, START + timedelta(days=number))
    _pay(raw, 13, None, START + timedelta(days=3))
    named = set()
    for key, sentinel in enumerate(SENTINELS, start=1):
        statements = (
            f"update dvd_rental.payment set payment_date = timestamp '{sentinel}' where payment_id = {key}",
            f"insert into dvd_rental.rental by name select * replace (100 + rental_id as rental_id,"
            f" cast('{sentinel}' as timestamp) as rental_date) from dvd_rental.rental where rental_id = {key}",
            f"insert into dvd_rental.rental by name select * replace (200 + rental_id as rental_id,"
            f" cast('{sentinel}' as timestamp) as return_date) from dvd_rental.rental where rental_id = {key}",
            f"update dvd_rental.customer set create_date = date '{sentinel}' where customer_id = {key}",
        )
        for statement in statements:
            raw.query(statement)
        named |= {
            ("payment", key, "payment_date"),
            ("rental", 100 + key, "rental_date"),
            ("rental", 200 + key, "return_date"),
            ("customer", key, "create_date"),
        }
    _build(raw, parsed_project)

    assert set(raw.query("select table_name, row_id, column_name from staging.implausible_times")) == named
    assert raw.query("select as_of, first_event_at from marts.data_as_of") == [
        (START + timedelta(days=14), START + timedelta(days=1))
    ]
    assert raw.query("select min(date_day), max(date_day), count(*) from marts.dim_date") == [
        (date(2020, 1, 1), date(2020, 12, 31), 367)
    ]
    assert raw.query("select min(date_day), max(date_day) from marts.fct_inventory_daily") == [
        (date(2020, 1, 2), date(2020, 1, 15))
    ]
    assert raw.query("select count(*), cast(sum(amount) as varchar) from marts.fct_payment") == [(13, "38.87")]
    unknown = "select count(*) from marts.fct_{} where {} = -1"
    assert raw.query(unknown.format("payment", "paid_date_key")) == [(len(SENTINELS),)]
    assert raw.query(unknown.format("rental", "rented_date_key")) == [(len(SENTINELS),)]
    assert raw.query(
        "select distinct is_open, return_status, days_late, returned_on from marts.fct_rental"
        " where rental_id > 200"
    ) == [(False, "unknown", None, None)]
    # The versions are those of the commit, not the unknown ones.
    assert raw.query("select count(*) from marts.fct_rental where customer_key = 'unknown'") == [(0,)]
    assert raw.query("select sum(payments) from reports.revenue_by_day") == [(13 - len(SENTINELS),)]
    assert raw.query("select count(*) from reports.revenue_by_month where month is null") == [(0,)]


@pytest.mark.slow
def test_corrected_time_leaves_the_unknown_date(raw: RawTables, parsed_project: ParsedProject) -> None:
    _rent(raw, 1, datetime(1900, 1, 1), START + timedelta(days=2))
    _build(raw, parsed_project, "--select", "+fct_rental", "--exclude-resource-type", "test")
    assert raw.query("select rented_date_key from marts.fct_rental") == [(-1,)]
    raw.pass_time(hours=1)
    raw.change("rental", 1, rental_date=START + timedelta(days=1))
    _build(raw, parsed_project, "--select", "+fct_rental", "--exclude-resource-type", "test")
    assert raw.query("select rented_date_key, return_status from marts.fct_rental") == [(20200102, "on_time")]


@pytest.mark.slow
def test_one_customer_with_most_rentals_and_many_categories(
    raw: RawTables, parsed_project: ParsedProject
) -> None:
    # Each is returned before the next one, so that the only copy is never out twice.
    _rent(raw, 1, START, START + timedelta(seconds=30))
    raw.query(
        "insert into dvd_rental.rental by name select rental.* replace (cast(n + 1 as integer) as rental_id,"
        " rental_date + n * interval 1 minute as rental_date,"
        " return_date + n * interval 1 minute as return_date)"
        f" from dvd_rental.rental cross join range(1, {MANY_RENTALS}) as numbers(n)"
    )
    raw.put("category", {"category_id": 1_000, "name": "Category"})
    raw.query(
        "insert into dvd_rental.category by name select category.* replace ("
        "cast(1000 + n as integer) as category_id, 'Category ' || n as name)"
        f" from dvd_rental.category cross join range(1, {MANY_CATEGORIES}) as numbers(n)"
        " where category_id = 1000"
    )
    _build(raw, parsed_project)
    assert raw.query("select max(rentals) from reports.customer_360") == [(MANY_RENTALS,)]
