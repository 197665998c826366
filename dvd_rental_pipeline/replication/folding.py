"""The last change of each key: what a stretch of the change stream comes to, for one table."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from dvd_rental_pipeline.replication.pgoutput import UNCHANGED, Delete, Insert, RelationMessage, Update, Value
from dvd_rental_pipeline.replication.relations import Relation
from dvd_rental_pipeline.replication.state import StoredTable

Key = tuple[Value, ...]


class StreamMismatchError(Exception):
    """The stream does not tell all of a table's changes: copy the table again. The text is the reason."""


@dataclass(slots=True)
class Change:
    """What became of one key.

    `values` are those of the relation's columns, None for a deleted row. `expected` says whether the raw table
    must have held the key live before, None where the stream does not tell. Where `values` has UNCHANGED, the
    value is that of the row `base` of the raw table.
    """

    values: list[Value] | None
    lsn: int
    time: str
    expected: bool | None
    base: Key | None


def column_values(
    changes: Iterable[tuple[Key, Change]], key_positions: Sequence[int], position: int
) -> Iterator[Value]:
    """The values of one column over `changes`, None for deleted rows (but not in key columns)."""
    if position in key_positions:
        at = key_positions.index(position)
        return (key[at] for key, _ in changes)
    return (None if change.values is None else change.values[position] for _, change in changes)


class Fold:
    """Folds the changes of one table, and can be emptied after each stretch (`clear`).

    `truncated` is the position and the time of the last TRUNCATE of the stretch. With `keep_superseded`,
    `superseded` are the states that a transaction committed and a later one of the stretch replaced.
    """

    def __init__(self, relation: Relation, before: StoredTable, *, keep_superseded: bool = False) -> None:
        self.relation = relation
        self.changes: dict[Key, Change] = {}
        self.superseded: list[tuple[Key, Change]] = []
        self.truncated: tuple[int, str] | None = None
        self.bytes = 0
        self._before = before
        self._keep_superseded = keep_superseded
        self._key = relation.key_positions
        self._sources: tuple[int | None, ...] | None = None

    def clear(self) -> None:
        """Start the next stretch."""
        self.changes = {}
        self.superseded = []
        self.truncated = None

    def describe(self, message: RelationMessage) -> None:
        """From here on, rows have this shape.

        Raises:
            StreamMismatchError: they do not fit the table as it was before and as it is now.
        """
        stored = {column.name: column for column in self._before.columns}
        current = {column.name: column for column in self.relation.columns}
        sent = [column.name for column in message.columns]
        for column in message.columns:
            types = {
                known.type_oid
                for known in (stored.get(column.name), current.get(column.name))
                if known is not None
            }
            if not types and column.name not in self._before.retired:
                raise StreamMismatchError(f"column {column.name} came and went")
            if types and column.type_oid not in types:
                raise StreamMismatchError(f"column {column.name} had another type for a while")
            if not column.in_key and column.name in self.relation.key:
                raise StreamMismatchError("its replica identity was another for a while")
        # The log sends columns in the order of their numbers: names that moved were exchanged.
        kept = [
            name for name, column in stored.items() if name in current and current[name].number == column.number
        ]
        if [name for name in sent if name in kept] != kept:
            raise StreamMismatchError("its columns had other names for a while")
        positions = tuple(sent.index(name) if name in sent else None for name in current)
        self._sources = None if positions == tuple(range(len(sent))) else positions

    def insert(self, message: Insert, lsn: int, time: str) -> None:
        """A row appears."""
        values = self._arranged(message.new)
        key = tuple([values[position] for position in self._key])
        self._set(key, Change(values, lsn, time, self._taken(key), None))

    def update(self, message: Update, lsn: int, time: str) -> None:
        """A row changes, its key perhaps too.

        Raises:
            StreamMismatchError: it does not follow from what was sent before.
        """
        values = self._arranged(message.new)
        key = tuple([values[position] for position in self._key])
        old_key = key
        if message.old is not None:
            old = self._arranged(message.old)
            old_key = tuple([old[position] for position in self._key])
            if message.partial:
                key = tuple([was if is_ is UNCHANGED else is_ for was, is_ in zip(old_key, key, strict=True)])
                for position, value in zip(self._key, key, strict=True):
                    values[position] = value
        former = self.changes.get(old_key)
        base: Key | None = None
        if message.partial and any(value is UNCHANGED for value in values):
            if former is None:
                base = old_key
            elif former.values is None:
                raise StreamMismatchError("a deleted row was updated in the stream")
            else:
                base = former.base
                values = [
                    was if is_ is UNCHANGED else is_ for was, is_ in zip(former.values, values, strict=True)
                ]
        if key == old_key:
            expected = former.expected if former is not None else True
        else:
            gone = Change(None, lsn, time, former.expected if former is not None else True, None)
            self._set(old_key, gone)
            expected = self._taken(key)
        self._set(key, Change(values, lsn, time, expected, base))

    def delete(self, message: Delete, lsn: int, time: str) -> None:
        """A row disappears."""
        old = self._arranged(message.old)
        key = tuple([old[position] for position in self._key])
        former = self.changes.get(key)
        gone = Change(None, lsn, time, former.expected if former is not None else True, None)
        self._set(key, gone)

    def truncate(self, lsn: int, time: str) -> None:
        """All rows disappear."""
        for key, change in self.changes.items():
            if change.values is not None:
                self._set(key, Change(None, lsn, time, change.expected, None))
        self.truncated = (lsn, time)

    def _set(self, key: Key, change: Change) -> None:
        if self._keep_superseded:
            former = self.changes.get(key)
            if former is not None and former.lsn != change.lsn:
                self.superseded.append((key, former))
        self.changes[key] = change

    def _taken(self, key: Key) -> bool | None:
        """Whether the raw table held this key live, of which the stream says that it is free now."""
        former = self.changes.get(key)
        if former is not None:
            return former.expected
        # What a TRUNCATE of this stretch removed is not known row by row.
        return None if self.truncated else False

    def _arranged(self, values: list[Value]) -> list[Value]:
        if self._sources is None:
            return values
        return [None if source is None else values[source] for source in self._sources]
