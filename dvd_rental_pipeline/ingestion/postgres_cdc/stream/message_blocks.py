"""Messages of the change stream by the thousand: blocks of bytes, and where in them what stands.

One message costs Python a microsecond before anything is done with it. So the usual messages are never taken
apart one by one: a block keeps them end to end, and numpy reads the same field of all of them at once.
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
# At once the client holds what it fetches, so of long messages it must not fetch many.
_FETCH_BYTES = 1024 * 1024
_FEWEST_MESSAGES, _MOST_MESSAGES = 20, 5_000
_EPOCH = np.datetime64("2000-01-01T00:00:00", "us")

NULL, TEXT = ord("n"), ord("t")
INSERT, UPDATE, DELETE, NEW = ord("I"), ord("U"), ord("D"), ord("N")

Positions = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Block:
    """Messages end to end: message `i` is `data[starts[i]:ends[i]]`."""

    data: Bytes
    starts: Positions
    ends: Positions

    def __len__(self) -> int:
        return len(self.starts)

    @cached_property
    def kinds(self) -> Bytes:
        """The first byte of each message, which tells what it is."""
        return self.data[self.starts]

    @cached_property
    def oids(self) -> Positions:
        """What stands behind it: in messages of rows, the table's oid."""
        return number(self.data, self.starts + 1, 4)

    def message(self, index: int) -> bytes:
        """One message, to be decoded by itself."""
        return self.data[self.starts[index] : self.ends[index]].tobytes()

    def begins(self) -> tuple[Positions, Positions, Positions, Positions]:
        """Where transactions begin, with the position of each one's commit record, its time and its number."""
        at = np.flatnonzero(self.kinds == ord("B"))
        starts = self.starts[at]
        return (
            at,
            number(self.data, starts + 1, 8),
            number(self.data, starts + 9, 8),
            number(self.data, starts + 17, 4),
        )


def number(data: Bytes, at: Positions, width: int) -> Positions:
    """The big-endian numbers of `width` bytes that start `at`; arbitrary where `data` ends before."""
    last = len(data) - 1
    value = np.zeros(len(at), np.int64)
    for offset in range(width):
        value = (value << 8) | data[np.minimum(at + offset, last)]
    return value


def iso_times(microseconds: Positions) -> pa.Array:
    """Times of the protocol (microseconds since 2000) as Airbyte writes them, in UTC, with microseconds."""
    different, which = np.unique(microseconds, return_inverse=True)
    texts = np.datetime_as_string(_EPOCH + different.astype("timedelta64[us]"), unit="us", timezone="UTC")
    return pa.array(texts, pa.string()).take(pa.array(which))


def fetched(cursor: psycopg.Cursor, portal: sql.Identifier) -> Iterator[Block]:
    """The messages of an open server-side cursor `portal`, one in each row, in blocks.

    How many are fetched at once follows from how long they are.
    """
    wanted = _FEWEST_MESSAGES
    gathered: list[bytes] = []
    size = 0
    while True:
        cursor.execute(sql.SQL("fetch forward {} from {}").format(wanted, portal), binary=True)
        result = cursor.pgresult
        found = 0 if result is None else result.ntuples
        if result is not None and found:
            values = [result.get_value(row, 0) or b"" for row in range(found)]
            bytes_here = sum(map(len, values))
            gathered += values
            size += bytes_here
            fitting = _FETCH_BYTES * found // max(1, bytes_here)
            wanted = max(_FEWEST_MESSAGES, min(2 * wanted, fitting, _MOST_MESSAGES))
        if gathered and (not found or size >= BLOCK_BYTES):
            yield _block(gathered)
            gathered, size = [], 0
        if not found:
            return


def prefetch(these: Iterator[Block]) -> Generator[Block, None, None]:
    """The same blocks, the next of which is read while the last is worked on."""
    with ThreadPoolExecutor(1, "replication-reader") as reader:
        coming = reader.submit(next, these, None)
        while (block := coming.result()) is not None:
            coming = reader.submit(next, these, None)
            yield block


def _block(messages: list[bytes]) -> Block:
    ends = np.cumsum(np.fromiter(map(len, messages), np.int64, len(messages)))
    starts = np.concatenate([[0], ends[:-1]])
    return Block(np.frombuffer(b"".join(messages), np.uint8), starts, ends)


@dataclass(frozen=True)
class RowMessages:
    """Inserts, updates and deletes of one table, in their order: those at `at` in a block.

    `lsns` and `microseconds` are the position and time of each one's commit. `sources` tells for each column of
    the relation where its value stands among those sent; None: where the column stands itself.
    """

    block: Block
    at: Positions
    lsns: Positions
    microseconds: Positions
    sources: tuple[int | None, ...] | None

    def __len__(self) -> int:
        return len(self.at)

    @property
    def size(self) -> int:
        """Their bytes."""
        return int((self.block.ends[self.at] - self.block.starts[self.at]).sum())

    def kinds(self) -> Bytes:
        """Which are inserts, updates and deletes."""
        return self.block.kinds[self.at]


@dataclass(frozen=True)
class Values:
    """One column of many messages: text from `starts` to `ends` in `data` where `texts` is set, else NULL."""

    data: Bytes
    starts: Positions
    ends: Positions
    texts: Flags

    def array(self, wanted: Positions, hidden: Flags | None = None) -> pa.Array:
        """The values of the messages `wanted` (in ascending order), NULL also where `hidden` is set."""
        nulls = ~self.texts[wanted]
        if hidden is not None:
            nulls |= hidden
        # Every other element of this array is a value, the ones between are what stands between two values.
        offsets = np.empty(2 * len(wanted), np.int32)
        offsets[0::2] = self.starts[wanted]
        offsets[1::2] = self.ends[wanted]
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(self.data)]
        spread = pa.Array.from_buffers(pa.binary(), max(0, 2 * len(wanted) - 1), buffers)
        every_other = pa.array(np.arange(0, 2 * len(wanted), 2), mask=nulls)
        return spread.take(every_other).cast(pa.string())


def values_of(rows: RowMessages) -> list[Values] | None:
    """The values of each column sent, of inserts and updates the new ones, of deletes the old ones.

    None when there is something among them that must be looked at one by one: an update that tells the old key,
    a value that was not sent, rows of different shapes.
    """
    data, block = rows.block.data, rows.block
    starts = block.starts[rows.at]
    if np.any((rows.kinds() == UPDATE) & (data[starts + 5] != NEW)):
        return None
    columns = number(data, starts + 6, 2)
    if len(columns) and np.any(columns != columns[0]):
        return None
    position = starts + 8
    values: list[Values] = []
    for _ in range(int(columns[0]) if len(columns) else 0):
        kinds = data[np.minimum(position, len(data) - 1)]
        texts = kinds == TEXT
        if not np.all(texts | (kinds == NULL)):
            return None
        begin = position + np.where(texts, 5, 1)
        end = begin + np.where(texts, number(data, position + 1, 4), 0)
        values.append(Values(data, begin, end, texts))
        position = end
    return values
