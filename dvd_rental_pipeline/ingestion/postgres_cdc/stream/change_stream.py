"""The change stream of one sync: read once, in one go, and handed to each table's fold.

Memory is bounded: whenever the collected changes reach `MAX_BATCH_CHANGES` or `MAX_BATCH_BYTES`, they are
handed over to be written (into the sync's one transaction), and collecting starts anew.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import psycopg
from psycopg import sql

from dvd_rental_pipeline.ingestion.postgres_cdc.compact.compact_rows import StreamMismatchError
from dvd_rental_pipeline.ingestion.postgres_cdc.compact.compactor import Compactor
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.session import format_lsn, format_sql
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.state import StoredSource
from dvd_rental_pipeline.ingestion.postgres_cdc.stream.message_blocks import (
    Block,
    Positions,
    RowMessages,
    fetched,
    iso_times,
    prefetch,
)
from dvd_rental_pipeline.ingestion.postgres_cdc.stream.pgoutput import RelationMessage, Truncate, decode

# DuckDB puts inserted rows on disk by whole row groups of this size, and keeps smaller parts in memory until
# the commit.
MAX_BATCH_CHANGES = 122_880
MAX_BATCH_BYTES = 64 * 1024 * 1024
# Kinds of messages that say nothing of rows (origin, type, logical message) or are told by others (commit).
_SILENT = np.frombuffer(b"COYM", np.uint8)
_ROWS = np.frombuffer(b"IUD", np.uint8)


class WalHistoryMismatchError(Exception):
    """The log between the slot and the stored position is not the one that was read before."""


@dataclass
class Followed:
    """A table that is followed: its fold, and the position before which its changes are known already."""

    compactor: Compactor
    lsn: int


@dataclass(frozen=True)
class StreamEnd:
    """How the stream of a sync ended: its last transaction, and why tables could not be followed to the end."""

    last_commit: tuple[int, int, str] | None
    mismatches: Mapping[str, str]


def iso(moment: datetime) -> str:
    """A time as Airbyte writes it, in UTC, with microseconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Stream:
    """The changes from the slot's position up to (not including) transactions that commit at `target` or later.

    `tables` is by oid; a table that cannot be followed is dropped from it on the way, here or by `hand_over`.
    """

    def __init__(
        self,
        source: StoredSource,
        confirmed: int,
        target: int,
        tables: dict[int, Followed],
        hand_over: Callable[[], None],
    ) -> None:
        self._source = source
        self._confirmed = confirmed
        self._target = target
        self._tables = tables
        self._hand_over = hand_over
        self._mismatches: dict[str, str] = {}
        self._pending_changes = 0
        self._pending_bytes = 0
        # The transaction that the last block ended in: position of its commit record, and its time.
        self._within = (0, 0)
        self._replayed: tuple[int, int, str] | None = None
        self._last = source.last_commit
        self._checked = False

    def read(self, connection: psycopg.Connection) -> StreamEnd:
        """Read and collect all changes, handing over all but the last stretch.

        Raises:
            WalHistoryMismatchError: the source was restored to an earlier moment and has moved on since.
            psycopg.Error: the source refuses.
        """
        publication = format_sql("{name}", name=self._source.slot).as_string(connection)
        portal = sql.Identifier("dvd_rental_changes")
        with connection.transaction(), connection.cursor() as cursor:
            cursor.execute(
                sql.SQL(
                    "declare {} no scroll cursor for select data from pg_logical_slot_peek_binary_changes("
                    "{}, {}, null, 'proto_version', '1', 'publication_names', {})"
                ).format(portal, self._source.slot, format_lsn(self._target), publication)
            )
            with closing(prefetch(fetched(cursor, portal))) as messages:
                self._consume(messages)
        return StreamEnd(self._last, self._mismatches)

    def _consume(self, messages: Iterable[Block]) -> None:
        ended = False
        for block in messages:
            if not ended:
                begins = _Transactions.of(block, self._within)
                ended = self._note_commits(begins)
                self._collect(block, begins, begins.end_at(self._target))
                self._within = begins.last()
        if not self._checked:
            self._check_history()

    def _note_commits(self, begins: "_Transactions") -> bool:
        """Remember the last transactions of each kind; whether one beyond the target came."""
        lsns = begins.lsns[1:]  # the first one began in an earlier block
        known, new = np.searchsorted(lsns, [self._source.lsn, self._target])
        if known:
            self._replayed = begins.commit(known)
        if new > known:
            if not self._checked:
                self._check_history()
            self._last = begins.commit(new)
        return bool(new < len(lsns))

    def _collect(self, block: Block, begins: "_Transactions", end: int) -> None:
        """Hand each message of a block, up to `end`, to its table, in their order."""
        kinds = block.kinds[:end]
        rows = np.isin(kinds, _ROWS)
        others = np.flatnonzero(~rows & ~np.isin(kinds, _SILENT) & (kinds != ord("B")))
        done = 0
        for at in others.tolist():
            self._collect_rows(block, begins, np.flatnonzero(rows[done:at]) + done)
            message = decode(block.message(at))
            if isinstance(message, RelationMessage):
                self._describe(message)
            elif isinstance(message, Truncate):
                self._truncate(message, *begins.of_message(at))
            done = at
        self._collect_rows(block, begins, np.flatnonzero(rows[done:end]) + done)

    def _collect_rows(self, block: Block, begins: "_Transactions", rows: Positions) -> None:
        """Messages of rows, none of another kind between them."""
        if not len(rows):
            return
        which = begins.which(rows)
        oids = block.oids[rows]
        wanted = np.zeros(len(rows), bool)
        for oid, table in self._tables.items():
            wanted |= (oids == oid) & (begins.lsns[which] >= table.lsn)
        rows, which, oids = rows[wanted], which[wanted], oids[wanted]
        while len(rows):
            room = MAX_BATCH_CHANGES - self._pending_changes
            for oid in np.unique(oids[:room]).tolist():
                if oid not in self._tables:  # given up by what was handed over
                    continue
                of_table = np.flatnonzero(oids[:room] == oid)
                compactor = self._tables[oid].compactor
                at = which[of_table]
                run = RowMessages(
                    block, rows[of_table], begins.lsns[at], begins.microseconds[at], compactor.sources
                )
                compactor.add(run)
                self._pending_bytes += run.size
            self._pending_changes += len(rows[:room])
            rows, which, oids = rows[room:], which[room:], oids[room:]
            if self._pending_changes >= MAX_BATCH_CHANGES or self._pending_bytes >= MAX_BATCH_BYTES:
                self._hand_over()
                self._pending_changes = self._pending_bytes = 0

    def _truncate(self, message: Truncate, lsn: int, time: str) -> None:
        for oid in message.oids:
            table = self._tables.get(oid)
            if table is not None and lsn >= table.lsn:
                table.compactor.truncate(lsn, time)

    def _describe(self, message: RelationMessage) -> None:
        table = self._tables.get(message.oid)
        if table is None:
            return
        try:
            table.compactor.describe(message)
        except StreamMismatchError as mismatch:
            self._give_up(table, mismatch)

    def _give_up(self, table: Followed, mismatch: StreamMismatchError) -> None:
        self._mismatches[table.compactor.relation.name] = str(mismatch)
        del self._tables[table.compactor.relation.oid]

    def _check_history(self) -> None:
        """The slot may stand before the stored position (after a crash): then the log must be the known one."""
        self._checked = True
        known = self._source.last_commit
        if known is not None and known[0] < self._confirmed:
            known = None
        if self._replayed != known:
            raise WalHistoryMismatchError


