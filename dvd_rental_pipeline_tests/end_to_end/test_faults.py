"""What goes wrong in the business data, or in a mart, is told, and is over when it is mended."""

import json

import duckdb
import psycopg
import pytest

from dvd_rental_pipeline_tests.end_to_end.command_line import CommandLine

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def business(dvd_rental: CommandLine) -> CommandLine:
    """A small chain of stores after its first run, on a source that stays up."""
    dvd_rental.ok("source", "start")
    dvd_rental.ok("source", "generate", "--scale", "0.05")
    dvd_rental.ok("run")
    return dvd_rental


def source(business: CommandLine, *statements: str) -> None:
    with psycopg.connect(business.json("source", "status")["url"], autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def outcomes(business: CommandLine, outcome: str) -> set[str]:
    """The names of the checks that ended so, of the report."""
    report = json.loads(business.run("checks", "report", "--format", "json", "--output", "-").stdout)
    return {check["check"] for check in report["checks"] if check["outcome"] == outcome}


def test_odd_rows_of_the_source_warn_and_are_kept_until_they_are_mended(business: CommandLine) -> None:
    usual = outcomes(business, "warned")
    source(
        business,
        "alter table rental drop constraint rental_customer_id_fkey",
        "alter table payment drop constraint payment_customer_id_fkey",
        "insert into rental (rental_id, rental_date, inventory_id, customer_id, staff_id)"
        " select 900001, max(rental_date), min(inventory_id), 9999, 1 from rental",
        "insert into payment (payment_id, customer_id, staff_id, rental_id, amount, payment_date)"
        " select 900001, min(customer_id), 1, min(rental_id), -5, max(rental_date) from rental",
        "insert into payment (payment_id, customer_id, staff_id, rental_id, amount, payment_date)"
        " select 900002, 9998, 1, min(rental_id), 1, max(rental_date) from rental",
    )
    business.ok("run")
    warned = " ".join(outcomes(business, "warned") - usual)
    assert "not_negative_fct_payment_amount" in warned, "a negative amount"
    assert "relationships_fct_rental_customer_id" in warned, "an orphan rental"
    assert "relationships_fct_payment_customer_id" in warned, "a payment of an unknown customer"
    # Nothing is left out: the totals still hold, and who is not known is shown as such.
    assert outcomes(business, "failed") == set()
    assert business.json("query", "select customer_key from marts.fct_rental where rental_id = 900001") == [
        {"customer_key": "unknown"}
    ]
    for table in ("payment", "rental"):
        source(business, f"delete from {table} where {table}_id > 900000")
    business.ok("run")
    assert outcomes(business, "warned") == usual


def test_a_fan_out_in_a_mart_is_found_by_the_checks_alone(business: CommandLine) -> None:
    with duckdb.connect(business.home / "warehouse.duckdb") as warehouse:
        warehouse.execute("insert into marts.fct_payment select f.* from marts.fct_payment f, range(2)")
    done = business.run("checks", "run", "--select", 'key:"marts/fct_payment"')
    assert done.returncode == 1
    failed = outcomes(business, "failed")
    assert {"unique_fct_payment_payment_id", "fct_payment_conserves_totals"} <= failed
    business.ok("run", "--full-refresh", "--select", 'key:"marts/fct_payment"')
    assert outcomes(business, "failed") == set()
