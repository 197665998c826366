"""Checks of the raw tables against their source, the catalogue, and what the last sync said of itself.

Made from the catalogue, the same for every table. One step looks at all tables of a domain, since to open the
source and the warehouse costs more than to compare a small table.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from dvd_rental_pipeline.automation.freshness import DATA_LAG
from dvd_rental_pipeline.catalog.tables import Domain, FreshnessTier, Table
from dvd_rental_pipeline.errors import PipelineError
from dvd_rental_pipeline.replication.outcome import TableVerification
from dvd_rental_pipeline.resources.ingestion import Ingestion, Inspection
from dvd_rental_pipeline.resources.warehouse import Warehouse
from dvd_rental_pipeline.runbook import FAILED_ROWS, RUNBOOK, SAMPLE, Section

# A sync takes what was committed when it began; what came in its own time may wait for the next.
SYNC_SLACK = timedelta(minutes=5)
MOST_TOMBSTONES = 0.5
FEW_ROWS = 1_000
SLOT_SHARE = 0.5
SLOT_BYTES = 1 << 30

Found = tuple[bool, dg.AssetCheckSeverity, str, Mapping[str, Any]]
ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN


@dataclass(frozen=True)
class Evidence:
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


@dataclass(frozen=True)
class Check:
    """A check that every table has. `judge` says what it found.

    One that blocks fails with an error or passes: to the conditions, a warning is a failure like any other.
    What only warns is a check of its own.
    """

    name: str
    description: str
    runbook: Section
    blocking: bool
    judge: Callable[[Evidence], Found]

    def spec(self, asset: dg.AssetKey) -> dg.AssetCheckSpec:
        """The spec of this check for one table."""
        return dg.AssetCheckSpec(
            name=self.name,
            asset=asset,
            blocking=self.blocking,
            description=self.description,
            metadata={RUNBOOK: self.runbook.reference},
        )


def agreement(evidence: Evidence) -> Found:
    """Whether the raw table has the rows of its source."""
    found = evidence.verification
    if found is None:
        return True, ERROR, f"Not compared. {evidence.inspection.not_compared}", {}
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


def drift(evidence: Evidence) -> Found:
    """Whether the source has the columns of the catalogue."""
    facts = evidence.inspection.facts
    if facts is None:
        return True, ERROR, f"Not looked at. {evidence.inspection.not_compared}", {}
    wanted = {column.name: column.type for column in evidence.table.columns}
    found = facts.columns.get(evidence.table.name, {})
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


def additions(evidence: Evidence) -> Found:
    """Whether the catalogue has the columns of the source."""
    facts = evidence.inspection.facts
    if facts is None:
        return False, WARN, f"Not looked at. {evidence.inspection.not_compared}", {}
    wanted = {column.name for column in evidence.table.columns}
    found = facts.columns.get(evidence.table.name, {})
    added = [f"{name} ({kind}) is new" for name, kind in found.items() if name not in wanted]
    told = "; ".join(added) + "." if added else "No column is new."
    return not added, WARN, told, {FAILED_ROWS: len(added)}


def lag(evidence: Evidence) -> Found:
    """How long the oldest change that is not replicated yet has been waiting."""
    found = evidence.verification
    if found is None or found.error is not None:
        why = found.error if found else evidence.inspection.not_compared
        return False, WARN, f"Not known. {why}", {}
    limit = DATA_LAG[evidence.table.tier]
    waiting = evidence.now - _moment(found.pending_since) if found.pending_since else timedelta()
    metadata = {
        "commit_lag_seconds": waiting.total_seconds(),
        "limit_seconds": limit.total_seconds(),
        "pending": found.pending,
    }
    told = (
        f"{found.pending:,} changes wait, the oldest for {_duration(waiting)}; {_duration(limit)} is allowed."
    )
    return waiting <= limit, WARN, told, metadata


def sync_count(evidence: Evidence) -> Found:
    """Whether the last sync did what it said: its counts explain the table, and it left nothing behind."""
    sync, rows = evidence.sync, evidence.counts["rows"]
    said = sync.get("dagster/row_count")
    if said is None or evidence.synced_at is None:
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
    found = evidence.verification
    if found is not None and found.pending_since is not None:
        left = evidence.synced_at - _moment(found.pending_since)
        metadata["left_behind_seconds"] = max(0.0, left.total_seconds())
        if left > SYNC_SLACK:
            problems.append(
                f"it succeeded, and left behind changes that were committed {_duration(left)} before"
            )
    metadata[FAILED_ROWS] = len(problems)
    if problems:
        return False, ERROR, f"Of the last sync: {'; '.join(problems)}.", metadata
    return True, ERROR, f"{rows:,} rows, as the sync said.", metadata


def tombstones(evidence: Evidence) -> Found:
    """Whether deleted rows do not outnumber the living by much."""
    gone, rows = evidence.counts["tombstones"], evidence.counts["rows"]
    share = gone / max(1, gone + rows)
    metadata = {"tombstones": gone, "share": share, FAILED_ROWS: gone}
    passed = share <= MOST_TOMBSTONES or gone < FEW_ROWS
    return passed, WARN, f"{gone:,} deleted rows, {share:.0%} of all.", metadata


def quarantine(evidence: Evidence) -> Found:
    """Whether every value could be kept as it was."""
    lossy = evidence.counts["quarantined"]
    told = f"{lossy:,} rows have values that the warehouse could not hold; `_airbyte_meta` names them."
    return not lossy, WARN, told if lossy else "Every value is held.", {FAILED_ROWS: lossy}


def primary_key(evidence: Evidence) -> Found:
    """Whether every live row has a key of its own."""
    key = ", ".join(evidence.table.primary_key)
    doubled, keyless = evidence.counts["doubled"], evidence.counts["keyless"]
    metadata = {FAILED_ROWS: doubled + keyless, "doubled": doubled, "keyless": keyless}
    if doubled or keyless:
        return False, ERROR, f"{doubled:,} keys ({key}) occur twice, and {keyless:,} rows have none.", metadata
    return True, ERROR, f"Every row has a key ({key}) of its own.", metadata


def capture(evidence: Evidence) -> Found:
    """Whether the table's changes are captured, whole and by its key. What is no fault, `settings` tells."""
    deviations = evidence.inspection.deviations
    if deviations is None:
        return True, ERROR, f"Not looked at. {evidence.inspection.not_compared}", {}
    faults = [one.told for one in deviations if one.table == evidence.table.name and one.is_fault]
    return not faults, ERROR, _told(faults, "Its changes are captured, by its primary key."), _counted(faults)