@dataclass(frozen=True)
class _Transactions:
    """The transactions of a block: where each begins, the position of its commit record, its time and number.

    The first is the one in which the block before it ended.
    """

    starts: Positions
    lsns: Positions
    microseconds: Positions
    numbers: Positions

    @classmethod
    def of(cls, block: Block, within: tuple[int, int]) -> "_Transactions":
        starts, lsns, microseconds, numbers = block.begins()
        return cls(
            np.concatenate([[-1], starts]),
            np.concatenate([[within[0]], lsns]),
            np.concatenate([[within[1]], microseconds]),
            np.concatenate([[0], numbers]),
        )

    def which(self, messages: Positions) -> Positions:
        """To which transaction messages belong."""
        return np.searchsorted(self.starts, messages, side="right") - 1

    def of_message(self, at: int) -> tuple[int, str]:
        """Position and time of the commit of one message."""
        lsn, _, time = self.commit(int(self.which(np.array([at]))[0]))
        return lsn, time

    def commit(self, index: int) -> tuple[int, int, str]:
        """Position, number and time of one transaction."""
        time: str = iso_times(self.microseconds[index : index + 1])[0].as_py()
        return int(self.lsns[index]), int(self.numbers[index]), time

    def end_at(self, target: int) -> int:
        """Before which message the first transaction that commits at `target` or later begins."""
        beyond = np.flatnonzero(self.lsns >= target)
        return int(self.starts[beyond[0]]) if len(beyond) else np.iinfo(np.int64).max

    def last(self) -> tuple[int, int]:
        """Position and time of the last one."""
        return int(self.lsns[-1]), int(self.microseconds[-1])
