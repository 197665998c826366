"""Reading a PostgreSQL source in one snapshot: rows changed since a time, and the next watermark."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from psycopg import sql

from dvd_rental_pipeline.core.catalog import Column, Domain, Table
from dvd_rental_pipeline.ingestion.files.parquet_session import duckdb_type
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.session import (
    SESSION_SQL,
    connection_string,
    translate_errors,
)

if TYPE_CHECKING:
    import pyarrow as pa
    from adbc_driver_postgresql import dbapi

UPDATED = "last_updated"
_BATCH_BYTES = str(8 * 1024 * 1024)
# What the application writes is visible after its commit; its own time of the change may be as early as the
# beginning of its transaction. Sessions that are only connected have no xact_start.
_HORIZON = """
    select date_trunc('milliseconds', least(
        timezone('UTC', clock_timestamp()),
        (select min(timezone('UTC', xact_start)) from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid()),
        (select min(timezone('UTC', prepared)) from pg_prepared_xacts where database = current_database())
    ))
"""
_SEES_OTHER_SESSIONS = "select pg_has_role(current_user, 'pg_read_all_stats', 'member')"


@dataclass(frozen=True)
class SourceReader:
    """One snapshot of a source.

    Attributes:
        watermark: transactions that are not in the snapshot began at this time or later, in UTC by the clock of
            the server.
        sees_other_sessions: whether the role may read when transactions of other roles began. If not, a late
            commit is only found within the overlap.
    """

    domain: Domain
    watermark: datetime
    sees_other_sessions: bool
    _connection: "dbapi.Connection"

    @contextmanager
    def read(self, table: Table, since: datetime | None) -> "Iterator[pa.RecordBatchReader]":
        """Rows of `table` with `last_updated` at or after `since`, or all, in batches of a few megabytes.

        Rows whose `last_updated` is NULL are always read.
        """
        query = sql.SQL("select {} from {}").format(
            sql.SQL(", ").join(map(_select, table.columns)),
            sql.Identifier(self.domain.source_schema, table.name),
        )
        with self._connection.cursor() as cursor:
            if since is not None:
                # COPY, which streams, takes no parameters: the value is bound to a setting of the transaction.
                cursor.execute("select set_config('ingestion.since', $1, true)", [since.isoformat()])
                cursor.fetchall()
                query += sql.SQL(
                    " where {0} >= current_setting('ingestion.since')::timestamp or {0} is null"
                ).format(sql.Identifier(UPDATED))
            cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": _BATCH_BYTES})
            cursor.execute(query.as_string())
            yield cursor.fetch_record_batch()

    def count_before(self, table: Table, moment: datetime) -> tuple[int, datetime | None]:
        """The number of rows of `table` with `last_updated` before `moment`, and the newest time among them."""
        query = sql.SQL("select count(*), max({0}) from {1} where {0} < $1::timestamp").format(
            sql.Identifier(UPDATED), sql.Identifier(self.domain.source_schema, table.name)
        )
        with self._connection.cursor() as cursor:
            cursor.execute(query.as_string(), [moment.isoformat()])
            row = cursor.fetchone()
        return (int(row[0]), row[1]) if row else (0, None)


@contextmanager
def open_source(url: str, domain: Domain) -> Iterator[SourceReader]:
    """A reader of one snapshot of `domain` at `url`.

    Raises:
        ReplicationError: the source cannot be reached, lacks a table, or reports an error while it is read.
    """
    import adbc_driver_manager  # noqa: PLC0415 - slow to import
    from adbc_driver_postgresql import dbapi  # noqa: PLC0415 - slow to import

    with (
        translate_errors(url, adbc_driver_manager.Error),
        dbapi.connect(
            connection_string(url, application_name=f"{domain.name} ingestion"), autocommit=True
        ) as connection,
    ):
        with connection.cursor() as cursor:
            cursor.execute(SESSION_SQL)
            cursor.fetchall()
            # Before the snapshot: what is not in the snapshot either runs now, or begins later.
            cursor.execute(_HORIZON)
            row = cursor.fetchone()
            watermark = row[0] if row else None
            if not isinstance(watermark, datetime):
                raise TypeError(f"PostgreSQL returned {watermark!r} as a time")
            cursor.execute(_SEES_OTHER_SESSIONS)
            sees = cursor.fetchone()
            cursor.execute("begin isolation level repeatable read read only")
        yield SourceReader(domain, watermark, bool(sees and sees[0]), connection)


def _select(column: Column) -> sql.Composable:
    name = sql.Identifier(column.name)
    kind = duckdb_type(column.type)
    # Arrow has no type for numeric and enums; Parquet gets their exact type from the catalogue.
    if kind == "varchar" or kind.startswith("decimal"):
        return sql.SQL("{0}::text as {0}").format(name)
    return name
