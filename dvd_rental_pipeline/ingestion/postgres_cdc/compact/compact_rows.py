"""Compacting changes row by row: handles every kind of change, in order."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from dvd_rental_pipeline.ingestion.postgres_cdc.compact.change_batch import CompactedChanges
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.relations import SourceRelation
from dvd_rental_pipeline.ingestion.postgres_cdc.stream.message_blocks import RowMessages, iso_times
from dvd_rental_pipeline.ingestion.postgres_cdc.stream.pgoutput import (
    UNCHANGED,
    Delete,
    Insert,
    Update,
    Value,
    decode,
)
from dvd_rental_pipeline.ingestion.postgres_cdc.stream.streamed_table import StreamMismatchError, Truncation

Key = tuple[Value, ...]


@dataclass(slots=True)
class Change:
    """The last change of one key.

    Attributes:
        values: per column of the relation; None for a deleted row.
        lsn: the LSN of the transaction's commit record.
        time: when it committed.
        expected: whether the key must have been live in the raw table before the batch; None where the stream
            does not determine that.
        base: the key of the raw table's row that has the values which are UNCHANGED here.
    """

    values: list[Value] | None
    lsn: int
    time: str
    expected: bool | None
    base: Key | None


class RowCompactor:
    """Collects the last change of each key.

    With `keep_superseded`, it also collects the states that a transaction committed and a later one replaced.
    """

    def __init__(self, relation: SourceRelation, *, keep_superseded: bool) -> None:
        self._changes: dict[Key, Change] = {}
        self._superseded: list[tuple[Key, Change]] = []
        self._truncated = False
        self._relation = relation
        self._keep_superseded = keep_superseded
        self._key = relation.key_positions

    def add(self, rows: RowMessages) -> None:
        """Add inserts, updates and deletes.

        Raises:
            StreamMismatchError: a change contradicts an earlier one.
        """
        times = iso_times(rows.microseconds).to_pylist()
        for index, lsn, time in zip(rows.indices.tolist(), rows.lsns.tolist(), times, strict=True):
            message = decode(rows.block.message(index))
            if isinstance(message, Insert):
                self._insert(_in_relation_order(message.new, rows.positions), lsn, time)
            elif isinstance(message, Update):
                old = None if message.old is None else _in_relation_order(message.old, rows.positions)
                new = _in_relation_order(message.new, rows.positions)
                self._update(old, new, lsn, time, partial=message.partial)
            elif isinstance(message, Delete):
                self._delete(_in_relation_order(message.old, rows.positions), lsn, time)
            else:
                raise AssertionError("only row messages are collected")

    def truncate(self, truncation: Truncation) -> None:
        """Delete all rows."""
        for key, change in self._changes.items():
            if change.values is not None:
                self._set(key, Change(None, truncation.lsn, truncation.time, change.expected, None))
        self._truncated = True

    def _insert(self, values: list[Value], lsn: int, time: str) -> None:
        key = tuple([values[position] for position in self._key])
        self._set(key, Change(values, lsn, time, self._expected_before_insert(key), None))

    def _update(
        self, old: list[Value] | None, values: list[Value], lsn: int, time: str, *, partial: bool
    ) -> None:
        key = tuple([values[position] for position in self._key])
        old_key = key
        if old is not None:
            old_key = tuple([old[position] for position in self._key])
            if partial:
                key = tuple(
                    [
                        before if value is UNCHANGED else value
                        for before, value in zip(old_key, key, strict=True)
                    ]
                )
                for position, value in zip(self._key, key, strict=True):
                    values[position] = value
        former = self._changes.get(old_key)
        base: Key | None = None
        if partial and any(value is UNCHANGED for value in values):
            if former is None:
                base = old_key
            elif former.values is None:
                raise StreamMismatchError("a deleted row was updated in the stream")
            else:
                base = former.base
                values = [
                    before if value is UNCHANGED else value
                    for before, value in zip(former.values, values, strict=True)
                ]
        if key == old_key:
            expected = former.expected if former is not None else True
        else:
            deletion = Change(None, lsn, time, former.expected if former is not None else True, None)
            self._set(old_key, deletion)
            expected = self._expected_before_insert(key)
        self._set(key, Change(values, lsn, time, expected, base))

    def _delete(self, old: list[Value], lsn: int, time: str) -> None:
        key = tuple([old[position] for position in self._key])
        former = self._changes.get(key)
        self._set(key, Change(None, lsn, time, former.expected if former is not None else True, None))

    def _set(self, key: Key, change: Change) -> None:
        if self._keep_superseded:
            former = self._changes.get(key)
            if former is not None and former.lsn != change.lsn:
                self._superseded.append((key, former))
        self._changes[key] = change

    def _expected_before_insert(self, key: Key) -> bool | None:
        """Whether the key, which is free now, must have been live in the raw table before the batch."""
        former = self._changes.get(key)
        if former is not None:
            return former.expected
        # The rows that a TRUNCATE in this batch removed are not known one by one.
        return None if self._truncated else False

    def changes(self) -> CompactedChanges | None:
        """The last change of each key; None without changes."""
        return self._in_columns(list(self._changes.items()))

    def superseded(self) -> CompactedChanges | None:
        """The superseded states; None without any."""
        return self._in_columns(self._superseded)

    def _in_columns(self, items: Sequence[tuple[Key, Change]]) -> CompactedChanges | None:
        if not items:
            return None
        texts, unchanged = [], {}
        for position in range(len(self._relation.columns)):
            values = list(_column_of(items, self._key, position))
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


def _column_of(
    changes: Iterable[tuple[Key, Change]], key_positions: Sequence[int], position: int
) -> Iterator[Value]:
    """The values of one column in `changes`; None for deleted rows, except in key columns."""
    if position in key_positions:
        index = key_positions.index(position)
        return (key[index] for key, _ in changes)
    return (None if change.values is None else change.values[position] for _, change in changes)


def _texts(values: Sequence[Value]) -> pa.Array:
    return pa.array([value if isinstance(value, bytes) else None for value in values], pa.string())


def _in_relation_order(values: list[Value], positions: Sequence[int | None] | None) -> list[Value]:
    if positions is None:
        return values
    return [None if position is None else values[position] for position in positions]
