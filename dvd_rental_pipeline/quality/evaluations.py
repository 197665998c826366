"""What is found of a raw table beside its source, its catalogue entry and its last sync."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import dagster as dg

from dvd_rental_pipeline.automation.freshness import DATA_LAG
from dvd_rental_pipeline.core.catalog import Table
from dvd_rental_pipeline.core.runbook import FAILED_ROWS, SAMPLE
from dvd_rental_pipeline.ingestion.postgres_cdc.outcome import TableVerification
from dvd_rental_pipeline.ingestion.resource import Inspection

# A sync takes what was committed when it began; what came in its own time may wait for the next.
SYNC_SLACK = timedelta(minutes=5)
MOST_TOMBSTONES = 0.5
FEW_ROWS = 1_000
SLOT_SHARE = 0.5
SLOT_BYTES = 1 << 30

CheckOutcome = tuple[bool, dg.AssetCheckSeverity, str, Mapping[str, Any]]
ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN


@dataclass(frozen=True)
class CheckContext:
    """What the checks of one table look at."""

    table: Table
    inspection: Inspection
    counts: Mapping[str, int]
    sync: Mapping[str, Any]
    synced_at: datetime | None
    now: datetime

    @property
    def verification(self) -> TableVerification | None:
        return self.inspection.tables.get(self.table.name)


def agreement(check: CheckContext) -> CheckOutcome:
    """Whether the raw table has the rows of its source."""
    found = check.verification
    if found is None:
        return True, ERROR, f"Not compared. {check.inspection.not_compared}", {}
    if found.error is not None:
        return True, ERROR, f"Not compared: {found.error}.", {}
    # Sums do not tell in how many rows.
    failed = found.missing + found.surplus + found.differing + bool(found.columns)
    metadata = {
        "source_rows": found.source_rows,
        "raw_rows": found.raw_rows,
        "compared_rows": found.compared_rows,
        "missing": found.missing,
        "surplus": found.surplus,
        "differing": found.differing,
        "pending": found.pending,
        FAILED_ROWS: failed,
        "lsn": found.lsn,
    }
    if found.agrees:
        and_sums = "" if found.columns is None else ", and every column adds up to the same"
        return True, ERROR, f"{found.source_rows:,} rows on both sides at {found.lsn}{and_sums}.", metadata
    sums = f", and other values in {', '.join(found.columns)}" if found.columns else ""
    told = (
        f"{found.missing:,} rows are missing, {found.surplus:,} too many, {found.differing:,} differ{sums} "
        f"(of {found.source_rows:,} in the source at {found.lsn})."
    )
    keys = [dg.TableRecord(dict(part.split("=", 1) for part in key.split(", "))) for key in found.keys]
    return False, ERROR, told, {**metadata, **({SAMPLE: dg.MetadataValue.table(keys)} if keys else {})}


def drift(check: CheckContext) -> CheckOutcome:
    """Whether the source has the columns of the catalogue."""
    facts = check.inspection.facts
    if facts is None:
        return True, ERROR, f"Not looked at. {check.inspection.not_compared}", {}
    wanted = {column.name: column.type for column in check.table.columns}
    found = facts.columns.get(check.table.name, {})
    if not found:
        return False, ERROR, "The source has no such table.", {FAILED_ROWS: len(wanted)}
    dropped = [f"{name} ({kind}) is gone" for name, kind in wanted.items() if name not in found]
    retyped = [
        f"{name} is {found[name]}, was {kind}"
        for name, kind in wanted.items()
        if name in found and found[name] != kind
    ]
    changes = [*dropped, *retyped]
    metadata = {FAILED_ROWS: len(changes), "dropped": len(dropped), "retyped": len(retyped)}
    told = f"All {len(wanted)} columns are as declared."
    return not changes, ERROR, "; ".join(changes) + "." if changes else told, metadata


def additions(check: CheckContext) -> CheckOutcome:
    """Whether the catalogue has the columns of the source."""
    facts = check.inspection.facts
    if facts is None:
        return False, WARN, f"Not looked at. {check.inspection.not_compared}", {}
    wanted = {column.name for column in check.table.columns}
    found = facts.columns.get(check.table.name, {})
    added = [f"{name} ({kind}) is new" for name, kind in found.items() if name not in wanted]
    told = "; ".join(added) + "." if added else "No column is new."
    return not added, WARN, told, {FAILED_ROWS: len(added)}


def lag(check: CheckContext) -> CheckOutcome:
    """How long the oldest change that is not replicated yet has been waiting."""
    found = check.verification
    if found is None or found.error is not None:
        why = found.error if found else check.inspection.not_compared
        return False, WARN, f"Not known. {why}", {}
    limit = DATA_LAG[check.table.tier]
    waiting = check.now - _moment(found.pending_since) if found.pending_since else timedelta()
    metadata = {
        "commit_lag_seconds": waiting.total_seconds(),
        "limit_seconds": limit.total_seconds(),
        "pending": found.pending,
    }
    told = (
        f"{found.pending:,} changes wait, the oldest for {_duration(waiting)}; {_duration(limit)} is allowed."
    )
    return waiting <= limit, WARN, told, metadata


def sync_count(check: CheckContext) -> CheckOutcome:
    """Whether the last sync did what it said: its counts explain the table, and it left nothing behind."""
    sync, rows = check.sync, check.counts["rows"]
    said = sync.get("dagster/row_count")
    if said is None or check.synced_at is None:
        return True, ERROR, "Not known: no run that is known here has synced the table.", {}
    metadata: dict[str, Any] = {"rows": rows, "rows_said": said}
    problems = []
    if said != rows:
        problems.append(f"the sync said {said:,} rows, and there are {rows:,}")
    steps = [sync.get(name) for name in ("rows_before", "rows_inserted", "rows_deleted")]
    if None not in steps and sync.get("sync_mode") == "changes":
        before, inserted, deleted = (int(step or 0) for step in steps)
        metadata["rows_explained"] = before + inserted - deleted
        if before + inserted - deleted != said:
            problems.append(f"{before:,} + {inserted:,} - {deleted:,} rows are not {said:,}")
    found = check.verification
    if found is not None and found.pending_since is not None:
        left = check.synced_at - _moment(found.pending_since)
        metadata["left_behind_seconds"] = max(0.0, left.total_seconds())
        if left > SYNC_SLACK:
            problems.append(
                f"it succeeded, and left behind changes that were committed {_duration(left)} before"
            )
    metadata[FAILED_ROWS] = len(problems)
    if problems:
        return False, ERROR, f"Of the last sync: {'; '.join(problems)}.", metadata
    return True, ERROR, f"{rows:,} rows, as the sync said.", metadata


def tombstones(check: CheckContext) -> CheckOutcome:
    """Whether deleted rows do not outnumber the living by much."""
    gone, rows = check.counts["tombstones"], check.counts["rows"]
    share = gone / max(1, gone + rows)
    metadata = {"tombstones": gone, "share": share, FAILED_ROWS: gone}
    passed = share <= MOST_TOMBSTONES or gone < FEW_ROWS
    return passed, WARN, f"{gone:,} deleted rows, {share:.0%} of all.", metadata


def quarantine(check: CheckContext) -> CheckOutcome:
    """Whether every value could be kept as it was."""
    lossy = check.counts["quarantined"]
    told = f"{lossy:,} rows have values that the warehouse could not hold; `_airbyte_meta` names them."
    return not lossy, WARN, told if lossy else "Every value is held.", {FAILED_ROWS: lossy}


def primary_key(check: CheckContext) -> CheckOutcome:
    """Whether every live row has a key of its own."""
    key = ", ".join(check.table.primary_key)
    duplicate_keys, null_keys = check.counts["doubled"], check.counts["keyless"]
    metadata = {FAILED_ROWS: duplicate_keys + null_keys, "doubled": duplicate_keys, "keyless": null_keys}
    if duplicate_keys or null_keys:
        return (
            False,
            ERROR,
            f"{duplicate_keys:,} keys ({key}) occur twice, and {null_keys:,} rows have none.",
            metadata,
        )
    return True, ERROR, f"Every row has a key ({key}) of its own.", metadata


def capture(check: CheckContext) -> CheckOutcome:
    """Whether the table's changes are captured, whole and by its key. `capture_settings` tells the rest."""
    deviations = check.inspection.deviations
    if deviations is None:
        return True, ERROR, f"Not looked at. {check.inspection.not_compared}", {}
    faults = [one.told for one in deviations if one.table == check.table.name and one.is_fault]
    return not faults, ERROR, _told(faults, "Its changes are captured, by its primary key."), _counted(faults)


