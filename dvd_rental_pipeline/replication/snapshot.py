"""Full copies: tables read through ADBC as Arrow, within one exported snapshot, in bounded memory."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import adbc_driver_manager
import duckdb
import pyarrow as pa
from adbc_driver_postgresql import dbapi

from dvd_rental_pipeline.replication.raw_tables import RawTable, snapshot_columns
from dvd_rental_pipeline.replication.relations import Relation
from dvd_rental_pipeline.replication.session import (
    SESSION_SQL,
    ReplicationError,
    connection_string,
    explanation,
    literal,
    quoted,
)

_BATCH_BYTES = 8 * 1024 * 1024
_TELL_EVERY_SECONDS = 5.0


@dataclass(frozen=True)
class Copied:
    """How much of a table was copied: rows, and bytes as Arrow holds them."""

    rows: int
    bytes: int
    seconds: float


class SnapshotReader:
    """A session of the source that sees one exported snapshot. Made by `joined`."""

    def __init__(self, connection: dbapi.Connection, url: str, announce: Callable[[str], None]) -> None:
        self._connection = connection
        self._url = url
        self._announce = announce
        self._bytes = 0

    def count(self, relation: Relation) -> int:
        """The rows of a table.

        Raises:
            ReplicationError: the source fails on the way.
        """
        with _explained(self._url), self._connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {_rows_of(relation)}")
            row = cursor.fetchone()
        return int(row[0]) if row else 0

    def copy(self, raw: RawTable, lsn: int, moment: str, *, percent: float | None = None) -> Copied:
        """Copy the rows of a table into its emptied raw table, or a random `percent` of them.

        Raises:
            ReplicationError: the source fails on the way.
        """
        relation = raw.relation
        started = time.monotonic()
        self._bytes = 0
        sample = "" if percent is None else f" TABLESAMPLE SYSTEM ({percent})"
        with _explained(self._url), self._connection.cursor() as cursor:
            cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(_BATCH_BYTES)})
            cursor.execute(f"SELECT {snapshot_columns(relation)} FROM {_rows_of(relation)}{sample}")
            source = cursor.fetch_record_batch()
            batches = self._told(source, relation, started)
            try:
                rows = raw.copy(pa.RecordBatchReader.from_batches(source.schema, batches), lsn, moment)
            except duckdb.Error as error:
                raise ReplicationError(
                    f"Copying {relation.schema}.{relation.name} into the warehouse failed: {error}. The "
                    "warehouse is as it was before; mend the cause (a lost connection? a full disk?) and sync "
                    "again."
                ) from error
        return Copied(rows, self._bytes, time.monotonic() - started)

    def _told(
        self, batches: pa.RecordBatchReader, relation: Relation, started: float
    ) -> Iterator[pa.RecordBatch]:
        rows, told = 0, started
        for batch in batches:
            rows += batch.num_rows
            self._bytes += batch.nbytes
            now = time.monotonic()
            if now - told > _TELL_EVERY_SECONDS:
                told = now
                share = f" of about {relation.row_estimate:,}" if relation.row_estimate > rows else ""
                left = (now - started) * (relation.row_estimate - rows) / rows
                eta = f", {left:.0f} s left" if left > 0 else ""
                self._announce(
                    f"{relation.name}: {rows:,}{share} rows copied ({self._bytes / 1e6:,.0f} MB{eta})"
                )
            yield batch


def _rows_of(relation: Relation) -> str:
    """What follows FROM; a table that is inherited from is read without its heirs, as it is published."""
    return f"{'' if relation.is_partitioned else 'ONLY '}{quoted(relation.schema, relation.name)}"


@contextmanager
def joined(url: str, snapshot: str, announce: Callable[[str], None]) -> Iterator[SnapshotReader]:
    """A reader of the snapshot exported as `snapshot`, whose exporter must stay open meanwhile.

    Raises:
        ReplicationError: the source refuses.
    """
    with (
        _explained(url),
        dbapi.connect(connection_string(url), autocommit=True) as connection,
    ):
        with connection.cursor() as cursor:
            for statement in (
                SESSION_SQL,
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
                f"SET TRANSACTION SNAPSHOT {literal(snapshot)}",
            ):
                cursor.execute(statement)
        yield SnapshotReader(connection, url, announce)


@contextmanager
def _explained(url: str) -> Iterator[None]:
    try:
        yield
    except adbc_driver_manager.Error as error:
        raise ReplicationError(explanation(url, str(error), error.sqlstate)) from None
