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

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import psycopg

from dvd_rental_pipeline.replication import publication, relations, slot, snapshot, state
from dvd_rental_pipeline.replication.changes import Followed, HistoryDiffersError, Stream, iso
from dvd_rental_pipeline.replication.continuity import reason_to_begin_anew, require_ours
from dvd_rental_pipeline.replication.drift import Drift, compare
from dvd_rental_pipeline.replication.fold_rows import StreamMismatchError
from dvd_rental_pipeline.replication.folding import Fold
from dvd_rental_pipeline.replication.outcome import Step, SyncResult, TableSync
from dvd_rental_pipeline.replication.past_states import PastStates
from dvd_rental_pipeline.replication.raw_tables import Counts, RawTable, Stamp, UnholdableKeyError
from dvd_rental_pipeline.replication.relations import Relation
from dvd_rental_pipeline.replication.session import ReplicationError, connect, explained, format_lsn, place
from dvd_rental_pipeline.replication.state import State, StoredSource, StoredTable
from dvd_rental_pipeline.warehouse import open_duckdb


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
        self._url = source_url
        self._warehouse = warehouse
        self._tables = dict(tables)
        self._history = dict(history or {})
        self._source_schema = source_schema
        self._target = target_schema
        self._slot = slot
        self._wait_seconds = wait_seconds
        self._announce = on_progress or (lambda sentence: None)
        self._on_step = on_step or (lambda step: None)

    def sync(self, *, full_refresh: bool = False) -> SyncResult:
        """Bring every table level with its source; with `full_refresh` copy each anew.

        A table that cannot be replicated has its `error` set, the others go on.

        Raises:
            ReplicationError: nothing could be synced. The raw tables are as they were.
            WarehouseError: the warehouse cannot be opened, or stayed in use by another process.
        """
        started = time.monotonic()
        with (
            open_duckdb(self._warehouse, wait_seconds=self._wait_seconds, on_wait=self._announce) as warehouse,
            closing(connect(self._url)) as connection,
            explained(self._url),
            self._written(),
        ):
            patience = f"{max(1, round(self._wait_seconds * 1000))}ms"
            connection.execute("select set_config('lock_timeout', %s, false)", [patience])
            self._take_turn(connection)
            reason = "a full refresh was asked for" if full_refresh else None
            errors: dict[str, str] = {}
            while True:
                try:
                    return self._attempt(warehouse, connection, reason, errors, started)
                except HistoryDiffersError:
                    reason = "the source was restored to an earlier moment"
                except _TableStoppedError as stopped:
                    errors[stopped.table] = stopped.reason

    def _attempt(
        self,
        warehouse: duckdb.DuckDBPyConnection,
        connection: psycopg.Connection,
        reason: str | None,
        errors: Mapping[str, str],
        started: float,
    ) -> SyncResult:
        source = slot.identify(connection, self._url)
        state.prepare(warehouse)
        known = state.read(warehouse, self._target)
        # The end of the log comes before the catalogue: then that knows all that the log speaks of.
        target, target_at = slot.log_end(connection), time.monotonic()
        found = relations.inspect(connection, self._source_schema, self._tables)
        errors = {**self._refusals(found), **errors}
        usable = [found[name] for name in self._tables if name in found and name not in errors]
        there = slot.find(connection, self._slot)
        published = publication.ensure(connection, self._slot, usable, self._announce)
        require_ours(there, self._slot, self._url)
        reason = reason or reason_to_begin_anew(known.source, source, there, published, self._slot)
        lsn_offset = known.source.lsn_offset if known.source else 0
        now = StoredSource(
            slot=self._slot,
            system_identifier=source.system_identifier,
            timeline=source.timeline,
            database_oid=source.database_oid,
            publication=published.version,
            lsn=target,
            last_commit=known.source.last_commit if known.source else None,
            lsn_offset=lsn_offset,
            syncs=(known.source.syncs if known.source else 0) + 1,
        )
        run = _Run(warehouse, connection, known, now, datetime.now(UTC).isoformat(), dict(published.members))
        with _transaction(warehouse):
            if reason is None and there is not None and there.confirmed is not None:
                self._follow(run, usable, there.confirmed, target)
                self._copy_some(run)
            else:
                self._copy_all(run, usable, there, reason or "first sync")
            self._remember(run, errors)
            self._on_step(Step.BEFORE_COMMIT)
        self._on_step(Step.COMMITTED)
        if there is None or reason is not None or there.confirmed != run.now.lsn:
            slot.advance(connection, self._slot, run.now.lsn)
        self._on_step(Step.ADVANCED)
        after = slot.find(connection, self._slot)
        lag = after.retained_bytes if after else 0
        seconds = time.monotonic() - target_at
        tables = {
            name: replace(
                self._failed(known, name, errors[name]) if name in errors else run.tables[name],
                commit_lag_seconds=None if name in errors else seconds,
                slot_lag_bytes=lag,
            )
            for name in self._tables
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
        refusals = {}
        names: dict[str, str] = {}
        for name in self._tables:
            relation = found.get(name)
            twin = names.setdefault(name.casefold(), name)
            if relation is None:
                refusal = (
                    f"The source has no table {self._source_schema}.{name} at {place(self._url)}: create it "
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

    def _follow(self, run: "_Run", usable: list[Relation], confirmed: int, target: int) -> None:
        """Apply the changes of the log, and note which tables must be copied all the same."""
        if run.known.source is None:
            raise AssertionError("changes are followed only from a known position")
        known_lsn = run.known.source.lsn
        for relation in usable:
            before = run.known.tables.get(relation.name)
            if before is None or before.stopped is not None:
                why = "first sync of this table" if before is None else f"it was not followed: {before.stopped}"
                run.to_copy[relation.name] = _Copy(relation, why, None)
                continue
            drift = compare(before, relation, run.members[relation.oid])
            if drift.refresh is not None:
                run.to_copy[relation.name] = _Copy(relation, drift.refresh, drift)
                continue
            raw = self._raw(run, relation, drift.retired, before.generation)
            raw.alter(drift.added, drift.widened)
            fold = Fold(relation, before, keep_superseded=relation.name in self._history)
            table = _Table(raw, before, drift, fold)
            run.followed[relation.name] = table
            run.streamed[relation.oid] = Followed(table.fold, max(before.lsn, known_lsn))
        stream = Stream(run.known.source, confirmed, target, run.streamed, lambda: self._apply(run))
        end = stream.read(run.connection)
        for name, mismatch in end.mismatches.items():
            run.give_up(name, mismatch)
        self._apply(run)
        run.now = replace(run.now, last_commit=end.last_commit)
        for name, table in run.followed.items():
            run.keep(name, self._outcome(run, table))

    def _apply(self, run: "_Run") -> None:
        """Write one stretch of folded changes."""
        for name, table in list(run.followed.items()):
            started = time.monotonic()
            try:
                stretch = table.fold.take()
                if not stretch:
                    continue
                table.counts += table.raw.apply(stretch)
            except StreamMismatchError as mismatch:
                run.give_up(name, str(mismatch))
                continue
            except UnholdableKeyError as error:
                raise _TableStoppedError(name, str(error)) from error
            table.truncated |= stretch.truncated is not None
            table.last_commit_at = stretch.first_and_last()[1]
            table.seconds += time.monotonic() - started
            self._on_step(Step.STRETCH_APPLIED)

    def _outcome(self, run: "_Run", table: "_Table") -> tuple[TableSync, StoredTable]:
        relation = table.raw.relation
        before = table.before
        counts = table.counts
        rows = before.rows + counts.inserted - counts.deleted
        tombstones = before.rows + before.tombstones + counts.added - rows
        stored = replace(
            state.stored(
                relation,
                membership=run.members[relation.oid],
                retired=table.drift.retired,
                lsn=before.lsn,
                generation=before.generation,
            ),
            rows=rows,
            tombstones=tombstones,
        )
        sync = TableSync(
            table=relation.name,
            mode="changes",
            rows=rows,
            rows_before=before.rows,
            inserted=counts.inserted,
            updated=counts.updated,
            deleted=counts.deleted,
            truncated=table.truncated,
            tombstones=tombstones,
            bytes=table.fold.bytes,
            lsn_from=format_lsn(max(before.lsn, run.known.source.lsn if run.known.source else 0)),
            lsn_to=format_lsn(max(before.lsn, run.now.lsn)),
            last_commit_at=table.last_commit_at,
            seconds=table.seconds,
            schema_changes=(*table.drift.descriptions, *self._key_note(relation)),
        )
        return sync, stored

    def _copy_some(self, run: "_Run") -> None:
        """Copy the tables that cannot be followed, from a snapshot of their own, beside the slot."""
        if not run.to_copy:
            return
        row = run.connection.execute("select pg_backend_pid()").fetchone()
        name = f"{self._slot[:40]}_copy_{row[0] if row else os.getpid()}"
        with slot.created(
            self._url, name, temporary=True, wait_seconds=self._wait_seconds, announce=self._announce
        ) as exported:
            self._copy(run, exported)

    def _copy_all(self, run: "_Run", usable: list[Relation], there: slot.Slot | None, reason: str) -> None:
        """Begin anew: a new slot, and every table copied from the moment at which it starts."""
        if there is not None:
            self._announce(f"dropping the replication slot {self._slot}: {reason}")
            slot.drop(run.connection, self._slot, self._wait_seconds)
        for relation in usable:
            before = run.known.tables.get(relation.name)
            drift = compare(before, relation, run.members[relation.oid]) if before is not None else None
            run.to_copy[relation.name] = _Copy(relation, reason, drift)
        with slot.created(
            self._url, self._slot, temporary=False, wait_seconds=self._wait_seconds, announce=self._announce
        ) as exported:
            previous = run.known.source
            offset = run.now.lsn_offset
            if previous is not None:
                offset = max(offset, previous.lsn + previous.lsn_offset - exported.lsn + 1)
            run.now = replace(run.now, lsn=exported.lsn, last_commit=None, lsn_offset=offset)
            self._copy(run, exported)

    def _copy(self, run: "_Run", exported: slot.ExportedSnapshot) -> None:
        self._on_step(Step.SLOT_CREATED)
        row = run.connection.execute("select clock_timestamp()").fetchone()
        moment = iso(row[0] if row else datetime.now(UTC))
        with snapshot.joined(self._url, exported.name, self._announce) as reader:
            for name, copy in run.to_copy.items():
                self._announce(f"copying {name} in full: {copy.reason}")
                try:
                    run.keep(name, self._copy_table(run, copy, reader, exported.lsn, moment))
                except UnholdableKeyError as error:
                    raise _TableStoppedError(name, str(error)) from error
                self._on_step(Step.TABLE_COPIED)

    def _copy_table(
        self, run: "_Run", copy: "_Copy", reader: snapshot.SnapshotReader, lsn: int, moment: str
    ) -> tuple[TableSync, StoredTable]:
        relation = copy.relation
        before = run.known.tables.get(relation.name)
        generation = before.generation + 1 if before else 0
        retired = copy.drift.retired if copy.drift else before.retired if before else {}
        raw = self._raw(run, relation, retired, generation)
        raw.start_replacement(keep_tombstones=before is not None and before.key == relation.key)
        copied = reader.copy(raw, lsn, moment)
        gone, tombstones = raw.finish_replacement(lsn, moment)
        rows = copied.rows
        stored = replace(
            state.stored(
                relation,
                membership=run.members[relation.oid],
                retired=retired,
                lsn=lsn,
                generation=generation,
            ),
            rows=rows,
            tombstones=tombstones,
        )
        followed_to = max(before.lsn, run.known.source.lsn) if before and run.known.source else None
        sync = TableSync(
            table=relation.name,
            mode="snapshot",
            reason=copy.reason,
            rows=rows,
            rows_before=before.rows if before else 0,
            inserted=rows,
            deleted=gone,
            tombstones=tombstones,
            bytes=copied.bytes,
            lsn_from=format_lsn(followed_to) if followed_to is not None else None,
            lsn_to=format_lsn(lsn),
            seconds=copied.seconds,
            schema_changes=(*(copy.drift.descriptions if copy.drift else ()), *self._key_note(relation)),
        )
        return sync, stored

    def _remember(self, run: "_Run", errors: Mapping[str, str]) -> None:
        """Write what the next sync must know; only what differs, for a sync without changes must be cheap."""
        for name, table in run.stored.items():
            if run.known.tables.get(name) != table:
                state.write_table(run.warehouse, self._target, name, table)
        for name, before in run.known.tables.items():
            if name not in run.stored:
                why = errors.get(name, "it was not among the tables for a while")
                if before.stopped != why:
                    state.write_table(run.warehouse, self._target, name, replace(before, stopped=why))
        state.write_source(run.warehouse, self._target, run.now)

    def _raw(self, run: "_Run", relation: Relation, retired: Mapping[str, str], generation: int) -> RawTable:
        stamp = Stamp(run.now.syncs, run.extracted_at, run.now.lsn_offset)
        kept = self._history.get(relation.name)
        past = PastStates(run.warehouse, self._target, relation, kept, retired) if kept is not None else None
        return RawTable(
            run.warehouse,
            self._target,
            relation,
            retired=retired,
            generation=generation,
            stamp=stamp,
            past=past,
        )

    def _key_note(self, relation: Relation) -> tuple[str, ...]:
        declared = self._tables[relation.name]
        if set(declared) == set(relation.key):
            return ()
        return (
            f"the primary key is ({', '.join(relation.key)}) in the source"
            f" and ({', '.join(declared)}) in the catalogue",
        )

    def _failed(self, known: State, name: str, error: str) -> TableSync:
        before = known.tables.get(name)
        rows = before.rows if before else 0
        self._announce(f"{name} was not synced: {error}")
        return TableSync(table=name, mode="changes", rows=rows, rows_before=rows, error=error)

    def _take_turn(self, connection: psycopg.Connection) -> None:
        """One sync at a time for each slot; the lock ends with the session, however that ends."""
        deadline = time.monotonic() + self._wait_seconds
        announced = False
        while True:
            row = connection.execute(
                "select pg_try_advisory_lock(hashtextextended('dvd_rental replication ' || %s, 0))",
                [self._slot],
            ).fetchone()
            if row is not None and row[0]:
                return
            if time.monotonic() > deadline:
                raise ReplicationError(
                    f"Another sync has used the replication slot {self._slot} at {place(self._url)} for more "
                    f"than {self._wait_seconds:.0f} s: wait for it, or end its session (see pg_locks)."
                )
            if not announced:
                self._announce(f"waiting for another sync that uses the replication slot {self._slot}")
                announced = True
            time.sleep(0.2)

    @contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except duckdb.Error as error:
            raise ReplicationError(
                f"Writing the warehouse at {self._warehouse} failed: {error}. It is as it was before; check "
                "the space of its disk, and sync again."
            ) from error


class _TableStoppedError(Exception):
    """A table cannot be synced at all: the sync begins anew without it."""

    def __init__(self, table: str, reason: str) -> None:
        super().__init__(reason)
        self.table = table
        self.reason = reason


@dataclass(frozen=True)
class _Copy:
    relation: Relation
    reason: str
    drift: Drift | None


@dataclass
class _Table:
    """A followed table, and what was done to it so far."""

    raw: RawTable
    before: StoredTable
    drift: Drift
    fold: Fold
    counts: Counts = field(default_factory=Counts)
    truncated: bool = False
    last_commit_at: str | None = None
    seconds: float = 0.0


@dataclass
class _Run:
    """What one attempt at a sync has at hand, and what became of each table."""

    warehouse: duckdb.DuckDBPyConnection
    connection: psycopg.Connection
    known: State
    now: StoredSource
    extracted_at: str
    members: Mapping[int, str]
    followed: dict[str, _Table] = field(default_factory=dict)
    streamed: dict[int, Followed] = field(default_factory=dict)
    to_copy: dict[str, _Copy] = field(default_factory=dict)
    tables: dict[str, TableSync] = field(default_factory=dict)
    stored: dict[str, StoredTable] = field(default_factory=dict)

    def give_up(self, name: str, reason: str) -> None:
        """The changes of this table do not suffice: it is copied when the stream has ended."""
        table = self.followed.pop(name)
        self.streamed.pop(table.raw.relation.oid, None)
        self.to_copy[name] = _Copy(table.raw.relation, reason, table.drift)

    def keep(self, name: str, outcome: tuple[TableSync, StoredTable]) -> None:
        """A table is done."""
        self.tables[name], self.stored[name] = outcome


@contextmanager
def _transaction(warehouse: duckdb.DuckDBPyConnection) -> Iterator[None]:
    warehouse.execute("BEGIN")
    try:
        yield
    except BaseException:
        warehouse.execute("ROLLBACK")
        raise
    warehouse.execute("COMMIT")
