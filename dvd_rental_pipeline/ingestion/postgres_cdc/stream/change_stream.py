"""The change stream of one sync: read once, in one pass, and collected per table.

Memory is bounded: whenever the collected changes reach `MAX_BATCH_CHANGES` or `MAX_BATCH_BYTES`, they are
yielded as a batch, to be written before collecting continues.
"""

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import psycopg
from psycopg import sql

from dvd_rental_pipeline.ingestion.postgres_cdc.connect.text_forms import format_lsn
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.state import StoredSource
from dvd_rental_pipeline.ingestion.postgres_cdc.stream.message_blocks import (
    MessageBlock,
    Positions,
    RowMessages,
    fetch_blocks,
    iso_times,
    prefetch,
)
from dvd_rental_pipeline.ingestion.postgres_cdc.stream.pgoutput import RelationMessage, Truncate, decode
from dvd_rental_pipeline.ingestion.postgres_cdc.stream.streamed_table import (
    StreamedTable,
    StreamMismatchError,
    Truncation,
)

# DuckDB writes inserted rows to disk in complete row groups of this size; smaller parts stay in memory until
# the commit.
MAX_BATCH_CHANGES = 122_880
MAX_BATCH_BYTES = 64 * 1024 * 1024
# Kinds of messages without rows (origin, type, logical message, commit).
_IGNORED = np.frombuffer(b"COYM", np.uint8)
_ROWS = np.frombuffer(b"IUD", np.uint8)

Batch = list[StreamedTable]
"""The tables for which messages have been collected; `StreamedTable.take_messages` gives them."""


class WalHistoryMismatchError(Exception):
    """The WAL between the slot and the stored position is not the WAL that an earlier sync read."""


class ChangeStream:
    """The changes from the slot's position up to, not including, transactions that commit at `target` or later.

    A table that was stopped, here or by the reader of a batch, collects no further messages.

    Attributes:
        last_commit: the last transaction before `target`: the LSN of its commit record, its xid and its time.
            Complete once all batches are read.
    """

    def __init__(
        self, source: StoredSource, confirmed: int, target: int, tables: Iterable[StreamedTable]
    ) -> None:
        self.last_commit = source.last_commit
        self._source = source
        self._confirmed = confirmed
        self._target = target
        self._tables = {table.relation.oid: table for table in tables}
        self._pending_changes = 0
        self._pending_bytes = 0
        # The transaction in which the last block ended: the LSN of its commit record, and its time.
        self._open_transaction = (0, 0)
        self._replayed: tuple[int, int, str] | None = None
        self._history_checked = False

    def batches(self, connection: psycopg.Connection) -> Generator[Batch, None, None]:
        """Read the stream, through a server-side cursor. Close the generator if it is not read to its end.

        Raises:
            WalHistoryMismatchError: the source was restored to an earlier moment, and has written WAL since.
            psycopg.Error: the source fails.
        """
        publication = sql.Identifier(self._source.slot).as_string(connection)
        portal = sql.Identifier("dvd_rental_changes")
        with connection.transaction(), connection.cursor() as cursor:
            cursor.execute(
                sql.SQL(
                    "declare {} no scroll cursor for select data from pg_logical_slot_peek_binary_changes("
                    "{}, {}, null, 'proto_version', '1', 'publication_names', {})"
                ).format(portal, self._source.slot, format_lsn(self._target), publication)
            )
            with closing(prefetch(fetch_blocks(cursor, portal))) as blocks:
                for block in blocks:
                    transactions = _Transactions.of_block(block, self._open_transaction)
                    target_reached = self._track_commits(transactions)
                    yield from self._collect(block, transactions)
                    if target_reached:
                        break
                    self._open_transaction = transactions.last()
        if not self._history_checked:
            self._check_history()
        if batch := self._batch():
            yield batch

    def _track_commits(self, transactions: "_Transactions") -> bool:
        """Note the last transaction that was read before, and the last new one; whether `target` is reached."""
        lsns = transactions.lsns[1:]  # the first one began in an earlier block
        replayed, end = np.searchsorted(lsns, [self._source.lsn, self._target])
        if replayed:
            self._replayed = transactions.commit(replayed)
        if end > replayed:
            if not self._history_checked:
                self._check_history()
            self.last_commit = transactions.commit(end)
        return bool(end < len(lsns))

    def _check_history(self) -> None:
        """After a crash, the slot may be behind the stored LSN: check that the WAL between them is the same."""
        self._history_checked = True
        known = self._source.last_commit
        if known is not None and known[0] < self._confirmed:
            known = None
        if self._replayed != known:
            raise WalHistoryMismatchError

    def _collect(self, block: MessageBlock, transactions: "_Transactions") -> Iterator[Batch]:
        """Collect the messages of a block before `target`, in order."""
        kinds = block.kinds[: transactions.first_message_after(self._target)]
        is_row = np.isin(kinds, _ROWS)
        others = np.flatnonzero(~is_row & ~np.isin(kinds, _IGNORED) & (kinds != ord("B")))
        done = 0
        for index in others.tolist():
            yield from self._collect_rows(block, transactions, np.flatnonzero(is_row[done:index]) + done)
            message = decode(block.message(index))
            if isinstance(message, RelationMessage):
                self._describe_rows(message)
            elif isinstance(message, Truncate):
                self._truncate(message, transactions.truncation(index))
            done = index
        yield from self._collect_rows(block, transactions, np.flatnonzero(is_row[done:]) + done)

    def _collect_rows(
        self, block: MessageBlock, transactions: "_Transactions", rows: Positions
    ) -> Iterator[Batch]:
        """Collect row messages without messages of other kinds between them."""
        if not len(rows):
            return
        indices = transactions.indices(rows)
        oids = block.oids[rows]
        selected = np.zeros(len(rows), bool)
        for oid, table in self._tables.items():
            if table.mismatch is None:
                selected |= (oids == oid) & (transactions.lsns[indices] >= table.from_lsn)
        rows, indices, oids = rows[selected], indices[selected], oids[selected]
        while len(rows):
            room = MAX_BATCH_CHANGES - self._pending_changes
            for oid in np.unique(oids[:room]).tolist():
                table = self._tables[oid]
                if table.mismatch is not None:  # stopped by the reader of the last batch
                    continue
                of_table = np.flatnonzero(oids[:room] == oid)
                own = indices[of_table]
                messages = RowMessages(
                    block,
                    rows[of_table],
                    transactions.lsns[own],
                    transactions.microseconds[own],
                    table.positions,
                )
                table.add_rows(messages)
                self._pending_bytes += messages.size
            self._pending_changes += len(rows[:room])
            rows, indices, oids = rows[room:], indices[room:], oids[room:]
            if self._pending_changes >= MAX_BATCH_CHANGES or self._pending_bytes >= MAX_BATCH_BYTES:
                yield self._batch()
                self._pending_changes = self._pending_bytes = 0

    def _batch(self) -> Batch:
        return [table for table in self._tables.values() if table.mismatch is None and table.has_messages]

    def _describe_rows(self, message: RelationMessage) -> None:
        table = self._tables.get(message.oid)
        if table is None or table.mismatch is not None:
            return
        try:
            table.describe_rows(message)
        except StreamMismatchError as mismatch:
            table.stop(str(mismatch))

    def _truncate(self, message: Truncate, truncation: Truncation) -> None:
        for oid in message.oids:
            table = self._tables.get(oid)
            if table is not None and table.mismatch is None and truncation.lsn >= table.from_lsn:
                table.add_truncation(truncation)


