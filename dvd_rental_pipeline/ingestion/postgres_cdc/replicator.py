"""One sync: bring every raw table level with its source, by its changes or, where they do not suffice, a copy.

What a reader may rely on:

- A sync takes place in one warehouse transaction: rows, position and schema are committed together, or nothing.
- After it, each raw table (tombstones aside) equals its source at the sync's target, the end of the log when it
  began; a table that was copied, at the moment of the copy, which is later.
- The slot is told to forget its log only after the commit. When that is cut short, the next sync reads the same
  stretch of log again and leaves out what it has.
- Where the log does not tell everything (first sync, lost slot, restored source, changed key, rewritten table),
  the table is copied anew in full, announced with its reason: its rows get a new generation, keys that are gone
  become tombstones, and old tombstones stay (unless the key's columns changed: then they go).
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import psycopg

from dvd_rental_pipeline.ingestion.postgres_cdc.connect import publication, slot
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.session import (
    ReplicationError,
    connect,
    format_lsn,
    place,
    translate_errors,
)
from dvd_rental_pipeline.ingestion.postgres_cdc.copy.copy_tables import copy_all, copy_some
from dvd_rental_pipeline.ingestion.postgres_cdc.outcome import Step, SyncResult, TableSync
from dvd_rental_pipeline.ingestion.postgres_cdc.plan import relations, state
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.attempt import Attempt, Job, TableSyncError
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.continuity import full_refresh_reason, require_owned_slot
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.relations import Relation
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.state import State, StoredSource
from dvd_rental_pipeline.ingestion.postgres_cdc.stream.apply_changes import follow
from dvd_rental_pipeline.ingestion.postgres_cdc.stream.change_stream import WalHistoryMismatchError
from dvd_rental_pipeline.warehouse.duckdb_file import open_duckdb

# Of DuckDB's buffers, which would otherwise keep all that a sync writes until it ends. What does not fit is on
# disk.
_MEMORY_LIMIT = "256MB"


class Replicator:
    """Keeps the raw tables of one source level with it.

    Args:
        source_url: PostgreSQL 14 or newer, as a libpq URL. The user needs REPLICATION and SELECT on the tables,
            and for the publication their ownership and CREATE on the database.
        warehouse: the DuckDB file; made when missing.
        tables: primary key columns by table. The source's own primary key is what counts; one that differs is
            noted among the table's schema changes.
        history: for tables of which past states are kept, the columns to keep beside the key.
        source_schema: where the tables stand in PostgreSQL.
        target_schema: where the raw tables stand in DuckDB. One source for each.
        slot: name of the replication slot and of the publication. One for each warehouse.
        wait_seconds: how long to wait for another sync, and for open transactions of the source.
        on_progress: gets a sentence now and then.
        on_step: gets every `Step` as it is reached.
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
        self._job = Job(
            source_url=source_url,
            warehouse=warehouse,
            tables=dict(tables),
            history=dict(history or {}),
            source_schema=source_schema,
            target_schema=target_schema,
            slot=slot,
            wait_seconds=wait_seconds,
            announce=on_progress or (lambda sentence: None),
            on_step=on_step or (lambda step: None),
        )

    def sync(self, *, full_refresh: bool = False) -> SyncResult:
        """Bring every table level with its source; with `full_refresh` copy each anew.

        A table that cannot be replicated has its `error` set, the others go on.

        Raises:
            ReplicationError: nothing could be synced. The raw tables are as they were.
            WarehouseError: the warehouse cannot be opened, or stayed in use by another process.
        """
        started = time.monotonic()
        job = self._job
        with (
            open_duckdb(job.warehouse, wait_seconds=job.wait_seconds, on_wait=job.announce) as warehouse,
            closing(connect(job.source_url)) as connection,
            translate_errors(job.source_url),
            self._written(),
        ):
            warehouse.execute(f"set memory_limit = '{_MEMORY_LIMIT}'")
            memory_is_bound = True
            patience = f"{max(1, round(job.wait_seconds * 1000))}ms"
            connection.execute("select set_config('lock_timeout', %s, false)", [patience])
            _take_turn(job, connection)
            reason = "a full refresh was asked for" if full_refresh else None
            errors: dict[str, str] = {}
            while True:
                try:
                    return self._attempt(warehouse, connection, reason, errors, started)
                except WalHistoryMismatchError:
                    reason = "the source was restored to an earlier moment"
                except TableSyncError as stopped:
                    errors[stopped.table] = stopped.reason
                except duckdb.OutOfMemoryException:
                    if not memory_is_bound:
                        raise
                    memory_is_bound = False
                    warehouse.execute("reset memory_limit")
                    job.announce(f"values too large for {_MEMORY_LIMIT}: beginning again with more memory")

    def _attempt(
        self,
        warehouse: duckdb.DuckDBPyConnection,
        connection: psycopg.Connection,
        reason: str | None,
        errors: Mapping[str, str],
        started: float,
    ) -> SyncResult:
        job = self._job
        source = slot.identify(connection, job.source_url)
        state.prepare(warehouse)
        known = state.read(warehouse, job.target_schema)
        # The end of the log comes before the catalogue: then that knows all that the log speaks of.
        target, target_at = slot.log_end(connection), time.monotonic()
        found = relations.inspect(connection, job.source_schema, job.tables)
        errors = {**self._refusals(found), **errors}
        usable = [found[name] for name in job.tables if name in found and name not in errors]
        there = slot.find(connection, job.slot)
        published = publication.ensure(connection, job.slot, usable, job.announce)
        require_owned_slot(there, job.slot, job.source_url)
        reason = reason or full_refresh_reason(known.source, source, there, published, job.slot)
        lsn_offset = known.source.lsn_offset if known.source else 0
        now = StoredSource(
            slot=job.slot,
            system_identifier=source.system_identifier,
            timeline=source.timeline,
            database_oid=source.database_oid,
            publication=published.version,
            lsn=target,
            last_commit=known.source.last_commit if known.source else None,
            lsn_offset=lsn_offset,
            syncs=(known.source.syncs if known.source else 0) + 1,
        )
        run = Attempt(warehouse, connection, known, now, datetime.now(UTC).isoformat(), dict(published.members))
        with _transaction(warehouse):
            if reason is None and there is not None and there.confirmed is not None:
                follow(job, run, usable, there.confirmed, target)
                copy_some(job, run)
            else:
                copy_all(job, run, usable, there, reason or "first sync")
            _remember(job, run, errors)
            job.on_step(Step.BEFORE_COMMIT)
        job.on_step(Step.COMMITTED)
        if there is None or reason is not None or there.confirmed != run.now.lsn:
            slot.advance(connection, job.slot, run.now.lsn)
        job.on_step(Step.ADVANCED)
        after = slot.find(connection, job.slot)
        lag = after.retained_bytes if after else 0
        seconds = time.monotonic() - target_at
        tables = {
            name: replace(
                self._failed(known, name, errors[name]) if name in errors else run.tables[name],
                commit_lag_seconds=None if name in errors else seconds,
                slot_lag_bytes=lag,
            )
            for name in job.tables
        }
        return SyncResult(
            tables=tables,
            lsn_from=format_lsn(known.source.lsn) if known.source else None,
            lsn_to=format_lsn(run.now.lsn),
            slot_lag_bytes=lag,
            seconds=time.monotonic() - started,
        )

    def _refusals(self, found: Mapping[str, Relation]) -> dict[str, str]:
        """Why tables cannot be replicated, in words."""
        job = self._job
        refusals = {}
        names: dict[str, str] = {}
        for name in job.tables:
            relation = found.get(name)
            twin = names.setdefault(name.casefold(), name)
            if relation is None:
                refusal = (
                    f"The source has no table {job.source_schema}.{name} at {place(job.source_url)}: create it "
                    "there, or take it out of the catalogue."
                )
            elif twin != name:
                refusal = (
                    f"The names of {twin} and {name} differ only by case, which the warehouse does not keep."
                )
            else:
                refusal = relation.refusal() or ""
            if refusal:
                refusals[name] = refusal
        return refusals

    def _failed(self, known: State, name: str, error: str) -> TableSync:
        before = known.tables.get(name)
        rows = before.rows if before else 0
        self._job.announce(f"{name} was not synced: {error}")
        return TableSync(table=name, mode="changes", rows=rows, rows_before=rows, error=error)

    @contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except duckdb.Error as error:
            raise ReplicationError(
                f"Writing the warehouse at {self._job.warehouse} failed: {error}. It is as it was before; "
                "check the space of its disk, and sync again."
            ) from error


