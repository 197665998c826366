"""Asking a database in one line."""

from typing import Any, LiteralString

import psycopg

from dvd_rental_pipeline.sample.database import KEYS


def rows(url: str, query: LiteralString) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()


def value(url: str, query: LiteralString) -> Any:
    return rows(url, query)[0][0]


def fingerprint(url: str) -> dict[str, str]:
    """A hash of everything in each of the 15 tables, whatever order it is stored in."""
    with psycopg.connect(url) as connection:
        found = {}
        for table in KEYS:
            row = connection.execute(
                f"select md5(string_agg(row_text, '|' order by row_text))"
                f" from (select t::text as row_text from {table} t) as everything"
            ).fetchone()
            assert row is not None
            found[table] = row[0]
        return found


def databases(url: str) -> set[str]:
    return {name for (name,) in rows(url, "select datname from pg_database")}