@dataclass(frozen=True)
class _Transactions:
    """The transactions of a block, as arrays with one element per transaction.

    Attributes:
        starts: the index of the transaction's first message; -1 for the first transaction, the one in which the
            block before ended.
        lsns: the LSN of its commit record.
        microseconds: when it committed, in microseconds since 2000.
        xids: its transaction id.
    """

    starts: Positions
    lsns: Positions
    microseconds: Positions
    xids: Positions

    @classmethod
    def of_block(cls, block: MessageBlock, open_transaction: tuple[int, int]) -> "_Transactions":
        starts, lsns, microseconds, xids = block.begins()
        return cls(
            np.concatenate([[-1], starts]),
            np.concatenate([[open_transaction[0]], lsns]),
            np.concatenate([[open_transaction[1]], microseconds]),
            np.concatenate([[0], xids]),
        )

    def indices(self, messages: Positions) -> Positions:
        """The index of the transaction of each message."""
        return np.searchsorted(self.starts, messages, side="right") - 1

    def truncation(self, message: int) -> Truncation:
        """Commit LSN and time of the TRUNCATE that is one message."""
        lsn, _, time = self.commit(int(self.indices(np.array([message]))[0]))
        return Truncation(lsn, time)

    def commit(self, index: int) -> tuple[int, int, str]:
        """Commit LSN, xid and commit time of one transaction."""
        time: str = iso_times(self.microseconds[index : index + 1])[0].as_py()
        return int(self.lsns[index]), int(self.xids[index]), time

    def first_message_after(self, target: int) -> int:
        """The index of the first message of a transaction that commits at `target` or later."""
        beyond = np.flatnonzero(self.lsns >= target)
        return int(self.starts[beyond[0]]) if len(beyond) else np.iinfo(np.int64).max

    def last(self) -> tuple[int, int]:
        """Commit LSN and time of the last one."""
        return int(self.lsns[-1]), int(self.microseconds[-1])
