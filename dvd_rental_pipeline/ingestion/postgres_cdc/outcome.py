"""What a sync reports while it runs (`Step`) and returns (`SyncResult`), and what a comparison returns."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Step(StrEnum):
    """A step that a sync has completed, as passed to `on_step`; tests interrupt a sync at each of them."""

    SLOT_CREATED = "slot created"
    TABLE_COPIED = "table copied"
    BATCH_APPLIED = "batch applied"
    BEFORE_COMMIT = "before commit"
    COMMITTED = "committed"
    ADVANCED = "advanced"


@dataclass(frozen=True)
class TableSync:
    """What a sync did to one table.

    Attributes:
        mode: `snapshot` (copied in full) or `changes`.
        reason: why it was copied in full; None for changes.
        rows: live rows after the sync, tombstones aside.
        rows_before: live rows before it.
        inserted: rows that are live now and were not before; in a snapshot: all rows.
        updated: rows that were live before and after, and changed. A large sync is applied in several batches,
            and a key that changes in several of them is counted in each.
        deleted: rows that were live before and are not now; in a snapshot: rows that the copy did not contain.
        truncated: whether the source truncated the table.
        tombstones: deleted rows that the raw table keeps.
        bytes: the size of what was read from the source: stream messages, or Arrow buffers of a copy.
        lsn_from: stream position before the sync; None for the first one.
        lsn_to: stream position after it: the raw table contains exactly the transactions whose commit record
            starts before it.
        last_commit_at: when the last transaction that changed the table in this sync committed.
        commit_lag_seconds: the maximum age of a commit that is not in the warehouse when the sync ends.
        slot_lag_bytes: how much WAL the slot makes the source keep.
        seconds: time spent on this table alone.
        schema_changes: the schema drift since the last sync, as text.
        error: why the table was not synced. Its raw table is then unchanged, and its figures are 0.
    """

    table: str
    mode: Literal["snapshot", "changes"]
    reason: str | None = None
    rows: int = 0
    rows_before: int = 0
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    truncated: bool = False
    tombstones: int = 0
    bytes: int = 0
    lsn_from: str | None = None
    lsn_to: str = "0/0"
    last_commit_at: str | None = None
    commit_lag_seconds: float | None = None
    slot_lag_bytes: int = 0
    seconds: float = 0.0
    schema_changes: tuple[str, ...] = ()
    error: str | None = None


@dataclass(frozen=True)
class SyncResult:
    """What a sync did. `lsn_to` is the stream position of the streamed tables after it."""

    tables: dict[str, TableSync]
    lsn_from: str | None
    lsn_to: str
    slot_lag_bytes: int
    seconds: float


@dataclass(frozen=True)
class TableVerification:
    """How a raw table compares with its source at `lsn`.

    Attributes:
        source_rows: rows of the source.
        raw_rows: live rows of the raw table, including the pending changes.
        compared_rows: rows of the source that were compared in every column; fewer than all for a sample.
        missing: compared rows that the raw table does not have.
        surplus: rows of the raw table that the source does not have; in a sample, by the difference of counts.
        differing: rows that differ in some column.
        columns: columns whose sums differ; None where sums were not compared.
        keys: primary keys of some missing, surplus or differing rows, as `column=value`.
        pending: rows that changed after the last sync.
        pending_since: when the first of them was last changed, ISO 8601 in UTC; None without any.
        error: why the table could not be compared; None when it was.
    """

    table: str
    lsn: str
    source_rows: int = 0
    raw_rows: int = 0
    compared_rows: int = 0
    missing: int = 0
    surplus: int = 0
    differing: int = 0
    columns: tuple[str, ...] | None = None
    keys: tuple[str, ...] = ()
    pending: int = 0
    pending_since: str | None = None
    error: str | None = None

    @property
    def agrees(self) -> bool:
        """Whether both sides are equal, as far as they were compared."""
        return self.error is None and not (self.missing or self.surplus or self.differing or self.columns)
