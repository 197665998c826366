"""Checks of the raw tables against their source, the catalogue, and what the last sync said of itself.

Made from the catalogue, the same for every table. One step looks at all tables of a domain, since to open the
source and the warehouse costs more than to compare a small table.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from dvd_rental_pipeline.core.catalog import Domain, FreshnessTier, Table
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.runbook import RUNBOOK, Section
from dvd_rental_pipeline.ingestion.resource import Ingestion, Inspection
from dvd_rental_pipeline.quality import evaluations
from dvd_rental_pipeline.quality.evaluations import CheckContext, CheckOutcome
from dvd_rental_pipeline.warehouse.resource import Warehouse


@dataclass(frozen=True)
class Check:
    """A check that every table has. `evaluate` says what it found.

    One that blocks fails with an error or passes: to the conditions, a warning is a failure like any other.
    What only warns is a check of its own.
    """

    name: str
    description: str
    runbook: Section
    blocking: bool
    evaluate: Callable[[CheckContext], CheckOutcome]

    def spec(self, asset: dg.AssetKey) -> dg.AssetCheckSpec:
        """The spec of this check for one table."""
        return dg.AssetCheckSpec(
            name=self.name,
            asset=asset,
            blocking=self.blocking,
            description=self.description,
            metadata={RUNBOOK: self.runbook.reference},
        )


CHECKS = (
    Check(
        "source_and_raw_agree",
        "The raw table has every row of its source, and each row the same values, at one moment. Of tables "
        "beyond 100,000 rows a sample is compared, and the number of all. What Airbyte wrote is compared by "
        "the number of rows, and up to a million rows by the sums of columns.",
        Section.SOURCE_AND_RAW_AGREE,
        True,
        evaluations.agreement,
    ),
    Check(
        "primary_key_is_sound",
        "The primary key of live rows is unique and not null.",
        Section.PRIMARY_KEY,
        True,
        evaluations.primary_key,
    ),
    Check(
        "schema_matches_catalogue",
        "The source has every column that the catalogue declares, of the same type.",
        Section.SCHEMA_DRIFT,
        True,
        evaluations.drift,
    ),
    Check(
        "table_is_captured",
        "The table's changes are captured whole and by its primary key: the publication of the source has it, "
        "and in production Airbyte's connection syncs it.",
        Section.CAPTURE,
        True,
        evaluations.capture,
    ),
    Check(
        "columns_are_known",
        "The source has no column that the catalogue does not declare: whether it is private is not known yet.",
        Section.SCHEMA_DRIFT,
        False,
        evaluations.additions,
    ),
    Check(
        "commit_lag_is_short",
        "No change has been waiting for its sync for longer than the table's tier allows.",
        Section.COMMIT_LAG,
        False,
        evaluations.lag,
    ),
    Check(
        "sync_count_is_right",
        "What the last sync said of itself explains the table; and it left nothing behind that was there when "
        "it began. A green sync that moves nothing while the source moves fails here.",
        Section.SYNC_COUNT,
        True,
        evaluations.sync_count,
    ),
    Check(
        "tombstones_are_few",
        "Deleted rows, which stay as tombstones, are at most half of a table.",
        Section.TOMBSTONES,
        False,
        evaluations.tombstones,
    ),
    Check(
        "nothing_is_quarantined",
        "Every value of the source could be held by the warehouse.",
        Section.QUARANTINE,
        False,
        evaluations.quarantine,
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
            table_context = _check_context(context.instance, asset, table, inspection, counts[table.name])
            for check in CHECKS:
                if dg.AssetCheckKey(asset, check.name) in context.selected_asset_check_keys:
                    yield _result(asset, check.name, check.evaluate(table_context))
        if slot_spec.key in context.selected_asset_check_keys:
            yield _result(slot_asset, slot_spec.name, evaluations.slot(inspection))
        if capture_spec.key in context.selected_asset_check_keys:
            yield _result(slot_asset, capture_spec.name, evaluations.capture_settings(inspection))

    return replication_checks


def _check_context(
    instance: dg.DagsterInstance,
    asset: dg.AssetKey,
    table: Table,
    inspection: Inspection,
    counts: Mapping[str, int],
) -> CheckContext:
    event = instance.get_latest_materialization_event(asset)
    materialization = event.asset_materialization if event else None
    return CheckContext(
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
        f" coalesce(sum(case when _ab_cdc_deleted_at is null and ({_null_keys(table)}) then 1 else 0 end), 0)"
        f" as keyless, ({_duplicate_keys(domain, table)}) as doubled from {domain.name}.{table.name}"
        for table in domain.tables
    ]
    numbers = ("rows", "tombstones", "quarantined", "keyless", "doubled")
    return {
        str(name): {number: int(value) for number, value in zip(numbers, values, strict=True)}
        for name, *values in warehouse.query(" union all ".join(selects)).values
    }


def _null_keys(table: Table) -> str:
    return " or ".join(f"{column} is null" for column in table.primary_key)


def _duplicate_keys(domain: Domain, table: Table) -> str:
    key = ", ".join(table.primary_key)
    return (
        f"select count(*) from (select {key} from {domain.name}.{table.name}"
        f" where _ab_cdc_deleted_at is null group by {key} having count(*) > 1) as keys"
    )


def _result(asset: dg.AssetKey, name: str, found: CheckOutcome) -> dg.AssetCheckResult:
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