def settings(inspection: Inspection) -> Found:
    """Whether the capture is set up as the catalogue declares, apart from the faults of single tables."""
    if inspection.deviations is None:
        return False, WARN, f"Not looked at. {inspection.not_compared}", {}
    found = [one for one in inspection.deviations if one.table is None or not one.is_fault]
    severity = ERROR if any(one.is_fault for one in found) or not found else WARN
    told = [one.told if one.table is None else f"table {one.table}: {one.told}" for one in found]
    return not found, severity, _told(told, "The capture is set up as the catalogue declares."), _counted(told)


def _told(deviations: Sequence[str], well: str) -> str:
    told = "; ".join(deviations).rstrip(".")
    return f"{told[:1].upper()}{told[1:]}." if told else well


def _counted(deviations: Sequence[str]) -> dict[str, Any]:
    return {"deviations": len(deviations)}


CHECKS = (
    Check(
        "source_and_raw_agree",
        "The raw table has every row of its source, and each row the same values, at one moment. Of tables "
        "beyond 100,000 rows a sample is compared, and the number of all. What Airbyte wrote is compared by "
        "the number of rows, and up to a million rows by the sums of columns.",
        Section.SOURCE_AND_RAW_AGREE,
        True,
        agreement,
    ),
    Check(
        "primary_key_is_sound",
        "The primary key of live rows is unique and not null.",
        Section.PRIMARY_KEY,
        True,
        primary_key,
    ),
    Check(
        "schema_matches_catalogue",
        "The source has every column that the catalogue declares, of the same type.",
        Section.SCHEMA_DRIFT,
        True,
        drift,
    ),
    Check(
        "table_is_captured",
        "The table's changes are captured whole and by its primary key: the publication of the source has it, "
        "and in production Airbyte's connection syncs it.",
        Section.CAPTURE,
        True,
        capture,
    ),
    Check(
        "columns_are_known",
        "The source has no column that the catalogue does not declare: whether it is private is not known yet.",
        Section.SCHEMA_DRIFT,
        False,
        additions,
    ),
    Check(
        "commit_lag_is_short",
        "No change has been waiting for its sync for longer than the table's tier allows.",
        Section.COMMIT_LAG,
        False,
        lag,
    ),
    Check(
        "sync_count_is_right",
        "What the last sync said of itself explains the table; and it left nothing behind that was there when "
        "it began. A green sync that moves nothing while the source moves fails here.",
        Section.SYNC_COUNT,
        True,
        sync_count,
    ),
    Check(
        "tombstones_are_few",
        "Deleted rows, which stay as tombstones, are at most half of a table.",
        Section.TOMBSTONES,
        False,
        tombstones,
    ),
    Check(
        "nothing_is_quarantined",
        "Every value of the source could be held by the warehouse.",
        Section.QUARANTINE,
        False,
        quarantine,
    ),
)


