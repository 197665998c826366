"""A decoder for pgoutput, the format of PostgreSQL's built-in logical replication.

Protocol version 1: complete transactions, in commit order, without rolled-back changes. The formats are those
of the PostgreSQL manual, chapter "Logical Replication Message Formats" (section 54.9 of the manual of version
16).
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from struct import Struct
from typing import Final


class Unchanged(Enum):
    """The placeholder for a value that is stored out of line (TOAST) and that an update did not change."""

    UNCHANGED = "unchanged"


UNCHANGED: Final = Unchanged.UNCHANGED

Value = bytes | None | Unchanged
"""A column's value: PostgreSQL's text form in UTF-8, NULL, or not sent because it did not change."""


@dataclass(frozen=True, slots=True)
class Begin:
    """The start of a transaction, with the LSN of its commit record and the time of its commit."""

    commit_lsn: int
    time: datetime
    xid: int


@dataclass(frozen=True, slots=True)
class Commit:
    """The end of a transaction."""

    commit_lsn: int
    end_lsn: int


@dataclass(frozen=True, slots=True)
class RelationColumn:
    """A column of a `RelationMessage`; `in_key`: whether it is part of the replica identity."""

    name: str
    type_oid: int
    modifier: int
    in_key: bool


@dataclass(frozen=True, slots=True)
class RelationMessage:
    """The columns of the rows that follow; sent before a table's first row and after each schema change."""

    oid: int
    schema: str
    name: str
    columns: tuple[RelationColumn, ...]


@dataclass(slots=True)
class Insert:
    """A new row."""

    oid: int
    new: list[Value]


@dataclass(slots=True)
class Update:
    """An updated row.

    `old` (the key columns, or the whole row) is None unless the replica identity changed or is full. `partial`
    says that `new` has UNCHANGED values.
    """

    oid: int
    old: list[Value] | None
    new: list[Value]
    partial: bool


@dataclass(slots=True)
class Delete:
    """A deleted row: its key columns, or the whole row if the replica identity is full."""

    oid: int
    old: list[Value]


@dataclass(frozen=True, slots=True)
class Truncate:
    """The tables emptied by one TRUNCATE."""

    oids: tuple[int, ...]


Message = Begin | Commit | RelationMessage | Insert | Update | Delete | Truncate

_INT16 = Struct("!H").unpack_from
_INT32 = Struct("!I").unpack_from
_BEGIN = Struct("!QqI").unpack_from
_COMMIT = Struct("!BQQq").unpack_from
_TRUNCATE = Struct("!IB").unpack_from
_COLUMN = Struct("!Ii").unpack_from
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)

_NULL, _TEXT, _UNCHANGED = ord("n"), ord("t"), ord("u")
_INSERT, _UPDATE, _DELETE, _NEW = ord("I"), ord("U"), ord("D"), ord("N")


def decode(data: bytes) -> Message | None:
    """Decode one message; None for kinds without rows (origin, type, logical message).

    Raises:
        ValueError: the message is not one of protocol version 1.
    """
    kind = data[0]
    if kind == _INSERT:
        return Insert(_INT32(data, 1)[0], _row(data, 6)[0])
    if kind == _UPDATE:
        oid: int = _INT32(data, 1)[0]
        if data[5] == _NEW:
            new, _, partial = _row(data, 6)
            return Update(oid, None, new, partial)
        old, end, _ = _row(data, 6)
        new, _, partial = _row(data, end + 1)
        return Update(oid, old, new, partial)
    if kind == _DELETE:
        return Delete(_INT32(data, 1)[0], _row(data, 6)[0])
    return _decode_rare(data)


def _decode_rare(data: bytes) -> Message | None:
    match chr(data[0]):
        case "B":
            lsn, microseconds, xid = _BEGIN(data, 1)
            return Begin(lsn, _EPOCH + timedelta(microseconds=microseconds), xid)
        case "C":
            _, lsn, end_lsn, _ = _COMMIT(data, 1)
            return Commit(lsn, end_lsn)
        case "R":
            return _relation(data)
        case "T":
            count, _ = _TRUNCATE(data, 1)
            return Truncate(tuple(_INT32(data, 6 + 4 * index)[0] for index in range(count)))
        case "O" | "Y" | "M":
            return None
        case kind:
            raise ValueError(f"unknown message {kind!r} in the change stream")


def _row(data: bytes, position: int) -> tuple[list[Value], int, bool]:
    """The values of the row that starts at `position`, its end, and whether some values were not sent."""
    values: list[Value] = []
    partial = False
    append = values.append
    (count,) = _INT16(data, position)
    position += 2
    for _ in range(count):
        kind = data[position]
        position += 1
        if kind == _TEXT:
            start = position + 4
            position = start + _INT32(data, position)[0]
            append(data[start:position])
        elif kind == _NULL:
            append(None)
        elif kind == _UNCHANGED:
            append(UNCHANGED)
            partial = True
        else:
            raise ValueError(f"unknown kind of value {chr(kind)!r} in the change stream")
    return values, position, partial


def _relation(data: bytes) -> RelationMessage:
    oid = _INT32(data, 1)[0]
    schema, position = _string(data, 5)
    name, position = _string(data, position)
    (count,) = _INT16(data, position + 1)  # the byte before it is the replica identity
    position += 3
    columns = []
    for _ in range(count):
        flags = data[position]
        column, position = _string(data, position + 1)
        type_oid, modifier = _COLUMN(data, position)
        position += 8
        columns.append(RelationColumn(column, type_oid, modifier, bool(flags & 1)))
    return RelationMessage(oid, schema, name, tuple(columns))


def _string(data: bytes, position: int) -> tuple[str, int]:
    end = data.index(0, position)
    return data[position:end].decode(), end + 1
