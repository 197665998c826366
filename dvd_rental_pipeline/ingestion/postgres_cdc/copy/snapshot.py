"""Full copies: tables read through ADBC as Arrow, within one exported snapshot, in bounded memory."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import adbc_driver_manager
import duckdb
import pyarrow as pa
from adbc_driver_postgresql import dbapi

from dvd_rental_pipeline.ingestion.postgres_cdc.connect.session import (
    SESSION_SQL,
    ReplicationError,
    connection_string,
    explanation,
    literal,
    quoted,
)
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.relations import Relation
from dvd_rental_pipeline.ingestion.postgres_cdc.write.raw_tables import RawTable, snapshot_columns

_BATCH_BYTES = 8 * 1024 * 1024
TELL_EVERY_SECONDS = 5.0
# A table of so many pages (64 MB) is read by several sessions at once.
SPLIT_PAGES = 8_192
_SESSIONS = 2


@dataclass(frozen=True)
class Copied:
    """How much of a table was copied: rows, and bytes as Arrow holds them."""

    rows: int
    bytes: int
    seconds: float


class SnapshotReader:
    """Sessions of the source that see one exported snapshot, of which the first is open. Made by `joined`."""

    def __init__(
        self, open_session: Callable[[], dbapi.Connection], url: str, announce: Callable[[str], None]
    ) -> None:
        self._open_session = open_session
        self._sessions = [open_session()]
        self._url = url
        self._announce = announce

    def count(self, relation: Relation) -> int:
        """The rows of a table.

        Raises:
            ReplicationError: the source fails on the way.
        """
        with _translate_errors(self._url), self._sessions[0].cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {_rows_of(relation)}")
            row = cursor.fetchone()
        return int(row[0]) if row else 0

    def copy(self, raw: RawTable, lsn: int, moment: str, *, percent: float | None = None) -> Copied:
        """Copy the rows of a table into its emptied raw table, or a random `percent` of them.

        Raises:
            ReplicationError: the source fails on the way.
            duckdb.OutOfMemoryException: a value does not fit into the memory that DuckDB may take.
        """
        relation = raw.relation
        sample = "" if percent is None else f" TABLESAMPLE SYSTEM ({percent})"
        query = f"SELECT {snapshot_columns(relation)} FROM {_rows_of(relation)}{sample}"
        progress = _Progress(relation, self._announce)
        with _translate_errors(self._url), ExitStack() as opened:
            sources: list[pa.RecordBatchReader] = []
            for number, part in enumerate(_parts(relation)):
                if number == len(self._sessions):
                    self._sessions.append(self._open_session())
                cursor = opened.enter_context(self._sessions[number].cursor())
                cursor.adbc_statement.set_options(
                    **{"adbc.postgresql.batch_size_hint_bytes": str(_BATCH_BYTES)}
                )
                cursor.execute(query + part)
                source = cursor.fetch_record_batch()
                sources.append(pa.RecordBatchReader.from_batches(source.schema, progress.told(source)))
            try:
                rows = raw.copy(sources, lsn, moment)
            except duckdb.OutOfMemoryException:
                raise
            except duckdb.Error as error:
                raise ReplicationError(
                    f"Copying {relation.schema}.{relation.name} into the warehouse failed: {error}. The "
                    "warehouse is as it was before; mend the cause (a lost connection? a full disk?) and sync "
                    "again."
                ) from error
        return Copied(rows, progress.bytes, time.monotonic() - progress.started)


class _Progress:
    """How far the copy of a table has come, told every few seconds; several threads may read it at once."""

    def __init__(self, relation: Relation, announce: Callable[[str], None]) -> None:
        self.started = time.monotonic()
        self.bytes = 0
        self._relation = relation
        self._announce = announce
        self._rows = 0
        self._told = self.started
        self._lock = threading.Lock()

    def told(self, batches: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        """The same batches, counted."""
        for batch in batches:
            with self._lock:
                self._rows += batch.num_rows
                self.bytes += batch.nbytes
                self._tell()
            yield batch

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self._told < TELL_EVERY_SECONDS:
            return
        self._told = now
        estimate = self._relation.row_estimate
        share = f" of about {estimate:,}" if estimate > self._rows else ""
        left = (now - self.started) * (estimate - self._rows) / max(1, self._rows)
        eta = f", {left:.0f} s left" if left > 0 else ""
        self._announce(
            f"{self._relation.name}: {self._rows:,}{share} rows copied ({self.bytes / 1e6:,.0f} MB{eta})"
        )


def _rows_of(relation: Relation) -> str:
    """What follows FROM; a table that is inherited from is read without its heirs, as it is published."""
    return f"{'' if relation.is_partitioned else 'ONLY '}{quoted(relation.schema, relation.name)}"


def _parts(relation: Relation) -> Sequence[str]:
    """What follows, to read a large table in parts at the same time: ranges of where its rows stand.

    The last range is open, so that no row is left out if the table has grown since it was looked at.
    """
    if relation.pages < SPLIT_PAGES:
        return ("",)
    bounds = [relation.pages * number // _SESSIONS for number in range(_SESSIONS)]
    return tuple(
        f" WHERE ctid >= '({bound},0)'::pg_catalog.tid"
        + (f" AND ctid < '({bounds[number + 1]},0)'::pg_catalog.tid" if number + 1 < _SESSIONS else "")
        for number, bound in enumerate(bounds)
    )


@contextmanager
def joined(url: str, snapshot: str, announce: Callable[[str], None]) -> Iterator[SnapshotReader]:
    """A reader of the snapshot exported as `snapshot`, whose exporter must stay open meanwhile.

    Raises:
        ReplicationError: the source refuses.
    """
    with ExitStack() as opened:

        def open_session() -> dbapi.Connection:
            connection = opened.enter_context(dbapi.connect(connection_string(url), autocommit=True))
            with connection.cursor() as cursor:
                for statement in (
                    SESSION_SQL,
                    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
                    f"SET TRANSACTION SNAPSHOT {literal(snapshot)}",
                ):
                    cursor.execute(statement)
            return connection

        with _translate_errors(url):
            reader = SnapshotReader(open_session, url, announce)
        yield reader


@contextmanager
def _translate_errors(url: str) -> Iterator[None]:
    try:
        yield
    except adbc_driver_manager.Error as error:
        raise ReplicationError(explanation(url, str(error), error.sqlstate)) from None
