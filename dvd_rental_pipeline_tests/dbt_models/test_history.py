"""Versions in the history dimensions begin and end at the commit times of the source."""

import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from dvd_rental_pipeline_tests.dbt_models.raw_tables import (
    OTHER_PIPELINES,
    START,
    Dbt,
    RawTables,
    fill,
    put_customer,
)
from dvd_rental_pipeline_tests.parsed_project import ParsedProject

pytestmark = pytest.mark.slow

FIRST_VALID_FROM = datetime(1900, 1, 1)
HISTORY = """
    select store_id, city, valid_from, valid_to, is_current
    from marts.dim_customer_history where customer_id = {} order by valid_from
"""


def test_rows_are_counted_after_vanished_ones_are_deleted(
    tmp_path: Path, parsed_project: ParsedProject
) -> None:
    raw = RawTables(tmp_path)
    dbt = Dbt(raw, parsed_project)
    fill(raw)
    for rental_id in (1, 2, 3):
        _rent(raw, rental_id, customer_id=1)
    dbt.build_marts()
    raw.vanish("rental", 2)
    built = dbt("run", "--select", "stg_dvd_rental__rental", "fct_rental")
    assert raw.query("select count(*) from marts.fct_rental") == [(2,)]
    # The pipeline reads the last one.
    assert re.findall(r"rows in \S*fct_rental: (\d+)", built)[-1] == "2"


def test_history_follows_the_source(tmp_path: Path, parsed_project: ParsedProject) -> None:
    raw = RawTables(tmp_path)
    dbt = Dbt(raw, parsed_project)
    fill(raw)
    raw.pass_time(days=1)
    for rental_id in (1, 2):
        _rent(raw, rental_id, customer_id=1)
    dbt.build_marts()

    first_move = raw.now + timedelta(days=1)
    raw.pass_time(days=1)
    raw.change("customer", 1, store_id=1)
    raw.change("customer", 2, email="new@example.org")
    raw.delete("customer", 3)
    raw.vanish("customer", 4)
    _rent(raw, 3, customer_id=1, rented_at=first_move - timedelta(microseconds=1))
    _rent(raw, 4, customer_id=1, rented_at=first_move)
    _rent(raw, 5, customer_id=77, rented_at=first_move)
    # Stored with the previous version, which ends in a later sync.
    _rent(raw, 6, customer_id=1, rented_at=first_move + timedelta(hours=18))
    dbt.build_marts()

    second_move = first_move + timedelta(hours=12)
    raw.pass_time(hours=6)
    raw.change("customer", 1, store_id=2)
    raw.pass_time(hours=6)
    raw.change("address", raw.row("customer", 1)["address_id"], city_id=2)
    raw.pass_time(days=1)
    put_customer(raw, 3)
    put_customer(raw, 77)
    dbt.build_marts("--full-refresh")

    assert raw.query(HISTORY.format(1)) == [
        (2, "Ghent", FIRST_VALID_FROM, first_move, False),
        (1, "Ghent", first_move, second_move, False),
        (2, "Leuven", second_move, None, True),
    ], "both changes of the last sync give one version, dated by the later one; a full refresh keeps the others"
    assert [version[2:] for version in raw.query(HISTORY.format(2))] == [(FIRST_VALID_FROM, None, True)], (
        "a change to a column that is not tracked makes no version"
    )
    assert [version[2:] for version in raw.query(HISTORY.format(3))] == [
        (FIRST_VALID_FROM, first_move, False),
        (raw.now, None, True),
    ], "a deletion ends a version at its commit, and a reinserted row starts a new one"
    ((vanished_until, vanished_is_current),) = [version[3:] for version in raw.query(HISTORY.format(4))]
    assert vanished_until > START, "the version of a row that disappeared without a tombstone ends"
    assert not vanished_is_current
    assert raw.query(
        "select rental_id, city, customers.store_id from marts.fct_rental as rentals"
        " inner join marts.dim_customer_history as customers using (customer_key) order by rental_id"
    ) == [
        (1, "Ghent", 2),
        (2, "Ghent", 2),
        (3, "Ghent", 2),
        (4, "Ghent", 1),
        (5, "Ghent", 2),
        (6, "Leuven", 2),
    ], "each rental has the version of its time, also for late-arriving customers and versions"

    completed = dbt(
        "test",
        "--select",
        "path:models/marts",
        "path:snapshots",
        "--exclude",
        "path:models/reports",
        *OTHER_PIPELINES,
    )  # fmt: skip
    assert "ERROR=0" in completed


def test_each_change_within_one_sync_makes_a_version(tmp_path: Path, parsed_project: ParsedProject) -> None:
    raw = RawTables(tmp_path, keep_past=True)
    dbt = Dbt(raw, parsed_project)
    fill(raw)
    dbt.build_marts()

    raw.pass_time(days=1)
    first_move = raw.now
    raw.change("customer", 1, store_id=1)
    raw.pass_time(days=1)
    raw.change("customer", 1, email="new@example.org")
    raw.pass_time(days=1)
    address_change = raw.now
    raw.change("address", raw.row("customer", 1)["address_id"], city_id=2)
    raw.pass_time(days=1)
    deleted = raw.now
    raw.delete("customer", 1)
    raw.pass_time(days=1)
    reinserted = raw.now
    put_customer(raw, 1)
    for rental_id, rented_at in enumerate((first_move, address_change, deleted, reinserted), start=1):
        _rent(raw, rental_id, customer_id=1, rented_at=rented_at)
    dbt.build_marts()

    expected = [
        (2, "Ghent", FIRST_VALID_FROM, first_move, False),
        (1, "Ghent", first_move, address_change, False),
        (1, "Leuven", address_change, deleted, False),
        (2, "Leuven", reinserted, None, True),
    ]
    assert raw.query(HISTORY.format(1)) == expected
    rentals = (
        "select rental_id, city, customers.store_id from marts.fct_rental as rentals"
        " inner join marts.dim_customer_history as customers using (customer_key) order by rental_id"
    )
    found = [(1, "Ghent", 1), (2, "Leuven", 1), (3, "Unknown", None), (4, "Leuven", 2)]
    assert raw.query(rentals) == found, (
        "each rental has the version of its time; there was no customer for the third"
    )
    dbt.build_marts("--full-refresh")
    assert raw.query(HISTORY.format(1)) == expected
    assert raw.query(rentals) == found


def _rent(raw: RawTables, rental_id: int, customer_id: int, rented_at: datetime | None = None) -> None:
    raw.put(
        "rental",
        {
            "rental_id": rental_id,
            "rental_date": rented_at or raw.now,
            "return_date": (rented_at or raw.now) + timedelta(hours=1),
            "inventory_id": rental_id,
            "customer_id": customer_id,
            "staff_id": 1,
        },
    )
