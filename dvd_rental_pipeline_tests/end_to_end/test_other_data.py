"""A user's own database: another edition of the schema, in another zone, with values that cannot be right."""

import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dvd_rental_pipeline.sample.dvd_rental.generator.generate import generate
from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres
from dvd_rental_pipeline_tests.end_to_end.command_line import CommandLine
from dvd_rental_pipeline_tests.sample.conftest import UNTIL
from dvd_rental_pipeline_tests.sample.pagila import convert_to_pagila
from dvd_rental_pipeline_tests.sample.restore.dumps import dump

pytestmark = pytest.mark.heavy

ZONE = "America/New_York"
# Each is wrong in another way; the rental and payment with the lowest keys are closed and paid.
IMPLAUSIBLE = """
set timezone = 'America/New_York';
update rental set return_date = '2050-05-30 10:00' where rental_id = 1;
update rental set return_date = 'infinity' where rental_id = 2;
update rental set rental_date = '0044-03-15 BC' where rental_id = 3;
update rental set rental_date = '-infinity', return_date = null where rental_id = 4;
update payment set payment_date = '1900-01-01' where payment_id = 1;
update payment set payment_date = '9999-12-31' where payment_id = 2;
alter table payment alter rental_id drop not null;
insert into payment (payment_id, customer_id, staff_id, rental_id, amount, payment_date)
values (99001, 1, 1, null, 5.00, '2026-01-02 12:00');
update customer set create_date = '0001-01-01' where customer_id = 1;
update film set title = 'O''Hara <b>&amp;</b> 🎬 שלום' where film_id = 1;
"""
NAMED = {
    ("rental", 1, "return_date"),
    ("rental", 2, "return_date"),
    ("rental", 3, "rental_date"),
    ("rental", 4, "rental_date"),
    ("payment", 1, "payment_date"),
    ("payment", 2, "payment_date"),
    ("customer", 1, "create_date"),
}


@pytest.fixture(scope="module")
def pagila_url(postgres: EmbeddedPostgres) -> str:
    url = postgres.url(f"pagila_{secrets.token_hex(4)}")
    generate(url, scale=0.05, until=UNTIL)
    convert_to_pagila(url, ZONE)
    with psycopg.connect(url) as connection:
        connection.execute(IMPLAUSIBLE.encode())
    return url


@pytest.fixture(scope="module")
def project(
    dvd_rental: CommandLine,
    postgres: EmbeddedPostgres,
    pagila_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[CommandLine, str, str]]:
    """The command line after a restore and a run, with what they printed."""
    path: Path = dump(postgres, pagila_url, tmp_path_factory.mktemp("dump") / "pagila.sql")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVD_RENTAL_TIME_ZONE", ZONE)
        # Neither the zone of this machine nor that of a client may change a result.
        patch.setenv("TZ", "Asia/Kolkata")
        patch.setenv("PGTZ", "Australia/Lord_Howe")
        restored = dvd_rental.run("source", "restore", str(path))
        assert restored.returncode == 0, restored.stderr
        ran = dvd_rental.run("run")
        assert ran.returncode == 0, ran.stderr
        yield dvd_rental, restored.stderr, ran.stderr


def _query(project: tuple[CommandLine, str, str], statement: str) -> Any:
    return project[0].json("query", statement)


def _source(url: str, statement: str) -> Any:
    with psycopg.connect(url) as connection:
        row = connection.execute(statement.encode()).fetchone()
        assert row is not None
        return row[0] if len(row) == 1 else row


def test_restore_says_what_differs_from_the_catalogue(project: tuple[CommandLine, str, str]) -> None:
    restored = re.sub(r"\s+", " ", project[1])
    assert "These columns differ from the catalogue, which the models allow" in restored
    assert "actor.first_name is text, was character varying(45)" in restored
    assert "payment.payment_date is timestamp with time zone, was timestamp without time zone" in restored
    assert "Columns that the catalogue does not have: film.original_language_id." in restored
    assert "may fail" not in restored


def test_run_warns_about_the_edition_in_one_line(project: tuple[CommandLine, str, str]) -> None:
    warnings = [line for line in project[2].splitlines() if "types_match_catalogue" in line]
    assert len(warnings) == 1
    assert "failed for 15 tables" in warnings[0]


def test_facts_conserve_every_row_and_cent(project: tuple[CommandLine, str, str], pagila_url: str) -> None:
    (row,) = _query(
        project, "select count(*) as n, cast(sum(amount) as varchar) as revenue from marts.fct_payment"
    )
    count, revenue = _source(pagila_url, "select count(*), sum(amount)::text from payment")
    assert (row["n"], row["revenue"]) == (count, revenue)
    (row,) = _query(project, "select count(*) as n from marts.fct_rental")
    assert row["n"] == _source(pagila_url, "select count(*) from rental")


def test_implausible_values_are_named_by_key(project: tuple[CommandLine, str, str]) -> None:
    rows = _query(project, "select table_name, row_id, column_name, reason from staging.implausible_times")
    assert {(row["table_name"], row["row_id"], row["column_name"]) for row in rows} == NAMED
    assert {row["reason"] for row in rows} == {"after the row was written", "before 1997-01-01"}


def test_implausible_values_move_no_date(project: tuple[CommandLine, str, str], pagila_url: str) -> None:
    (row,) = _query(project, "select cast(as_of as varchar) as as_of from marts.data_as_of")
    last = _source(
        pagila_url,
        "select (max(at) at time zone 'America/New_York')::text from ("
        " select rental_date as at from rental union all select return_date from rental"
        " union all select payment_date from payment) events where at < now()",
    )
    assert row["as_of"] == last
    (row,) = _query(
        project,
        "select min(calendar_year) as first, max(calendar_year) as last,"
        " count(case when date_key = -1 then 1 end) as unknown from marts.dim_date",
    )
    assert row["unknown"] == 1
    assert int(last[:4]) - 5 < row["first"] <= row["last"] <= int(last[:4]) + 1


def test_rows_with_implausible_values_have_the_unknown_date(project: tuple[CommandLine, str, str]) -> None:
    rentals = _query(
        project,
        "select rental_id, rented_date_key, is_open, return_status from marts.fct_rental"
        " where rental_id <= 4 order by rental_id",
    )
    assert [(row["is_open"], row["return_status"]) for row in rentals] == [
        (False, "unknown"),
        (False, "unknown"),
        (False, "unknown"),
        (True, "open"),
    ]
    assert [row["rented_date_key"] == -1 for row in rentals] == [False, False, True, True]
    payments = _query(
        project,
        "select payment_id, paid_date_key, film_key, store_key from marts.fct_payment"
        " where payment_id in (1, 2, 99001) order by payment_id",
    )
    assert [row["paid_date_key"] for row in payments] == [-1, -1, 20260102]
    assert (payments[2]["film_key"], payments[2]["store_key"]) == ("unknown", "unknown")


def test_checks_warn_and_name_the_payment_without_a_rental(project: tuple[CommandLine, str, str]) -> None:
    report = project[0].run("checks", "report", "--format", "json", "--output", "-")
    assert report.returncode == 0
    assert "99001" in report.stdout
    assert "has_no_rows_implausible_times" in report.stdout


def test_unusual_text_reaches_reports_and_site_unchanged(project: tuple[CommandLine, str, str]) -> None:
    (row,) = _query(project, "select title from reports.top_films where film_id = 1")
    assert row["title"] == "O'Hara <b>&amp;</b> 🎬 שלום"
