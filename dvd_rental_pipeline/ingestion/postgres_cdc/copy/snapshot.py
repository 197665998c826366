"""Full copies: the rows of tables in one exported snapshot, read through ADBC as Arrow, in bounded memory."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import adbc_driver_manager
import duckdb
import pyarrow as pa
from adbc_driver_postgresql import dbapi

from dvd_rental_pipeline.ingestion.postgres_cdc.connect.relations import SourceRelation
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.session import (
    SESSION_SQL,
    ReplicationError,
    connection_string,
    translate_errors,
)
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.text_forms import literal, quoted

_BATCH_BYTES = 8 * 1024 * 1024
PROGRESS_SECONDS = 5.0
# A table of at least this many pages (64 MB) is read by several sessions in parallel.
SPLIT_PAGES = 8_192
_SESSIONS = 2


class SnapshotRows:
    """The rows of one table in a snapshot, in `parts` that can be read in parallel.

    A part has, for the column at position N, the value as `cN`; for a type whose native value is not always
    exact, `cN` is NULL for such values, and `xN` has their text (see `ColumnType`). Progress is reported every
    few seconds.

    Attributes:
        bytes: what has been read so far, as the size of its Arrow buffers.
        started: when reading started, on the monotonic clock.
    """

    def __init__(self, relation: SourceRelation, on_progress: Callable[[str], None]) -> None:
        self.parts: list[pa.RecordBatchReader] = []
        self.bytes = 0
        self.started = time.monotonic()
        self.interrupt: BaseException | None = None
        self._relation = relation
        self._on_progress = on_progress
        self._rows = 0
        self._reported_at = self.started
        self._lock = threading.Lock()

    def add_part(self, part: pa.RecordBatchReader) -> None:
        """Add a part, whose batches are counted as they are read."""
        self.parts.append(pa.RecordBatchReader.from_batches(part.schema, self._counted(part)))

    def _counted(self, part: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        try:
            for batch in part:
                with self._lock:
                    self._rows += batch.num_rows
                    self.bytes += batch.nbytes
                    self._report_progress()
                yield batch
        except BaseException as raised:
            # DuckDB, which reads the batches, would report an interrupt as an error of its own.
            if not isinstance(raised, Exception | GeneratorExit):
                self.interrupt = raised
            raise

    def _report_progress(self) -> None:
        now = time.monotonic()
        if now - self._reported_at < PROGRESS_SECONDS:
            return
        self._reported_at = now
        estimate = self._relation.row_estimate
        total = f" of about {estimate:,}" if estimate > self._rows else ""
        left = (now - self.started) * (estimate - self._rows) / max(1, self._rows)
        eta = f", {left:.0f} s left" if left > 0 else ""
        self._on_progress(
            f"{self._relation.name}: {self._rows:,}{total} rows copied ({self.bytes / 1e6:,.0f} MB{eta})"
        )


class SnapshotReader:
    """Sessions that use one exported snapshot of the source. Created by `open_snapshot`."""

    def __init__(
        self, open_session: Callable[[], dbapi.Connection], on_progress: Callable[[str], None]
    ) -> None:
        self._open_session = open_session
        self._sessions = [open_session()]
        self._on_progress = on_progress

    def count(self, relation: SourceRelation) -> int:
        """The number of rows of a table."""
        with self._sessions[0].cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {_from_item(relation)}")
            row = cursor.fetchone()
        return int(row[0]) if row else 0

    @contextmanager
    def read(self, relation: SourceRelation, *, percent: float | None = None) -> Iterator[SnapshotRows]:
        """The rows of a table, or a random sample of `percent` of them, to be read within the `with` block.

        Raises:
            ReplicationError: the block raised a DuckDB error other than OutOfMemoryException.
        """
        sample = "" if percent is None else f" TABLESAMPLE SYSTEM ({percent})"
        query = f"SELECT {_select_list(relation)} FROM {_from_item(relation)}{sample}"
        rows = SnapshotRows(relation, self._on_progress)
        with ExitStack() as cursors:
            for number, condition in enumerate(_page_ranges(relation)):
                if number == len(self._sessions):
                    self._sessions.append(self._open_session())
                cursor = cursors.enter_context(self._sessions[number].cursor())
                cursor.adbc_statement.set_options(
                    **{"adbc.postgresql.batch_size_hint_bytes": str(_BATCH_BYTES)}
                )
                cursor.execute(query + condition)
                rows.add_part(cursor.fetch_record_batch())
            try:
                yield rows
            except duckdb.OutOfMemoryException:
                raise
            except duckdb.Error as error:
                if rows.interrupt is not None:
                    raise rows.interrupt from None
                raise ReplicationError(
                    f"Copying {relation.schema}.{relation.name} into the warehouse failed: {error}. The "
                    "warehouse is as it was before; fix the cause (a lost connection? a full disk?) and sync "
                    "again."
                ) from error


@contextmanager
def open_snapshot(url: str, snapshot: str, on_progress: Callable[[str], None]) -> Iterator[SnapshotReader]:
    """A reader of the snapshot exported as `snapshot`, whose exporting session must stay open meanwhile.

    Raises:
        ReplicationError: the source fails, here or within the `with` block.
    """
    with translate_errors(url, adbc_driver_manager.Error), ExitStack() as sessions:

        def open_session() -> dbapi.Connection:
            connection = sessions.enter_context(dbapi.connect(connection_string(url), autocommit=True))
            with connection.cursor() as cursor:
                for statement in (
                    SESSION_SQL,
                    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
                    f"SET TRANSACTION SNAPSHOT {literal(snapshot)}",
                ):
                    cursor.execute(statement)
            return connection

        yield SnapshotReader(open_session, on_progress)


def _select_list(relation: SourceRelation) -> str:
    """The expressions for the columns described at `SnapshotRows`."""
    selected = []
    for position, column in enumerate(relation.columns):
        name = quoted(column.name)
        value = column.type.source.format(name)
        if column.type.exact is None:
            selected.append(f"{value} AS c{position}")
        else:
            exact = column.type.exact.format(name)
            selected.append(f"CASE WHEN {exact} THEN {value} END AS c{position}")
            selected.append(f"CASE WHEN NOT ({exact}) THEN {value}::text END AS x{position}")
    return ", ".join(selected)


def _from_item(relation: SourceRelation) -> str:
    """The table after FROM, without inheriting tables, as it is published."""
    return f"{'' if relation.is_partitioned else 'ONLY '}{quoted(relation.schema, relation.name)}"


def _page_ranges(relation: SourceRelation) -> Sequence[str]:
    """Conditions that split a large table into ranges of pages, to be read in parallel.

    The last range is open, so that it contains pages added since the size was read.
    """
    if relation.pages < SPLIT_PAGES:
        return ("",)
    bounds = [relation.pages * number // _SESSIONS for number in range(_SESSIONS)]
    return tuple(
        f" WHERE ctid >= '({bound},0)'::pg_catalog.tid"
        + (f" AND ctid < '({bounds[number + 1]},0)'::pg_catalog.tid" if number + 1 < _SESSIONS else "")
        for number, bound in enumerate(bounds)
    )
