"""One sync: bring every raw table up to date with its source, by its changes or by a full copy.

Guarantees:

- A sync is one warehouse transaction: rows, stream position and schema are committed together, or not at all.
- After it, each raw table (without tombstones) equals its source at the sync's target LSN, the end of the WAL
  when the sync started. A copied table equals its source at the moment of the copy, which is later.
- The slot is advanced only after the commit. If that is interrupted, the next sync reads the same WAL again and
  skips the transactions that are already in the raw tables.
- Where the WAL does not suffice (first sync, lost slot, restored source, changed key, rewritten table), the
  table is copied in full, and the reason is reported. Its rows get a new generation, missing keys become
  tombstones, and old tombstones stay, unless the key's columns changed.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import duckdb

from dvd_rental_pipeline.ingestion.postgres_cdc.connect.session import (
    ReplicationError,
    connect,
    translate_errors,
)
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.slot import lock_slot
from dvd_rental_pipeline.ingestion.postgres_cdc.outcome import Step, SyncResult
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.state import StoredState, read_state
from dvd_rental_pipeline.ingestion.postgres_cdc.stream.change_stream import WalHistoryMismatchError
from dvd_rental_pipeline.ingestion.postgres_cdc.sync_attempt import SyncAttempt, SyncRequest, TableSyncError
from dvd_rental_pipeline.warehouse.duckdb_file import open_duckdb

# Limits DuckDB's buffers, which otherwise keep everything that a sync writes until it ends; the rest is spilled
# to disk.
_BUFFER_BYTES = 256_000_000
# A deletion marks 2,048 rows at a time, with 8 bytes for each, in memory that is not spilled.
_DELETION_BYTES_PER_ROW = 10


class Replicator:
    """Keeps the raw tables of one source up to date.

    Args:
        source_url: PostgreSQL 14 or newer, as a libpq URL. The user needs REPLICATION and SELECT on the tables,
            and for the publication their ownership and CREATE on the database.
        warehouse: the DuckDB file; created if missing.
        tables: declared primary key columns by table. The source's own primary key is used; one that differs
            from the declared key is reported among the table's schema changes.
        history: for tables whose past states are kept, the columns to keep beside the key.
        source_schema: the schema of the tables in PostgreSQL.
        target_schema: the schema of the raw tables in DuckDB; the state of the pipeline is stored under it.
        slot: the name of the replication slot and of the publication. Each pipeline needs its own.
        wait_seconds: how long to wait for another sync, and for open transactions of the source.
        on_progress: called with progress messages.
        on_step: called with every `Step` after it is completed.
    """

    def __init__(
        self,
        source_url: str,
        warehouse: Path,
        tables: Mapping[str, tuple[str, ...]],
        *,
        history: Mapping[str, tuple[str, ...]] | None = None,
        source_schema: str = "public",
        target_schema: str = "dvd_rental",
        slot: str = "dvd_rental",
        wait_seconds: float = 300.0,
        on_progress: Callable[[str], None] | None = None,
        on_step: Callable[[Step], None] | None = None,
    ) -> None:
        self._request = SyncRequest(
            source_url=source_url,
            warehouse=warehouse,
            tables=dict(tables),
            history=dict(history or {}),
            source_schema=source_schema,
            target_schema=target_schema,
            slot=slot,
            wait_seconds=wait_seconds,
            on_progress=on_progress or (lambda message: None),
            on_step=on_step or (lambda step: None),
        )

    def sync(self, *, full_refresh: bool = False) -> SyncResult:
        """Bring every table up to date; with `full_refresh`, copy each in full.

        A table that cannot be replicated has its `error` set; the others are synced.

        Raises:
            ReplicationError: nothing could be synced. The raw tables are unchanged.
            WarehouseError: the warehouse cannot be opened, or stayed in use by another process.
        """
        started = time.monotonic()
        with _translate_duckdb_errors(self._request.warehouse):
            try:
                return self._sync(full_refresh=full_refresh, started=started, memory_is_limited=True)
            except duckdb.OutOfMemoryException as error:
                self._request.on_progress(f"starting again with more memory: {str(error).splitlines()[0]}")
            # In another connection: where memory ends within a DELETE, DuckDB keeps the rows marked as deleted
            # after the rollback, and refuses to delete them again.
            return self._sync(full_refresh=full_refresh, started=started, memory_is_limited=False)

    def _sync(self, *, full_refresh: bool, started: float, memory_is_limited: bool) -> SyncResult:
        request = self._request
        with (
            open_duckdb(request.warehouse, on_wait=request.on_progress) as warehouse,
            closing(connect(request.source_url)) as connection,
            translate_errors(request.source_url),
        ):
            lock_timeout = f"{max(1, round(request.wait_seconds * 1000))}ms"
            connection.execute("select set_config('lock_timeout', %s, false)", [lock_timeout])
            lock_slot(
                connection,
                request.slot,
                request.source_url,
                wait_seconds=request.wait_seconds,
                on_progress=request.on_progress,
            )
            if memory_is_limited:
                limit = _memory_limit(read_state(warehouse, request.target_schema))
                warehouse.execute(f"set memory_limit = '{limit} bytes'")
            else:
                warehouse.execute("reset memory_limit")
            requested_refresh = "a full refresh was requested" if full_refresh else None
            errors: dict[str, str] = {}
            while True:
                attempt = SyncAttempt(
                    request,
                    warehouse,
                    connection,
                    requested_refresh=requested_refresh,
                    errors=errors,
                    started=started,
                )
                try:
                    return attempt.run()
                except WalHistoryMismatchError:
                    requested_refresh = "the source was restored to an earlier moment"
                except TableSyncError as error:
                    errors[error.table] = error.reason


def _memory_limit(state: StoredState) -> int:
    """How many bytes DuckDB may use for a sync of the tables of `state`."""
    rows = sum(table.rows + table.tombstones for table in state.tables.values())
    return _BUFFER_BYTES + rows * _DELETION_BYTES_PER_ROW


@contextmanager
def _translate_duckdb_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        raise ReplicationError(
            f"Writing the warehouse at {path} failed: {error}. It is as it was before; check the free space of "
            "its disk, and sync again."
        ) from error
