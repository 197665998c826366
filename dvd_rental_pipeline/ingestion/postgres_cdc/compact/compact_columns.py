"""Compacting changes column by column: faster than row by row, with the same result.

It handles batches of inserts, deletes, and updates that keep the key and send every value: the result for a key
then depends on its last change alone.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from dvd_rental_pipeline.ingestion.postgres_cdc.compact.change_batch import CompactedChanges
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.relations import SourceRelation
from dvd_rental_pipeline.ingestion.postgres_cdc.stream.message_blocks import (
    DELETE,
    INSERT,
    ColumnValues,
    Flags,
    Positions,
    RowMessages,
    column_values,
    iso_times,
)


def compact_columns(
    relation: SourceRelation, runs: Sequence[RowMessages], *, keep_superseded: bool
) -> tuple[CompactedChanges, CompactedChanges | None] | None:
    """The last change of each key, and the superseded states.

    None if some changes have to be compacted row by row.
    """
    if not runs or any(run.positions != runs[0].positions for run in runs):
        return None
    values_per_run = [values for values in map(column_values, runs) if values is not None]
    if len(values_per_run) < len(runs) or any(
        len(values) != len(values_per_run[0]) for values in values_per_run
    ):
        return None
    positions = runs[0].positions or tuple(range(len(relation.columns)))
    if len(values_per_run[0]) < len([position for position in positions if position is not None]):
        return None
    batch = _MessageBatch(relation, runs, values_per_run, positions)
    codes = batch.key_codes()
    messages = np.arange(len(codes))
    first = np.empty(codes.max() + 1, np.int64)
    first[codes[::-1]] = messages[::-1]  # of repeated indices, numpy keeps the last assignment
    last = np.empty_like(first)
    last[codes] = messages
    order = np.argsort(last)
    expected = batch.kinds[first[order]] != INSERT
    changes = batch.compacted(last[order], expected)
    if not keep_superseded:
        return changes, None
    by_key = np.argsort(codes, kind="stable")
    same_key = codes[by_key][1:] == codes[by_key][:-1]
    later_commit = batch.lsns[by_key][1:] != batch.lsns[by_key][:-1]
    superseded = np.sort(by_key[:-1][same_key & later_commit])
    return changes, batch.compacted(superseded, None) if len(superseded) else None


class _MessageBatch:
    """The row messages of several blocks, numbered consecutively."""

    def __init__(
        self,
        relation: SourceRelation,
        runs: Sequence[RowMessages],
        values_per_run: Sequence[Sequence[ColumnValues]],
        positions: Sequence[int | None],
    ) -> None:
        self._relation = relation
        self._values_per_run = values_per_run
        self._positions = positions
        self._bounds = np.cumsum([0, *(len(run) for run in runs)])
        self.kinds = np.concatenate([run.kinds() for run in runs])
        self.lsns = np.concatenate([run.lsns for run in runs])
        self._microseconds = np.concatenate([run.microseconds for run in runs])

    def key_codes(self) -> Positions:
        """A code for each message, equal for equal keys, from 0 on without gaps."""
        messages = np.arange(len(self.kinds))
        codes = np.zeros(len(messages), np.int64)
        for column in self._relation.key_positions:
            encoded = self._texts(column, messages, None).dictionary_encode()
            indices = encoded.indices.to_numpy().astype(np.int64)
            if column == self._relation.key_positions[0]:
                codes = indices
            else:
                pairs = pa.array(codes * len(encoded.dictionary) + indices)
                codes = pairs.dictionary_encode().indices.to_numpy().astype(np.int64)
        return codes

    def compacted(self, selected: Positions, expected: Flags | None) -> CompactedChanges:
        """The messages `selected`, in ascending order."""
        deleted = self.kinds[selected] == DELETE
        key = self._relation.key_positions
        return CompactedChanges(
            texts=[
                self._texts(column, selected, None if column in key else deleted)
                for column in range(len(self._positions))
            ],
            unchanged={},
            deleted=pa.array(deleted),
            lsns=pa.array(self.lsns[selected]),
            times=iso_times(self._microseconds[selected]),
            expected=pa.nulls(len(selected), pa.bool_()) if expected is None else pa.array(expected),
            bases=None,
        )

    def _texts(self, column: int, selected: Positions, hidden: Flags | None) -> pa.Array:
        position = self._positions[column]
        if position is None:
            return pa.nulls(len(selected), pa.string())
        parts = []
        for number, values in enumerate(self._values_per_run):
            begin, end = np.searchsorted(selected, self._bounds[number : number + 2])
            part = selected[begin:end] - self._bounds[number]
            parts.append(values[position].array(part, None if hidden is None else hidden[begin:end]))
        return pa.concat_arrays(parts)