@contextmanager
def _transaction(warehouse: duckdb.DuckDBPyConnection) -> Iterator[None]:
    warehouse.execute("BEGIN")
    try:
        yield
    except BaseException:
        warehouse.execute("ROLLBACK")
        raise
    warehouse.execute("COMMIT")


def _remember(job: Job, run: Attempt, errors: Mapping[str, str]) -> None:
    """Write what the next sync must know; only what differs, for a sync without changes must be cheap."""
    for name, table in run.stored.items():
        if run.known.tables.get(name) != table:
            state.write_table(run.warehouse, job.target_schema, name, table)
    for name, before in run.known.tables.items():
        if name not in run.stored:
            why = errors.get(name, "it was not among the tables for a while")
            if before.stopped != why:
                state.write_table(run.warehouse, job.target_schema, name, replace(before, stopped=why))
    state.write_source(run.warehouse, job.target_schema, run.now)


def _take_turn(job: Job, connection: psycopg.Connection) -> None:
    """One sync at a time for each slot; the lock ends with the session, however that ends."""
    deadline = time.monotonic() + job.wait_seconds
    announced = False
    while True:
        row = connection.execute(
            "select pg_try_advisory_lock(hashtextextended('dvd_rental replication ' || %s, 0))",
            [job.slot],
        ).fetchone()
        if row is not None and row[0]:
            return
        if time.monotonic() > deadline:
            raise ReplicationError(
                f"Another sync has used the replication slot {job.slot} at {place(job.source_url)} for more "
                f"than {job.wait_seconds:.0f} s: wait for it, or end its session (see pg_locks)."
            )
        if not announced:
            job.announce(f"waiting for another sync that uses the replication slot {job.slot}")
            announced = True
        time.sleep(0.2)
