"""The change stream of one sync: read once through one server-side cursor, decoded, and folded by table.

Memory is bounded: whenever the folded changes reach `STRETCH_CHANGES` or `STRETCH_BYTES`, they are handed over
to be written (into the sync's one transaction), and folding starts anew.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg

from dvd_rental_pipeline.replication.folding import Fold, StreamMismatchError
from dvd_rental_pipeline.replication.pgoutput import (
    Begin,
    Delete,
    Insert,
    RelationMessage,
    Truncate,
    Update,
    decode,
)
from dvd_rental_pipeline.replication.session import composed, format_lsn
from dvd_rental_pipeline.replication.state import StoredSource

STRETCH_CHANGES = 100_000
STRETCH_BYTES = 96 * 1024 * 1024
_FETCH = 5_000


class HistoryDiffersError(Exception):
    """The log between the slot and the stored position is not the one that was read before."""


@dataclass
class Followed:
    """A table that is followed: its fold, and the position before which its changes are known already."""

    fold: Fold
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

    `tables` is by oid; a table that cannot be followed is dropped from it on the way.
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

    def read(self, connection: psycopg.Connection) -> StreamEnd:
        """Read and fold all changes, handing over all but the last stretch.

        Raises:
            HistoryDiffersError: the source was restored to an earlier moment and has moved on since.
            psycopg.Error: the source refuses.
        """
        publication = composed("{name}", name=self._source.slot).as_string(connection)
        with connection.transaction(), connection.cursor("dvd_rental_changes", binary=True) as cursor:
            cursor.itersize = _FETCH
            cursor.execute(
                "select data from pg_logical_slot_peek_binary_changes(%s, %s::pg_lsn, null,"
                " 'proto_version', '1', 'publication_names', %s)",
                [self._source.slot, format_lsn(self._target), publication],
            )
            last = self._consume(row[0] for row in cursor)
        return StreamEnd(last, self._mismatches)

    def _consume(self, messages: Iterable[bytes]) -> tuple[int, int, str] | None:
        stored = self._source.lsn
        replayed: tuple[int, int, str] | None = None
        last = self._source.last_commit
        checked = False
        lsn, time = 0, ""
        for data in messages:
            message = decode(data)
            if isinstance(message, Insert | Update | Delete):
                table = self._tables.get(message.oid)
                if table is not None and lsn >= table.lsn:
                    self._fold(table, message, lsn, time, len(data))
            elif isinstance(message, Begin):
                lsn, time = message.commit_lsn, iso(message.time)
                if lsn >= self._target:
                    break
                if lsn < stored:
                    replayed = (lsn, message.xid, time)
                    continue
                if not checked:
                    self._check_history(replayed)
                    checked = True
                last = (lsn, message.xid, time)
            elif isinstance(message, RelationMessage):
                self._describe(message)
            elif isinstance(message, Truncate):
                self._truncate(message, lsn, time)
        if not checked:
            self._check_history(replayed)
        return last

    def _truncate(self, message: Truncate, lsn: int, time: str) -> None:
        for oid in message.oids:
            table = self._tables.get(oid)
            if table is not None and lsn >= table.lsn:
                table.fold.truncate(lsn, time)

    def _fold(self, table: Followed, message: Insert | Update | Delete, lsn: int, time: str, size: int) -> None:
        fold = table.fold
        try:
            if isinstance(message, Insert):
                fold.insert(message, lsn, time)
            elif isinstance(message, Update):
                fold.update(message, lsn, time)
            else:
                fold.delete(message, lsn, time)
        except StreamMismatchError as mismatch:
            self._give_up(table, mismatch)
            return
        fold.bytes += size
        self._pending_changes += 1
        self._pending_bytes += size
        if self._pending_changes >= STRETCH_CHANGES or self._pending_bytes >= STRETCH_BYTES:
            self._hand_over()
            self._pending_changes = self._pending_bytes = 0

    def _describe(self, message: RelationMessage) -> None:
        table = self._tables.get(message.oid)
        if table is None:
            return
        try:
            table.fold.describe(message)
        except StreamMismatchError as mismatch:
            self._give_up(table, mismatch)

    def _give_up(self, table: Followed, mismatch: StreamMismatchError) -> None:
        self._mismatches[table.fold.relation.name] = str(mismatch)
        del self._tables[table.fold.relation.oid]

    def _check_history(self, replayed: tuple[int, int, str] | None) -> None:
        """The slot may stand before the stored position (after a crash): then the log must be the known one."""
        known = self._source.last_commit
        if known is not None and known[0] < self._confirmed:
            known = None
        if replayed != known:
            raise HistoryDiffersError
