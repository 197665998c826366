"""What a stretch of the change stream comes to, for one table, in columns."""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True)
class CompactedChanges:
    """Changes of different keys, or states of rows; all arrays have one element for each.

    Attributes:
        texts: by column of the relation, PostgreSQL's text form or NULL; of deleted rows only the key.
        unchanged: by position of a column that an update did not send: where that is so. The value then is that
            of the row of the raw table whose key is in `bases`.
        deleted: whether the row is gone.
        lsns: position of the transaction's commit record.
        times: when it committed.
        expected: whether the raw table must have held the key live before, NULL where the stream does not tell.
        bases: by column of the key; None when no value is unchanged.
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
    """All changes of a stretch. False when there are none; its length is the number of keys that changed.

    `changes` are the last of each key, `superseded` the states that a transaction committed and a later one of
    the stretch replaced. `truncated` is the position and the time of the last TRUNCATE.
    """

    changes: CompactedChanges | None
    superseded: CompactedChanges | None
    truncated: tuple[int, str] | None

    def __bool__(self) -> bool:
        return self.changes is not None or self.truncated is not None

    def __len__(self) -> int:
        return 0 if self.changes is None else len(self.changes)

    def first_and_last(self) -> tuple[str | None, str | None]:
        """When the first and the last of the changes that are left committed."""
        times: list[str] = [] if self.truncated is None else [self.truncated[1]]
        if self.changes is not None:
            found = pc.min_max(self.changes.times).as_py()
            times += [found["min"], found["max"]]
        return min(times, default=None), max(times, default=None)
