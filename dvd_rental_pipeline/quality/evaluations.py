"""The evaluation of a raw table against its source, its catalogue entry and its last sync."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import dagster as dg

from dvd_rental_pipeline.core.catalog import Table
from dvd_rental_pipeline.core.runbook import FAILED_ROWS, SAMPLE
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.slot import allowed_bytes
from dvd_rental_pipeline.ingestion.postgres_cdc.outcome import TableVerification
from dvd_rental_pipeline.ingestion.resource import Inspection
from dvd_rental_pipeline.ingestion.schema_differences import schema_differences
from dvd_rental_pipeline.quality.durations import format_duration, parse_time

# A sync takes what was committed when it began; what is committed meanwhile may wait for the next one.
SYNC_SLACK = timedelta(minutes=5)
MAX_TOMBSTONE_SHARE = 0.5
MIN_TOMBSTONES = 1_000

ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN


@dataclass(frozen=True)
class CheckOutcome:
    """The result of one evaluation. `found` is a sentence; `metadata` is shown and plotted by the UI."""

    passed: bool
    severity: dg.AssetCheckSeverity
    found: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckContext:
    """What the checks of one table evaluate.

    `counts` are numbers of rows in the raw table, `sync` the metadata of the last sync's materialization,
    `commit_lag_limit` how long a change may wait for its sync, `accepted_schema` the descriptions of
    differences from the catalogue that an operator has accepted.
    """

    table: Table
    inspection: Inspection
    counts: Mapping[str, int]
    sync: Mapping[str, Any]
    synced_at: datetime | None
    commit_lag_limit: timedelta
    now: datetime
    accepted_schema: frozenset[str] = frozenset()

    @property
    def verification(self) -> TableVerification | None:
        return self.inspection.tables.get(self.table.name)


def agreement(context: CheckContext) -> CheckOutcome:
    """Whether the raw table has the rows of its source."""
    verification = context.verification
    if verification is None:
        return CheckOutcome(True, ERROR, f"Not compared. {context.inspection.not_compared}")
    if verification.error is not None:
        return CheckOutcome(True, ERROR, f"Not compared: {verification.error}.")
    # Sums do not show in how many rows they differ.
    failed = verification.missing + verification.surplus + verification.differing + bool(verification.columns)
    metadata = {
        "source_rows": verification.source_rows,
        "raw_rows": verification.raw_rows,
        "compared_rows": verification.compared_rows,
        "missing": verification.missing,
        "surplus": verification.surplus,
        "differing": verification.differing,
        "pending": verification.pending,
        FAILED_ROWS: failed,
        "lsn": verification.lsn,
    }
    if verification.agrees:
        sums = "" if verification.columns is None else ", and every column has the same sum"
        found = f"{verification.source_rows:,} rows on both sides at {verification.lsn}{sums}."
        return CheckOutcome(True, ERROR, found, metadata)
    sums = f", and other values in {', '.join(verification.columns)}" if verification.columns else ""
    found = (
        f"{verification.missing:,} rows are missing, {verification.surplus:,} unexpected, "
        f"{verification.differing:,} different{sums} (of {verification.source_rows:,} in the source at "
        f"{verification.lsn})."
    )
    keys = [dg.TableRecord(dict(part.split("=", 1) for part in key.split(", "))) for key in verification.keys]
    sample = {SAMPLE: dg.MetadataValue.table(keys)} if keys else {}
    return CheckOutcome(False, ERROR, found, {**metadata, **sample})


def schema_drift(context: CheckContext) -> CheckOutcome:
    """Whether the source has the columns of the catalogue that models read, with all their values."""
    facts = context.inspection.facts
    if facts is None:
        return CheckOutcome(True, ERROR, f"Not compared. {context.inspection.not_compared}")
    present = facts.columns.get(context.table.name, {})
    if not present:
        count = len(context.table.columns)
        return CheckOutcome(False, ERROR, "The source has no such table.", {FAILED_ROWS: count})
    lossy = [one.description for one in schema_differences(context.table, present) if one.is_lossy]
    accepted = [description for description in lossy if description in context.accepted_schema]
    rejected = [description for description in lossy if description not in context.accepted_schema]
    metadata = {FAILED_ROWS: len(rejected), "accepted": len(accepted)}
    if rejected:
        return CheckOutcome(False, ERROR, f"{'; '.join(rejected)}.", metadata)
    found = f"Accepted: {'; '.join(accepted)}." if accepted else "Models can read every column."
    return CheckOutcome(True, ERROR, found, metadata)


def harmless_drift(context: CheckContext) -> CheckOutcome:
    """Whether the types of the source's columns are those of the catalogue, where other types do no harm."""
    facts = context.inspection.facts
    if facts is None:
        # `unknown_columns` warns about that.
        return CheckOutcome(True, WARN, f"Not compared. {context.inspection.not_compared}")
    present = facts.columns.get(context.table.name, {})
    # A missing table has its own check.
    changes = [
        one.description for one in schema_differences(context.table, present) if present and not one.is_lossy
    ]
    found = f"{'; '.join(changes)}." if changes else "Every type is as declared, or is checked for losses."
    return CheckOutcome(not changes, WARN, found, {FAILED_ROWS: len(changes)})


