"""What a sync tells while it runs (`Step`) and when it has ended (`SyncResult`, `TableSync`)."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Step(StrEnum):
    """Where a sync is: told to `on_step`, by which tests cut it short at each."""

    SLOT_CREATED = "slot created"
    TABLE_COPIED = "table copied"
    STRETCH_APPLIED = "stretch applied"
    BEFORE_COMMIT = "before commit"
    COMMITTED = "committed"
    ADVANCED = "advanced"


@dataclass(frozen=True)
class TableSync:
    """What a sync did to one table.

    Attributes:
        mode: `snapshot` (copied in full) or `changes`.
        reason: why it was copied in full, in words; None for changes.
        rows: live rows after the sync, tombstones aside.
        rows_before: live rows before it.
        inserted: rows that are live and were not, net; in a snapshot: all rows.
        updated: rows that were live before and after, and changed. A very large sync is applied in stretches,
            and a key that changes in several counts in each.
        deleted: rows that were live and are no more; in a snapshot: rows that the copy did not hold.
        truncated: whether the source truncated the table.
        tombstones: deleted rows that the raw table keeps.
        bytes: what was read from the source: messages of the log, or Arrow buffers of a copy.
        lsn_from: position in the log before the sync; None for a first one.
        lsn_to: position after it: exactly the transactions whose commit record starts before are in.
        last_commit_at: when the last transaction that changed the table in this sync committed.
        commit_lag_seconds: how old a commit that is not in the warehouse can be at most, as the sync ends.
        slot_lag_bytes: how much log the slot makes the source keep.
        seconds: time spent on this table alone.
        schema_changes: what became of its columns since the last sync, in words.
        error: why the table was not synced, in words. Its raw table then is as it was, and its figures are 0.
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
    """What a sync did. `lsn_to` is the position that the followed tables have reached."""

    tables: dict[str, TableSync]
    lsn_from: str | None
    lsn_to: str
    slot_lag_bytes: int
    seconds: float
