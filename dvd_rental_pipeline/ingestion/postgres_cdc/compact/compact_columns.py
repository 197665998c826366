"""Folding the usual changes, column by column: much faster than one by one, with the same outcome.

It applies to stretches of inserts, deletes, and updates that leave the key alone and send every value: what is
before them in the stretch then does not matter to what they say.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from dvd_rental_pipeline.ingestion.postgres_cdc.compact.compacted import CompactedChanges
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.relations import Relation
from dvd_rental_pipeline.ingestion.postgres_cdc.stream.message_blocks import (
    DELETE,
    INSERT,
    Flags,
    Positions,
    RowMessages,
    Values,
    iso_times,
    values_of,
)


def compact_columns(
    relation: Relation, runs: Sequence[RowMessages], *, keep_superseded: bool
) -> tuple[CompactedChanges, CompactedChanges | None] | None:
    """The last change of each key, and the states that were replaced within the stretch.

    None when there are changes among them that have to be looked at one by one.
    """
    if not runs or any(run.sources != runs[0].sources for run in runs):
        return None
    found = [values_of(run) for run in runs]
    sent = [values for values in found if values is not None]
    if len(sent) < len(found) or any(len(values) != len(sent[0]) for values in sent):
        return None
    columns = runs[0].sources or tuple(range(len(relation.columns)))
    if len(sent[0]) < len([column for column in columns if column is not None]):
        return None
    batch = _MessageBatch(relation, runs, sent, columns)
    codes = batch.key_codes()
    every = np.arange(len(codes))
    first = np.empty(codes.max() + 1, np.int64)
    first[codes[::-1]] = every[::-1]
    last = np.empty_like(first)
    last[codes] = every  # of several, the last one stays
    order = np.argsort(last)
    expected = batch.kinds[first[order]] != INSERT
    current = batch.compacted(last[order], expected)
    if not keep_superseded:
        return current, None
    together = np.argsort(codes, kind="stable")
    same_key = codes[together][1:] == codes[together][:-1]
    later = batch.lsns[together][1:] != batch.lsns[together][:-1]
    superseded = np.sort(together[:-1][same_key & later])
    return current, batch.compacted(superseded, None) if len(superseded) else None


class _MessageBatch:
    """The messages of several blocks, numbered through."""

    def __init__(
        self,
        relation: Relation,
        runs: Sequence[RowMessages],
        sent: Sequence[Sequence[Values]],
        columns: Sequence[int | None],
    ) -> None:
        self._relation = relation
        self._sent = sent
        self._columns = columns
        self._bounds = np.cumsum([0, *(len(run) for run in runs)])
        self.kinds = np.concatenate([run.kinds() for run in runs])
        self.lsns = np.concatenate([run.lsns for run in runs])
        self._microseconds = np.concatenate([run.microseconds for run in runs])

    def key_codes(self) -> Positions:
        """A number for each message, the same for the same key, from 0 on without gaps."""
        every = np.arange(len(self.kinds))
        codes = np.zeros(len(every), np.int64)
        for position in self._relation.key_positions:
            part = self._texts(position, every, None).dictionary_encode()
            indices = part.indices.to_numpy().astype(np.int64)
            if position == self._relation.key_positions[0]:
                codes = indices
            else:
                pairs = pa.array(codes * len(part.dictionary) + indices)
                codes = pairs.dictionary_encode().indices.to_numpy().astype(np.int64)
        return codes

    def compacted(self, wanted: Positions, expected: Flags | None) -> CompactedChanges:
        """The messages `wanted`, in ascending order."""
        deleted = self.kinds[wanted] == DELETE
        key = self._relation.key_positions
        return CompactedChanges(
            texts=[
                self._texts(position, wanted, None if position in key else deleted)
                for position in range(len(self._columns))
            ],
            unchanged={},
            deleted=pa.array(deleted),
            lsns=pa.array(self.lsns[wanted]),
            times=iso_times(self._microseconds[wanted]),
            expected=pa.nulls(len(wanted), pa.bool_()) if expected is None else pa.array(expected),
            bases=None,
        )

    def _texts(self, position: int, wanted: Positions, hidden: Flags | None) -> pa.Array:
        column = self._columns[position]
        if column is None:
            return pa.nulls(len(wanted), pa.string())
        parts = []
        for number, values in enumerate(self._sent):
            begin, end = np.searchsorted(wanted, self._bounds[number : number + 2])
            part = wanted[begin:end] - self._bounds[number]
            parts.append(values[column].array(part, None if hidden is None else hidden[begin:end]))
        return pa.concat_arrays(parts)