def unknown_columns(context: CheckContext) -> CheckOutcome:
    """Whether the catalogue has the columns of the source."""
    facts = context.inspection.facts
    if facts is None:
        return CheckOutcome(False, WARN, f"Not compared. {context.inspection.not_compared}")
    declared = {column.name for column in context.table.columns}
    present = facts.columns.get(context.table.name, {})
    added = [f"{name} ({kind}) is new" for name, kind in present.items() if name not in declared]
    found = "; ".join(added) + "." if added else "No column is new."
    return CheckOutcome(not added, WARN, found, {FAILED_ROWS: len(added)})


def commit_lag(context: CheckContext) -> CheckOutcome:
    """How long the oldest change that is not replicated yet has been waiting."""
    verification = context.verification
    if verification is None or verification.error is not None:
        reason = verification.error if verification else context.inspection.not_compared
        return CheckOutcome(False, WARN, f"Not known. {reason}")
    limit = context.commit_lag_limit
    since = verification.pending_since
    waiting = context.now - parse_time(since) if since else timedelta()
    metadata = {
        "commit_lag_seconds": waiting.total_seconds(),
        "limit_seconds": limit.total_seconds(),
        "pending": verification.pending,
    }
    found = (
        f"{verification.pending:,} changes are waiting, the oldest for {format_duration(waiting)}; the limit "
        f"is {format_duration(limit)}."
    )
    return CheckOutcome(waiting <= limit, WARN, found, metadata)


def sync_count(context: CheckContext) -> CheckOutcome:
    """Whether the counts of the last sync explain the table, and the sync left nothing behind."""
    sync, rows = context.sync, context.counts["rows"]
    reported = sync.get("dagster/row_count")
    if reported is None or context.synced_at is None:
        return CheckOutcome(True, ERROR, "Not known: no recorded run has synced the table.")
    metadata: dict[str, Any] = {"rows": rows, "rows_said": reported}
    problems = []
    if reported != rows:
        problems.append(f"it reported {reported:,} rows, and the table has {rows:,}")
    steps = [sync.get(name) for name in ("rows_before", "rows_inserted", "rows_deleted")]
    if None not in steps and sync.get("sync_mode") == "changes":
        before, inserted, deleted = (int(step or 0) for step in steps)
        metadata["rows_explained"] = before + inserted - deleted
        if before + inserted - deleted != reported:
            problems.append(f"{before:,} + {inserted:,} - {deleted:,} rows are not {reported:,}")
    verification = context.verification
    if verification is not None and verification.pending_since is not None:
        left = context.synced_at - parse_time(verification.pending_since)
        metadata["left_behind_seconds"] = max(0.0, left.total_seconds())
        if left > SYNC_SLACK:
            problems.append(f"it left behind changes that were committed {format_duration(left)} before it")
    metadata[FAILED_ROWS] = len(problems)
    if problems:
        return CheckOutcome(False, ERROR, f"The last sync is not right: {'; '.join(problems)}.", metadata)
    return CheckOutcome(True, ERROR, f"{rows:,} rows, as the sync reported.", metadata)


