"""The compacted changes of one table in a batch of the change stream, in columns."""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from dvd_rental_pipeline.ingestion.postgres_cdc.stream.streamed_table import Truncation


@dataclass(frozen=True)
class CompactedChanges:
    """Changes, at most one per key, or superseded states of rows; all arrays have one element for each.

    Attributes:
        texts: per column of the relation, PostgreSQL's text form or NULL; for deleted rows, only the key.
        unchanged: by position of a column, where an update did not send its value. The value then is the one in
            the raw table's row with the key in `bases`.
        deleted: whether the row was deleted.
        lsns: the LSN of the transaction's commit record.
        times: when it committed.
        expected: whether the key must have been live in the raw table before; NULL where the stream does not
            determine that.
        bases: per column of the key; None if no value is unchanged.
    """

    texts: list[pa.Array]
    unchanged: Mapping[int, pa.Array]
    deleted: pa.Array
    lsns: pa.Array
    times: pa.Array
    expected: pa.Array
    bases: list[pa.Array] | None

    def __len__(self) -> int:
        return len(self.deleted)


@dataclass(frozen=True)
class ChangeBatch:
    """All changes of a table in a batch. False if there are none; its length is the number of changed keys.

    Attributes:
        changes: the last change of each key.
        superseded: states that one transaction committed and a later one in the batch replaced.
        truncation: the last TRUNCATE.
    """

    changes: CompactedChanges | None
    superseded: CompactedChanges | None
    truncation: Truncation | None

    def __bool__(self) -> bool:
        return self.changes is not None or self.truncation is not None

    def __len__(self) -> int:
        return 0 if self.changes is None else len(self.changes)

    def first_and_last_commit(self) -> tuple[str | None, str | None]:
        """The times of the first and the last commit among the changes."""
        times: list[str] = [] if self.truncation is None else [self.truncation.time]
        if self.changes is not None:
            bounds = pc.min_max(self.changes.times).as_py()
            times += [bounds["min"], bounds["max"]]
        return min(times, default=None), max(times, default=None)
