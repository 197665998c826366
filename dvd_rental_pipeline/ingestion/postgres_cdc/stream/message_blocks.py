"""Blocks of change stream messages, whose fields are read for all messages at once.

Decoding messages one by one in Python is slow. A block therefore stores its messages end to end in one buffer,
and numpy reads the same field of all of them in one operation.
"""

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import psycopg
import pyarrow as pa
from psycopg import sql

BLOCK_BYTES = 8 * 1024 * 1024
# The client keeps all fetched messages in memory, so it must fetch fewer of them when they are long.
_FETCH_BYTES = 1024 * 1024
_FEWEST_MESSAGES, _MOST_MESSAGES = 20, 5_000
_EPOCH = np.datetime64("2000-01-01T00:00:00", "us")

NULL, TEXT = ord("n"), ord("t")
INSERT, UPDATE, DELETE, NEW = ord("I"), ord("U"), ord("D"), ord("N")

Positions = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class MessageBlock:
    """Messages end to end: message `i` is `data[starts[i]:ends[i]]`."""

    data: Bytes
    starts: Positions
    ends: Positions

    def __len__(self) -> int:
        return len(self.starts)

    @cached_property
    def kinds(self) -> Bytes:
        """The first byte of each message, its kind."""
        return self.data[self.starts]

    @cached_property
    def oids(self) -> Positions:
        """The four bytes after it: in row messages, the table's oid."""
        return number(self.data, self.starts + 1, 4)

    def message(self, index: int) -> bytes:
        """The bytes of one message."""
        return self.data[self.starts[index] : self.ends[index]].tobytes()

    def begins(self) -> tuple[Positions, Positions, Positions, Positions]:
        """The messages that begin transactions: their indices, commit LSNs, commit times and xids."""
        at = np.flatnonzero(self.kinds == ord("B"))
        starts = self.starts[at]
        return (
            at,
            number(self.data, starts + 1, 8),
            number(self.data, starts + 9, 8),
            number(self.data, starts + 17, 4),
        )


def number(data: Bytes, at: Positions, width: int) -> Positions:
    """The big-endian numbers of `width` bytes at the positions `at`; arbitrary beyond the end of `data`."""
    last = len(data) - 1
    value = np.zeros(len(at), np.int64)
    for offset in range(width):
        value = (value << 8) | data[np.minimum(at + offset, last)]
    return value


def iso_times(microseconds: Positions) -> pa.Array:
    """Times of the protocol (microseconds since 2000) as ISO 8601 in UTC, with microseconds, as Airbyte's."""
    distinct, indices = np.unique(microseconds, return_inverse=True)
    texts = np.datetime_as_string(_EPOCH + distinct.astype("timedelta64[us]"), unit="us", timezone="UTC")
    return pa.array(texts, pa.string()).take(pa.array(indices))


def fetch_blocks(cursor: psycopg.Cursor, portal: sql.Identifier) -> Iterator[MessageBlock]:
    """The messages of the open server-side cursor `portal`, which has one per row, in blocks.

    The longer the messages, the fewer are fetched at once.
    """
    fetch_count = _FEWEST_MESSAGES
    messages: list[bytes] = []
    size = 0
    while True:
        cursor.execute(sql.SQL("fetch forward {} from {}").format(fetch_count, portal), binary=True)
        result = cursor.pgresult
        count = 0 if result is None else result.ntuples
        if result is not None and count:
            values = [result.get_value(row, 0) or b"" for row in range(count)]
            fetched_bytes = sum(map(len, values))
            messages += values
            size += fetched_bytes
            fitting = _FETCH_BYTES * count // max(1, fetched_bytes)
            fetch_count = max(_FEWEST_MESSAGES, min(2 * fetch_count, fitting, _MOST_MESSAGES))
        if messages and (not count or size >= BLOCK_BYTES):
            yield _block(messages)
            messages, size = [], 0
        if not count:
            return


def prefetch(blocks: Iterator[MessageBlock]) -> Generator[MessageBlock, None, None]:
    """The same blocks; a thread reads the next block while the last one is processed."""
    with ThreadPoolExecutor(1, "replication-reader") as reader:
        following = reader.submit(next, blocks, None)
        while (block := following.result()) is not None:
            following = reader.submit(next, blocks, None)
            yield block


def _block(messages: list[bytes]) -> MessageBlock:
    ends = np.cumsum(np.fromiter(map(len, messages), np.int64, len(messages)))
    starts = np.concatenate([[0], ends[:-1]])
    return MessageBlock(np.frombuffer(b"".join(messages), np.uint8), starts, ends)


@dataclass(frozen=True)
class RowMessages:
    """Inserts, updates and deletes of one table, in order.

    Attributes:
        indices: the indices of the messages in `block`.
        lsns: the LSN of each one's commit record.
        microseconds: when each one committed, in microseconds since 2000.
        positions: for each column of the relation, the position of its value in the rows sent, or None for a
            column that is not sent; None if all columns are sent in the relation's order.
    """

    block: MessageBlock
    indices: Positions
    lsns: Positions
    microseconds: Positions
    positions: tuple[int | None, ...] | None

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def size(self) -> int:
        """The size of the messages in bytes."""
        return int((self.block.ends[self.indices] - self.block.starts[self.indices]).sum())

    def kinds(self) -> Bytes:
        """The kind of each message: INSERT, UPDATE or DELETE."""
        return self.block.kinds[self.indices]


@dataclass(frozen=True)
class ColumnValues:
    """One column of many messages: the text `data[starts[i]:ends[i]]` where `is_text[i]`, NULL elsewhere."""

    data: Bytes
    starts: Positions
    ends: Positions
    is_text: Flags

    def array(self, selected: Positions, hidden: Flags | None = None) -> pa.Array:
        """The values of the messages `selected` (in ascending order), NULL also where `hidden` is set."""
        nulls = ~self.is_text[selected]
        if hidden is not None:
            nulls |= hidden
        # Even elements of this array are the values, odd ones the bytes between two values.
        offsets = np.empty(2 * len(selected), np.int32)
        offsets[0::2] = self.starts[selected]
        offsets[1::2] = self.ends[selected]
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(self.data)]
        spread = pa.Array.from_buffers(pa.binary(), max(0, 2 * len(selected) - 1), buffers)
        even = pa.array(np.arange(0, 2 * len(selected), 2), mask=nulls)
        return spread.take(even).cast(pa.string())


def column_values(rows: RowMessages) -> list[ColumnValues] | None:
    """The values of each column sent: the new ones of inserts and updates, the old ones of deletes.

    None if some message has to be decoded by itself: an update that contains the old key, a value that was not
    sent, rows with different numbers of columns.
    """
    data, block = rows.block.data, rows.block
    starts = block.starts[rows.indices]
    if np.any((rows.kinds() == UPDATE) & (data[starts + 5] != NEW)):
        return None
    columns = number(data, starts + 6, 2)
    if len(columns) and np.any(columns != columns[0]):
        return None
    position = starts + 8
    values: list[ColumnValues] = []
    for _ in range(int(columns[0]) if len(columns) else 0):
        kinds = data[np.minimum(position, len(data) - 1)]
        is_text = kinds == TEXT
        if not np.all(is_text | (kinds == NULL)):
            return None
        begin = position + np.where(is_text, 5, 1)
        end = begin + np.where(is_text, number(data, position + 1, 4), 0)
        values.append(ColumnValues(data, begin, end, is_text))
        position = end
    return values