def tombstones(context: CheckContext) -> CheckOutcome:
    """Whether deleted rows are at most half of the table."""
    deleted, rows = context.counts["tombstones"], context.counts["rows"]
    share = deleted / max(1, deleted + rows)
    metadata = {"tombstones": deleted, "share": share, FAILED_ROWS: deleted}
    passed = share <= MAX_TOMBSTONE_SHARE or deleted < MIN_TOMBSTONES
    return CheckOutcome(passed, WARN, f"{deleted:,} deleted rows, {share:.0%} of all rows.", metadata)


def quarantine(context: CheckContext) -> CheckOutcome:
    """Whether every value could be stored unchanged."""
    lossy = context.counts["quarantined"]
    found = (
        f"{lossy:,} rows have values that the warehouse could not store; `_airbyte_meta` names them."
        if lossy
        else "Every value is stored."
    )
    return CheckOutcome(not lossy, WARN, found, {FAILED_ROWS: lossy})


def primary_key(context: CheckContext) -> CheckOutcome:
    """Whether every live row has a key of its own."""
    key = ", ".join(context.table.primary_key)
    duplicate_keys, null_keys = context.counts["duplicate_keys"], context.counts["null_keys"]
    metadata = {
        FAILED_ROWS: duplicate_keys + null_keys,
        "duplicate_keys": duplicate_keys,
        "null_keys": null_keys,
    }
    if duplicate_keys or null_keys:
        found = f"{duplicate_keys:,} keys ({key}) occur more than once, and {null_keys:,} rows have none."
        return CheckOutcome(False, ERROR, found, metadata)
    return CheckOutcome(True, ERROR, f"Every row has a unique key ({key}).", metadata)


def capture(context: CheckContext) -> CheckOutcome:
    """Whether all changes of the table are captured, by its key. `capture_settings` has the rest."""
    deviations = context.inspection.deviations
    if deviations is None:
        return CheckOutcome(True, ERROR, f"Not examined. {context.inspection.not_compared}")
    faults = [one.description for one in deviations if one.table == context.table.name and one.is_fault]
    found = _sentence(faults, "Its changes are captured, by its primary key.")
    return CheckOutcome(not faults, ERROR, found, {"deviations": len(faults)})


def capture_settings(inspection: Inspection) -> CheckOutcome:
    """Whether change capture is set up as the catalogue declares, apart from the faults of single tables."""
    if inspection.deviations is None:
        return CheckOutcome(False, WARN, f"Not examined. {inspection.not_compared}")
    deviations = [one for one in inspection.deviations if one.table is None or not one.is_fault]
    severity = ERROR if any(one.is_fault for one in deviations) or not deviations else WARN
    texts = [
        one.description if one.table is None else f"table {one.table}: {one.description}" for one in deviations
    ]
    found = _sentence(texts, "Change capture is set up as the catalogue declares.")
    return CheckOutcome(not deviations, severity, found, {"deviations": len(texts)})


def slot(inspection: Inspection) -> CheckOutcome:
    """Whether the replication slot retains little of the source's log."""
    if inspection.facts is None:
        return CheckOutcome(False, WARN, f"Not examined. {inspection.not_compared}")
    facts = inspection.facts.slot
    if facts is None:
        found = "There is no replication slot: the next sync creates it and copies every table."
        return CheckOutcome(False, WARN, found)
    limit = allowed_bytes(facts.limit_bytes)
    metadata = {"retained_bytes": facts.retained_bytes, "limit_bytes": limit, "status": facts.status}
    is_lost = facts.status == "lost"
    found = (
        "The slot is lost: the next sync copies every table."
        if is_lost
        else f"{facts.retained_bytes / 1e6:,.1f} MB of log are retained; the limit is {limit / 1e6:,.0f} MB."
    )
    return CheckOutcome(not is_lost and facts.retained_bytes <= limit, WARN, found, metadata)


def _sentence(parts: Sequence[str], otherwise: str) -> str:
    text = "; ".join(parts).rstrip(".")
    return f"{text[:1].upper()}{text[1:]}." if text else otherwise