def capture_settings(inspection: Inspection) -> CheckOutcome:
    """Whether the capture is set up as the catalogue declares, apart from the faults of single tables."""
    if inspection.deviations is None:
        return False, WARN, f"Not looked at. {inspection.not_compared}", {}
    found = [one for one in inspection.deviations if one.table is None or not one.is_fault]
    severity = ERROR if any(one.is_fault for one in found) or not found else WARN
    told = [one.told if one.table is None else f"table {one.table}: {one.told}" for one in found]
    return not found, severity, _told(told, "The capture is set up as the catalogue declares."), _counted(told)


def slot(inspection: Inspection) -> CheckOutcome:
    """Whether the replication slot holds back little of the source's log."""
    if inspection.facts is None:
        return False, WARN, f"Not looked at. {inspection.not_compared}", {}
    found = inspection.facts.slot
    if found is None:
        return False, WARN, "There is no replication slot: the next sync makes it, and copies every table.", {}
    limit = SLOT_BYTES if found.limit_bytes is None else int(found.limit_bytes * SLOT_SHARE)
    metadata = {"retained_bytes": found.retained_bytes, "limit_bytes": limit, "status": found.status}
    lost = found.status == "lost"
    told = (
        "The slot is lost: the next sync copies every table."
        if lost
        else f"{found.retained_bytes / 1e6:,.1f} MB of log are held back; {limit / 1e6:,.0f} MB are allowed."
    )
    return not lost and found.retained_bytes <= limit, WARN, told, metadata


def _told(deviations: Sequence[str], well: str) -> str:
    told = "; ".join(deviations).rstrip(".")
    return f"{told[:1].upper()}{told[1:]}." if told else well


def _counted(deviations: Sequence[str]) -> dict[str, Any]:
    return {"deviations": len(deviations)}


def _moment(iso: str) -> datetime:
    return datetime.fromisoformat(iso.replace("Z", "+00:00"))


def _duration(time: timedelta) -> str:
    seconds = max(0, round(time.total_seconds()))
    hours, minutes = seconds // 3600, seconds // 60
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min" if minutes else f"{seconds} s"
