"""Fill the totesys database with sample data."""

from collections.abc import Callable
from datetime import datetime
from importlib.resources import files

import psycopg
from psycopg import sql

from dvd_rental_pipeline.sample.errors import SourceError
from dvd_rental_pipeline.sample.staged_database import staged_database
from dvd_rental_pipeline.sample.totesys.tables import TOTESYS_TABLES

SALES_ORDERS = 11_175
PURCHASE_ORDERS = 4_640


def generate(
    url: str,
    *,
    scale: float = 1.0,
    seed: int = 42,
    until: datetime | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> dict[str, int]:
    """Replace the database that `url` names by sample data; return the number of rows by table.

    The same seed, scale and `until` give identical rows. `until` is the end of the two years of history, in UTC
    and without a zone (default: now, in whole minutes). Scale 1 is the size of the original; a scale changes
    the number of orders. One order in a thousand has a malformed text date.

    Raises:
        SourceError: an argument is out of range, or the database cannot be replaced. The old data are then
            unchanged.
    """
    if not 0.001 <= scale <= 1000:
        raise SourceError("The scale must be between 0.001 and 1000.")
    report = on_progress or (lambda _: None)
    package = files("dvd_rental_pipeline.sample.totesys")
    with staged_database(url, TOTESYS_TABLES) as staged, psycopg.connect(staged) as connection:
        connection.execute("set local synchronous_commit = off")
        connection.execute("set local timezone = 'UTC'")
        connection.execute("select set_config('sample.seed', %s, true)", [str(seed)])
        connection.execute((package / "schema.sql").read_bytes())
        connection.execute(
            "create temp table sample_span as"
            " select until - interval '740 days' as since, until, %s::bigint as sales,"
            " %s::bigint as purchases"
            " from (select coalesce(%s::timestamp(3), date_trunc('minute', localtimestamp(3))) as until)",
            [max(1, round(SALES_ORDERS * scale)), max(1, round(PURCHASE_ORDERS * scale)), until],
        )
        report(f"Generating {SALES_ORDERS * scale:,.0f} sales orders")
        connection.execute((package / "generate.sql").read_bytes())
        for table in TOTESYS_TABLES.primary_keys:
            connection.execute(
                sql.SQL(
                    "select setval(pg_get_serial_sequence({name}, {key}), max({column})) from {table}"
                ).format(
                    name=table,
                    key=f"{table}_id",
                    column=sql.Identifier(f"{table}_id"),
                    table=sql.Identifier(table),
                )
            )
        connection.execute("analyze")
    return TOTESYS_TABLES.row_counts(url)
