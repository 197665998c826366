"""The changes of one table, collected from the stream, and folded to the last change of each key."""

from dvd_rental_pipeline.ingestion.postgres_cdc.compact.compact_columns import compact_columns
from dvd_rental_pipeline.ingestion.postgres_cdc.compact.compact_rows import RowCompactor, StreamMismatchError
from dvd_rental_pipeline.ingestion.postgres_cdc.compact.compacted import ChangeBatch
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.relations import Relation
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.state import StoredTable
from dvd_rental_pipeline.ingestion.postgres_cdc.stream.message_blocks import RowMessages, iso_times
from dvd_rental_pipeline.ingestion.postgres_cdc.stream.pgoutput import (
    Delete,
    Insert,
    RelationMessage,
    Update,
    decode,
)


class Compactor:
    """Collects the changes of one table; `take` gives a stretch of them, and the next begins.

    `bytes` are those of all changes so far. With `keep_superseded` a stretch has the superseded states too.
    """

    def __init__(self, relation: Relation, before: StoredTable, *, keep_superseded: bool = False) -> None:
        self.relation = relation
        self.bytes = 0
        self._runs: list[RowMessages | tuple[int, str]] = []  # a pair: the table was truncated
        self._before = before
        self._keep_superseded = keep_superseded
        self._sources: tuple[int | None, ...] | None = None

    @property
    def sources(self) -> tuple[int | None, ...] | None:
        """Where each column stands in the rows that are sent now; None: where it stands in the relation."""
        return self._sources

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

    def add(self, rows: RowMessages) -> None:
        """Rows appear, change and disappear."""
        self._runs.append(rows)
        self.bytes += rows.size

    def truncate(self, lsn: int, time: str) -> None:
        """All rows disappear."""
        self._runs.append((lsn, time))

    def take(self) -> ChangeBatch:
        """What the changes since the last stretch come to.

        Raises:
            StreamMismatchError: they do not follow from each other.
        """
        runs, self._runs = self._runs, []
        rows = [run for run in runs if isinstance(run, RowMessages)]
        if len(rows) == len(runs):
            quick = compact_columns(self.relation, rows, keep_superseded=self._keep_superseded)
            if quick is not None:
                return ChangeBatch(*quick, None)
        return self._take_row_by_row(runs)

    def _take_row_by_row(self, runs: list[RowMessages | tuple[int, str]]) -> ChangeBatch:
        compactor = RowCompactor(self.relation, keep_superseded=self._keep_superseded)
        truncated: tuple[int, str] | None = None
        for run in runs:
            if not isinstance(run, RowMessages):
                truncated = run
                compactor.truncate(*run)
                continue
            times = iso_times(run.microseconds).to_pylist()
            for at, lsn, time in zip(run.at.tolist(), run.lsns.tolist(), times, strict=True):
                message = decode(run.block.message(at))
                if not isinstance(message, Insert | Update | Delete):
                    raise AssertionError("only rows are collected")
                compactor.add(message, run.sources, lsn, time)
        return ChangeBatch(compactor.compacted(), compactor.compacted_superseded(), truncated)
