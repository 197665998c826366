"""One attempt at a sync: plan, stream or copy, compact, write and advance, in one warehouse transaction.

The replicator starts another one if the source turns out to be restored, or a table cannot be synced.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import psycopg

from dvd_rental_pipeline.ingestion.postgres_cdc.compact.compact_batch import compact_batch
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.publication import ensure_publication
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.relations import read_relations, refused_tables
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.server import flushed_log_end, identify
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.slot import (
    ExportedSnapshot,
    ReplicationSlot,
    advance_slot,
    create_slot,
    drop_slot,
    read_slot,
)
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.text_forms import format_lsn, iso_timestamp
from dvd_rental_pipeline.ingestion.postgres_cdc.copy.snapshot import open_snapshot
from dvd_rental_pipeline.ingestion.postgres_cdc.outcome import Step, SyncResult, TableSync
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.state import (
    StoredSource,
    StoredState,
    StoredTable,
    read_state,
    write_state,
)
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.sync_plan import (
    SyncPlan,
    TablePlan,
    plan_sync,
    require_owned_slot,
)
from dvd_rental_pipeline.ingestion.postgres_cdc.stream.change_stream import ChangeStream
from dvd_rental_pipeline.ingestion.postgres_cdc.stream.streamed_table import StreamedTable, StreamMismatchError
from dvd_rental_pipeline.ingestion.postgres_cdc.write.raw_tables import (
    RawTable,
    SyncStamp,
    UnrepresentableKeyError,
    WriteCounts,
)


class TableSyncError(Exception):
    """A table cannot be synced at all: the sync starts again without it."""

    def __init__(self, table: str, reason: str) -> None:
        super().__init__(reason)
        self.table = table
        self.reason = reason


@dataclass(frozen=True)
class SyncRequest:
    """The arguments of `Replicator`, which describes them."""

    source_url: str
    warehouse: Path
    tables: Mapping[str, tuple[str, ...]]
    history: Mapping[str, tuple[str, ...]]
    source_schema: str
    target_schema: str
    slot: str
    wait_seconds: float
    on_progress: Callable[[str], None]
    on_step: Callable[[Step], None]


@dataclass
class _StreamedProgress:
    """A streamed table, and what has been written of it so far."""

    plan: TablePlan
    stored: StoredTable
    streamed: StreamedTable
    raw: RawTable
    counts: WriteCounts = field(default_factory=WriteCounts)
    truncated: bool = False
    last_commit_at: str | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class _SyncedTable:
    """A table after its sync; `lsn` and `generation` are to be stored."""

    plan: TablePlan
    result: TableSync
    lsn: int
    generation: int


class SyncAttempt:
    """One attempt at a sync: `run` calls the phases in order, and the methods after it are their details."""

    def __init__(
        self,
        request: SyncRequest,
        warehouse: duckdb.DuckDBPyConnection,
        connection: psycopg.Connection,
        *,
        requested_refresh: str | None,
        errors: Mapping[str, str],
        started: float,
    ) -> None:
        self._request = request
        self._warehouse = warehouse
        self._connection = connection
        self._requested_refresh = requested_refresh
        self._errors = dict(errors)
        self._started = started
        self._extracted_at = datetime.now(UTC).isoformat()
        self._synced: dict[str, _SyncedTable] = {}

    def run(self) -> SyncResult:
        """Sync every table.

        Raises:
            WalHistoryMismatchError: the source was restored, so every table needs a full copy.
            TableSyncError: one table cannot be synced: try again without it.
            duckdb.OutOfMemoryException: a value exceeds the memory limit.
        """
        request, warehouse, connection = self._request, self._warehouse, self._connection

        # Connect. The end of the WAL is read before the catalogue, which then describes everything before it.
        identity = identify(connection, request.source_url)
        target_lsn, target_at = flushed_log_end(connection), time.monotonic()
        relations = read_relations(connection, request.source_schema, request.tables)
        refused = refused_tables(relations, request.tables, request.source_schema, identity.place)
        self._errors = {**refused, **self._errors}
        usable = [relations[name] for name in request.tables if name not in self._errors]
        slot = read_slot(connection, request.slot)
        state = read_state(warehouse, request.target_schema)
        require_owned_slot(slot, request.slot, identity, state.other_sources)
        publication = ensure_publication(connection, request.slot, usable, request.on_progress)

        # Plan.
        plan = plan_sync(
            state,
            identity,
            usable,
            publication,
            slot,
            slot_name=request.slot,
            target_lsn=target_lsn,
            requested_refresh=self._requested_refresh,
            declared_keys=request.tables,
        )

        # Stream or copy, compact, write: in one transaction.
        with _transaction(warehouse):
            if plan.refresh_reason is None and slot is not None:
                source, to_copy = self._stream(plan, state, slot)
                if to_copy:
                    self._copy_beside_slot(to_copy, state, source)
            else:
                source = self._copy_with_new_slot(plan, state, slot)
            write_state(
                warehouse,
                request.target_schema,
                before=state,
                source=source,
                tables={
                    name: StoredTable.of_relation(
                        table.plan.relation,
                        membership=table.plan.membership,
                        retired=table.plan.retired,
                        lsn=table.lsn,
                        generation=table.generation,
                        rows=table.result.rows,
                        tombstones=table.result.tombstones,
                    )
                    for name, table in self._synced.items()
                },
                errors=self._errors,
            )
            request.on_step(Step.BEFORE_COMMIT)
        request.on_step(Step.COMMITTED)

        # Advance.
        if slot is None or plan.refresh_reason is not None or slot.confirmed != source.lsn:
            advance_slot(connection, request.slot, source.lsn)
        request.on_step(Step.ADVANCED)
        return self._result(state, source, target_at)

    def _stream(
        self, plan: SyncPlan, state: StoredState, slot: ReplicationSlot
    ) -> tuple[StoredSource, list[TablePlan]]:
        """Apply the changes of the streamed tables; returns the source after them, and the tables to copy."""
        if state.source is None or slot.confirmed is None:
            raise AssertionError("changes are streamed only from a stored LSN, and from a complete slot")
        to_copy = [table for table in plan.tables if table.copy_reason is not None]
        progress: dict[str, _StreamedProgress] = {}
        for table in plan.tables:
            if table.copy_reason is None and table.stored is not None and table.drift is not None:
                raw = self._raw_table(table, plan.source, table.stored.generation)
                raw.alter(table.drift.added, table.drift.widened)
                streamed = StreamedTable(table.relation, table.stored, max(table.stored.lsn, state.source.lsn))
                progress[table.name] = _StreamedProgress(table, table.stored, streamed, raw)
        stream = ChangeStream(
            state.source, slot.confirmed, plan.source.lsn, [item.streamed for item in progress.values()]
        )
        with closing(stream.batches(self._connection)) as batches:
            for batch in batches:
                for streamed in batch:
                    self._write_batch(progress[streamed.relation.name])
        for item in progress.values():
            if item.streamed.mismatch is not None:
                to_copy.append(replace(item.plan, copy_reason=item.streamed.mismatch))
            else:
                self._finish_streamed(item, state.source.lsn, plan.source.lsn)
        return replace(plan.source, last_commit=stream.last_commit), to_copy

    def _write_batch(self, table: _StreamedProgress) -> None:
        """Compact the changes collected for a table, and write them."""
        started = time.monotonic()
        name = table.plan.name
        try:
            # The messages are not kept in a variable: they are freed before the batch is written.
            batch = compact_batch(
                table.plan.relation,
                table.streamed.take_messages(),
                keep_superseded=name in self._request.history,
            )
            table.counts += table.raw.apply(batch)
        except StreamMismatchError as mismatch:
            table.streamed.stop(str(mismatch))
            return
        except UnrepresentableKeyError as error:
            raise TableSyncError(name, str(error)) from error
        table.truncated |= batch.truncation is not None
        table.last_commit_at = batch.first_and_last_commit()[1]
        table.seconds += time.monotonic() - started
        self._request.on_step(Step.BATCH_APPLIED)

    def _finish_streamed(self, table: _StreamedProgress, lsn_from: int, lsn_to: int) -> None:
        stored, counts = table.stored, table.counts
        rows = stored.rows + counts.inserted - counts.deleted
        result = TableSync(
            table=table.plan.name,
            mode="changes",
            rows=rows,
            rows_before=stored.rows,
            inserted=counts.inserted,
            updated=counts.updated,
            deleted=counts.deleted,
            truncated=table.truncated,
            tombstones=stored.rows + stored.tombstones + counts.added - rows,
            bytes=table.streamed.bytes,
            lsn_from=format_lsn(max(stored.lsn, lsn_from)),
            lsn_to=format_lsn(max(stored.lsn, lsn_to)),
            last_commit_at=table.last_commit_at,
            seconds=table.seconds,
            schema_changes=table.plan.schema_changes,
        )
        self._synced[table.plan.name] = _SyncedTable(table.plan, result, stored.lsn, stored.generation)

    def _copy_beside_slot(self, tables: Iterable[TablePlan], state: StoredState, source: StoredSource) -> None:
        """Copy the tables whose changes do not suffice, from the snapshot of a temporary slot."""
        row = self._connection.execute("select pg_backend_pid()").fetchone()
        name = f"{self._request.slot[:40]}_copy_{row[0] if row else os.getpid()}"
        with self._new_slot(name, temporary=True) as snapshot:
            self._copy(tables, snapshot, state, source)

    def _copy_with_new_slot(
        self, plan: SyncPlan, state: StoredState, slot: ReplicationSlot | None
    ) -> StoredSource:
        """Create the slot again, and copy every table from its snapshot; returns the source after that."""
        request = self._request
        if slot is not None:
            request.on_progress(f"dropping the replication slot {request.slot}: {plan.refresh_reason}")
            drop_slot(self._connection, request.slot, request.wait_seconds)
        with self._new_slot(request.slot, temporary=False) as snapshot:
            offset = plan.source.lsn_offset
            if state.source is not None:
                offset = max(offset, state.source.lsn + state.source.lsn_offset - snapshot.lsn + 1)
            source = replace(plan.source, lsn=snapshot.lsn, last_commit=None, lsn_offset=offset)
            self._copy(plan.tables, snapshot, state, source)
        return source

    @contextmanager
    def _new_slot(self, name: str, *, temporary: bool) -> Iterator[ExportedSnapshot]:
        request = self._request
        with create_slot(
            request.source_url,
            name,
            temporary=temporary,
            wait_seconds=request.wait_seconds,
            on_progress=request.on_progress,
        ) as snapshot:
            request.on_step(Step.SLOT_CREATED)
            yield snapshot

    def _copy(
        self, tables: Iterable[TablePlan], snapshot: ExportedSnapshot, state: StoredState, source: StoredSource
    ) -> None:
        """Replace the raw tables by full copies."""
        request = self._request
        row = self._connection.execute("select clock_timestamp()").fetchone()
        moment = iso_timestamp(row[0] if row else datetime.now(UTC))
        with open_snapshot(request.source_url, snapshot.name, request.on_progress) as reader:
            for table in tables:
                request.on_progress(f"copying {table.name} in full: {table.copy_reason}")
                stored = table.stored
                generation = stored.generation + 1 if stored is not None else 0
                raw = self._raw_table(table, source, generation)
                raw.start_replacement(keep_tombstones=stored is not None and stored.key == table.relation.key)
                try:
                    with reader.read(table.relation) as copied:
                        rows = raw.insert_snapshot(copied.parts, snapshot.lsn, moment)
                except UnrepresentableKeyError as error:
                    raise TableSyncError(table.name, str(error)) from error
                seconds = time.monotonic() - copied.started
                deleted, tombstones = raw.finish_replacement(snapshot.lsn, moment)
                lsn_from = max(stored.lsn, state.source.lsn) if stored and state.source else None
                result = TableSync(
                    table=table.name,
                    mode="snapshot",
                    reason=table.copy_reason,
                    rows=rows,
                    rows_before=stored.rows if stored is not None else 0,
                    inserted=rows,
                    deleted=deleted,
                    tombstones=tombstones,
                    bytes=copied.bytes,
                    lsn_from=format_lsn(lsn_from) if lsn_from is not None else None,
                    lsn_to=format_lsn(snapshot.lsn),
                    seconds=seconds,
                    schema_changes=table.schema_changes,
                )
                self._synced[table.name] = _SyncedTable(table, result, snapshot.lsn, generation)
                request.on_step(Step.TABLE_COPIED)

    def _raw_table(self, table: TablePlan, source: StoredSource, generation: int) -> RawTable:
        return RawTable(
            self._warehouse,
            self._request.target_schema,
            table.relation,
            retired=table.retired,
            generation=generation,
            stamp=SyncStamp(source.syncs, self._extracted_at, source.lsn_offset),
            history=self._request.history.get(table.name),
        )

    def _result(self, state: StoredState, source: StoredSource, target_at: float) -> SyncResult:
        slot = read_slot(self._connection, self._request.slot)
        slot_lag = slot.retained_bytes if slot is not None else 0
        commit_lag = time.monotonic() - target_at
        tables = {}
        for name in self._request.tables:
            if name in self._errors:
                self._request.on_progress(f"{name} was not synced: {self._errors[name]}")
                stored = state.tables.get(name)
                rows = stored.rows if stored is not None else 0
                tables[name] = TableSync(
                    name,
                    "changes",
                    rows=rows,
                    rows_before=rows,
                    slot_lag_bytes=slot_lag,
                    error=self._errors[name],
                )
            else:
                tables[name] = replace(
                    self._synced[name].result, commit_lag_seconds=commit_lag, slot_lag_bytes=slot_lag
                )
        return SyncResult(
            tables=tables,
            lsn_from=format_lsn(state.source.lsn) if state.source is not None else None,
            lsn_to=format_lsn(source.lsn),
            slot_lag_bytes=slot_lag,
            seconds=time.monotonic() - self._started,
        )


@contextmanager
def _transaction(warehouse: duckdb.DuckDBPyConnection) -> Iterator[None]:
    warehouse.execute("BEGIN")
    try:
        yield
    except BaseException:
        warehouse.execute("ROLLBACK")
        raise
    warehouse.execute("COMMIT")