def build_replication_checks(domain: Domain) -> dg.AssetChecksDefinition:
    """One step with the checks of every table of `domain`, and those of what all tables share."""
    assets = {table.name: dg.AssetKey([domain.name, table.name]) for table in domain.tables}
    slot_asset = next(assets[table.name] for table in domain.tables if table.tier is FreshnessTier.TRANSACTIONS)
    slot_spec = dg.AssetCheckSpec(
        name="replication_slot_is_short",
        asset=slot_asset,
        description="The replication slot, which all tables share, holds back at most half of the log that it "
        "may, or 1 GiB where nothing limits it: a slot that grows fills the source's disk.",
        metadata={RUNBOOK: Section.SLOT_LAG.reference},
    )
    capture_spec = dg.AssetCheckSpec(
        name="capture_matches_catalogue",
        asset=slot_asset,
        description="What captures the changes of all tables is set up as declared: the publication of the "
        "source, and in production Airbyte's connection, with no schedule and no table beyond the catalogue's.",
        metadata={RUNBOOK: Section.CAPTURE.reference},
    )

    @dg.multi_asset_check(
        name=f"{domain.name}_replication_checks",
        specs=[*(check.spec(asset) for asset in assets.values() for check in CHECKS), slot_spec, capture_spec],
        can_subset=True,
        description=f"Compares the raw tables of {domain.name} with their source. Changes nothing.",
    )
    def replication_checks(
        context: dg.AssetCheckExecutionContext, ingestion: Ingestion, warehouse: Warehouse
    ) -> Iterator[dg.AssetCheckResult]:
        try:
            inspection = ingestion.inspect(domain, context.log)
            counts = _counts(domain, warehouse)
        except PipelineError as error:
            raise dg.Failure(description=str(error), allow_retries=False) from None
        for table in domain.tables:
            asset = assets[table.name]
            evidence = _evidence(context.instance, asset, table, inspection, counts[table.name])
            for check in CHECKS:
                if dg.AssetCheckKey(asset, check.name) in context.selected_asset_check_keys:
                    yield _result(asset, check.name, check.judge(evidence))
        if slot_spec.key in context.selected_asset_check_keys:
            yield _result(slot_asset, slot_spec.name, slot(inspection))
        if capture_spec.key in context.selected_asset_check_keys:
            yield _result(slot_asset, capture_spec.name, settings(inspection))

    return replication_checks


def slot(inspection: Inspection) -> Found:
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


def _evidence(
    instance: dg.DagsterInstance,
    asset: dg.AssetKey,
    table: Table,
    inspection: Inspection,
    counts: Mapping[str, int],
) -> Evidence:
    event = instance.get_latest_materialization_event(asset)
    materialization = event.asset_materialization if event else None
    return Evidence(
        table=table,
        inspection=inspection,
        counts=counts,
        sync={
            name: value.value for name, value in (materialization.metadata if materialization else {}).items()
        },
        synced_at=datetime.fromtimestamp(event.timestamp, UTC) if event else None,
        now=_now(),
    )


def _counts(domain: Domain, warehouse: Warehouse) -> Mapping[str, Mapping[str, int]]:
    """Live rows, tombstones and rows with values that could not be kept, of every table, in one statement."""
    selects = [
        f"select '{table.name}' as name, count(*) - count(_ab_cdc_deleted_at) as live,"
        " count(_ab_cdc_deleted_at) as tombstones,"
        " coalesce(sum(case when cast(_airbyte_meta as varchar) like '%\"changes\":[{%' then 1 else 0 end), 0)"
        " as quarantined,"
        f" coalesce(sum(case when _ab_cdc_deleted_at is null and ({_keyless(table)}) then 1 else 0 end), 0)"
        f" as keyless, ({_doubled(domain, table)}) as doubled from {domain.name}.{table.name}"
        for table in domain.tables
    ]
    numbers = ("rows", "tombstones", "quarantined", "keyless", "doubled")
    return {
        str(name): {number: int(value) for number, value in zip(numbers, values, strict=True)}
        for name, *values in warehouse.query(" union all ".join(selects)).values
    }


def _keyless(table: Table) -> str:
    return " or ".join(f"{column} is null" for column in table.primary_key)


def _doubled(domain: Domain, table: Table) -> str:
    key = ", ".join(table.primary_key)
    return (
        f"select count(*) from (select {key} from {domain.name}.{table.name}"
        f" where _ab_cdc_deleted_at is null group by {key} having count(*) > 1) as keys"
    )


def _result(asset: dg.AssetKey, name: str, found: Found) -> dg.AssetCheckResult:
    passed, severity, told, metadata = found
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=name,
        passed=passed,
        severity=severity,
        description=told,
        metadata=metadata,
    )


def _now() -> datetime:
    return datetime.now(UTC)


def _moment(iso: str) -> datetime:
    return datetime.fromisoformat(iso.replace("Z", "+00:00"))


def _duration(time: timedelta) -> str:
    seconds = max(0, round(time.total_seconds()))
    hours, minutes = seconds // 3600, seconds // 60
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min" if minutes else f"{seconds} s"
