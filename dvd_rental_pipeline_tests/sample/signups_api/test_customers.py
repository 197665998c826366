"""Some of the sample users are customers of the embedded rental database: the same ones whenever asked."""

from datetime import UTC, datetime
from typing import Any

import psycopg

from dvd_rental_pipeline.sample.dvd_rental.generator.generate import generate
from dvd_rental_pipeline.sample.signups_api.customers import read_customer_emails
from dvd_rental_pipeline.sample.signups_api.users import COUNTRIES, build_page

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CUSTOMERS = [f"customer{number}@customer.example" for number in range(50)]


def users(page: int, customers: list[str], size: int = 20) -> list[dict[str, Any]]:
    document = build_page("2026-03-01", page, size, sorted(COUNTRIES), NOON, customers=customers)
    results: list[dict[str, Any]] = document["results"]
    return results


def test_one_user_in_twenty_is_a_customer() -> None:
    for size in (1, 3, 20, 100):
        given = [user for page in range(1, 101) for user in users(page, CUSTOMERS, size)]
        assert sum(user["email"] in CUSTOMERS for user in given) == 100 * size // 20


def test_a_customer_is_always_the_same_user() -> None:
    given = [user for page in range(1, 601) for user in users(page, CUSTOMERS) if user["email"] in CUSTOMERS]
    by_email = {user["email"]: user for user in given}
    assert len(by_email) == len(CUSTOMERS)
    assert all(user == by_email[user["email"]] for user in given)
    assert len({user["login"]["uuid"] for user in given}) == len(CUSTOMERS)


def test_the_other_users_are_those_of_a_server_without_customers() -> None:
    for with_customers, without in zip(users(7, CUSTOMERS), users(7, []), strict=True):
        assert with_customers == without or with_customers["email"] in CUSTOMERS


def test_the_addresses_are_those_in_the_rental_database(database_url: str) -> None:
    assert read_customer_emails(database_url) == [], "there is no table"
    generate(database_url, scale=0.02)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("update customer set email = '' where customer_id = 1")
        emails = connection.execute(
            "select email from customer where email <> '' order by customer_id limit 500"
        ).fetchall()
    found = read_customer_emails(database_url)
    assert len(found) > 5
    assert found == [email for (email,) in emails]
    assert read_customer_emails(f"{database_url}_missing") == []
