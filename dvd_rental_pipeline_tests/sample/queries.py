"""One-line queries of a test database."""

from typing import Any, LiteralString

import psycopg

from dvd_rental_pipeline.sample.dvd_rental.tables import DVD_RENTAL_TABLES


def rows(url: str, query: LiteralString) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()


def value(url: str, query: LiteralString) -> Any:
    return rows(url, query)[0][0]


def fingerprint(url: str) -> dict[str, str]:
    """Return a hash of the content of each DVD rental table, independent of the order of its rows."""
    with psycopg.connect(url) as connection:
        hashes = {}
        for table in DVD_RENTAL_TABLES.primary_keys:
            row = connection.execute(
                f"select md5(string_agg(row_text, '|' order by row_text))"
                f" from (select t::text as row_text from {table} t) as everything"
            ).fetchone()
            assert row is not None
            hashes[table] = row[0]
        return hashes


def databases(url: str) -> set[str]:
    return {name for (name,) in rows(url, "select datname from pg_database")}
