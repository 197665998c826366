"""Folding changes one by one: whatever they are, in their order."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from dvd_rental_pipeline.ingestion.postgres_cdc.compact.compacted import CompactedChanges
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.relations import Relation
from dvd_rental_pipeline.ingestion.postgres_cdc.stream.pgoutput import UNCHANGED, Delete, Insert, Update, Value

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


class RowCompactor:
    """The last change of each key.

    With `keep_superseded`, the states that a transaction committed and a later one replaced are kept too.
    """

    def __init__(self, relation: Relation, *, keep_superseded: bool) -> None:
        self.changes: dict[Key, Change] = {}
        self.superseded: list[tuple[Key, Change]] = []
        self._truncated = False
        self._relation = relation
        self._keep_superseded = keep_superseded
        self._key = relation.key_positions

    def add(
        self, message: Insert | Update | Delete, sources: Sequence[int | None] | None, lsn: int, time: str
    ) -> None:
        """One change; `sources` as in `RowMessages`.

        Raises:
            StreamMismatchError: it does not follow from what was sent before.
        """
        if isinstance(message, Insert):
            self._insert(_arranged(message.new, sources), lsn, time)
        elif isinstance(message, Update):
            old = None if message.old is None else _arranged(message.old, sources)
            self._update(old, _arranged(message.new, sources), lsn, time, partial=message.partial)
        else:
            self._delete(_arranged(message.old, sources), lsn, time)

    def _insert(self, values: list[Value], lsn: int, time: str) -> None:
        key = tuple([values[position] for position in self._key])
        self._set(key, Change(values, lsn, time, self._taken(key), None))

    def _update(
        self, old: list[Value] | None, values: list[Value], lsn: int, time: str, *, partial: bool
    ) -> None:
        key = tuple([values[position] for position in self._key])
        old_key = key
        if old is not None:
            old_key = tuple([old[position] for position in self._key])
            if partial:
                key = tuple([was if is_ is UNCHANGED else is_ for was, is_ in zip(old_key, key, strict=True)])
                for position, value in zip(self._key, key, strict=True):
                    values[position] = value
        former = self.changes.get(old_key)
        base: Key | None = None
        if partial and any(value is UNCHANGED for value in values):
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

    def _delete(self, old: list[Value], lsn: int, time: str) -> None:
        key = tuple([old[position] for position in self._key])
        former = self.changes.get(key)
        gone = Change(None, lsn, time, former.expected if former is not None else True, None)
        self._set(key, gone)

    def truncate(self, lsn: int, time: str) -> None:
        """All rows disappear."""
        for key, change in self.changes.items():
            if change.values is not None:
                self._set(key, Change(None, lsn, time, change.expected, None))
        self._truncated = True

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
        return None if self._truncated else False

    def compacted(self) -> CompactedChanges | None:
        """The last change of each key."""
        return self._columns(list(self.changes.items()))

    def compacted_superseded(self) -> CompactedChanges | None:
        """The states that came and went."""
        return self._columns(self.superseded)

    def _columns(self, items: Sequence[tuple[Key, Change]]) -> CompactedChanges | None:
        if not items:
            return None
        texts, unchanged = [], {}
        for position in range(len(self._relation.columns)):
            values = list(_column_values(items, self._key, position))
            texts.append(_texts(values))
            flags = [value is UNCHANGED for value in values]
            if any(flags):
                unchanged[position] = pa.array(flags)
        changes = [change for _, change in items]
        bases = None
        if any(change.base is not None for change in changes):
            bases = [
                _texts([None if change.base is None else change.base[index] for change in changes])
                for index in range(len(self._key))
            ]
        return CompactedChanges(
            texts=texts,
            unchanged=unchanged,
            deleted=pa.array([change.values is None for change in changes]),
            lsns=pa.array([change.lsn for change in changes], pa.int64()),
            times=pa.array([change.time for change in changes], pa.string()),
            expected=pa.array([change.expected for change in changes], pa.bool_()),
            bases=bases,
        )


def _column_values(
    changes: Iterable[tuple[Key, Change]], key_positions: Sequence[int], position: int
) -> Iterator[Value]:
    """The values of one column over `changes`, None for deleted rows (but not in key columns)."""
    if position in key_positions:
        at = key_positions.index(position)
        return (key[at] for key, _ in changes)
    return (None if change.values is None else change.values[position] for _, change in changes)


def _texts(values: Sequence[Value]) -> pa.Array:
    return pa.array([value if isinstance(value, bytes) else None for value in values], pa.string())


def _arranged(values: list[Value], sources: Sequence[int | None] | None) -> list[Value]:
    if sources is None:
        return values
    return [None if source is None else values[source] for source in sources]
