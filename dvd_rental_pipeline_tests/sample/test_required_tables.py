"""Presence and row counts of a database's required tables."""

import psycopg
import pytest

from dvd_rental_pipeline.sample.required_tables import RequiredTables

TABLES = RequiredTables("library", {"book": ("isbn",), "loan": ("loan_id",)})


def test_unreachable_server_is_not_a_missing_database() -> None:
    with pytest.raises(psycopg.OperationalError):
        TABLES.are_missing("postgresql://nobody@127.0.0.1:1/x")


def test_tables_are_missing_until_one_exists(database_url: str) -> None:
    assert TABLES.are_missing(database_url)
    assert TABLES.row_counts(database_url) == {}
    with psycopg.connect(database_url) as connection:
        connection.execute("create table shelf (shelf_id integer primary key)")
        connection.execute("insert into shelf values (1)")
    assert TABLES.are_missing(database_url)
    with psycopg.connect(database_url) as connection:
        connection.execute("create table book (isbn text primary key)")
    assert not TABLES.are_missing(database_url)
    assert TABLES.row_counts(database_url) == {"book": 0}
    with psycopg.connect(database_url) as connection:
        connection.execute("create table loan (loan_id integer primary key)")
        connection.execute("insert into loan values (1)")
    assert TABLES.row_counts(database_url) == {"book": 0, "loan": 1}
