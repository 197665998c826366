"""Emptiness and row counts of a database's required tables."""

import psycopg
import pytest

from dvd_rental_pipeline.sample.required_tables import RequiredTables

TABLES = RequiredTables("library", {"book": ("isbn",), "loan": ("loan_id",)})


def test_unreachable_server_is_not_an_empty_database() -> None:
    with pytest.raises(psycopg.OperationalError):
        TABLES.are_empty("postgresql://nobody@127.0.0.1:1/x")


def test_database_is_empty_until_a_table_has_a_row(database_url: str) -> None:
    assert TABLES.are_empty(database_url)
    assert TABLES.row_counts(database_url) == {}
    with psycopg.connect(database_url) as connection:
        connection.execute("create table book (isbn text primary key)")
        connection.execute("create table loan (loan_id integer primary key)")
        connection.execute("create table shelf (shelf_id integer primary key)")
        connection.execute("insert into shelf values (1)")
    assert TABLES.are_empty(database_url)
    with psycopg.connect(database_url) as connection:
        connection.execute("insert into loan values (1)")
    assert not TABLES.are_empty(database_url)
    assert TABLES.row_counts(database_url) == {"book": 0, "loan": 1}
