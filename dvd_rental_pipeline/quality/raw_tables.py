"""Checks of the raw tables against their source, the catalogue, and what the last sync reported.

Generated from the catalogue, the same for every table. One step evaluates all tables of a domain, since opening
the source and the warehouse costs more than comparing a small table.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg

from dvd_rental_pipeline.core.catalog import Domain, FreshnessTier, Table
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.runbook import RUNBOOK, Section
from dvd_rental_pipeline.ingestion.asset_keys import leader_key, raw_key
from dvd_rental_pipeline.ingestion.resource import Ingestion, Inspection
from dvd_rental_pipeline.quality import durations, evaluations
from dvd_rental_pipeline.quality.accepted_schema import accepted_differences
from dvd_rental_pipeline.quality.evaluations import CheckContext, CheckOutcome
from dvd_rental_pipeline.warehouse.interface import Reader, TableName
from dvd_rental_pipeline.warehouse.resource import WarehouseResource
from dvd_rental_pipeline.warehouse.table_columns import read_table_columns


@dataclass(frozen=True)
class RawTableCheck:
    """A check that every raw table has.

    A blocking check fails with severity ERROR or passes: automation conditions treat a warning of a blocking
    check as a failure. What only warns is a check of its own.
    """

    name: str
    description: str
    runbook: Section
    blocking: bool
    evaluate: Callable[[CheckContext], CheckOutcome]

    def spec(self, asset: dg.AssetKey) -> dg.AssetCheckSpec:
        """The specification of this check for one table."""
        return dg.AssetCheckSpec(
            name=self.name,
            asset=asset,
            blocking=self.blocking,
            description=self.description,
            metadata={RUNBOOK: self.runbook.reference},
        )


CHECKS = (
    RawTableCheck(
        "source_and_raw_agree",
        "The raw table has every row of its source, with the same values, at one point in time. For tables "
        "over 100,000 rows, a sample is compared, and the number of all rows. Tables that Airbyte loads are "
        "compared by the number of rows, and up to a million rows by the sums of columns.",
        Section.SOURCE_AND_RAW_AGREE,
        True,
        evaluations.agreement,
    ),
    RawTableCheck(
        "primary_key_is_sound",
        "The primary key of live rows is unique and not null.",
        Section.PRIMARY_KEY,
        True,
        evaluations.primary_key,
    ),
    RawTableCheck(
        "schema_matches_catalogue",
        "The source has every column that models read, with a type that has all values of the declared one. "
        "`dvd-rental checks accept-schema` accepts a difference.",
        Section.SCHEMA_DRIFT,
        True,
        evaluations.schema_drift,
    ),
    RawTableCheck(
        "table_is_captured",
        "All changes of the table are captured, by its primary key: the source's publication contains the "
        "table, and in production Airbyte's connection syncs it.",
        Section.CAPTURE,
        True,
        evaluations.capture,
    ),
    RawTableCheck(
        "types_match_catalogue",
        "The columns have the types that the catalogue declares. Only differences that models allow are "
        "reported here: wider types, timestamps with or without a zone, and columns that no model reads.",
        Section.SCHEMA_DRIFT,
        False,
        evaluations.harmless_drift,
    ),
    RawTableCheck(
        "columns_are_known",
        "The source has no column that the catalogue does not declare: its privacy would be unknown.",
        Section.SCHEMA_DRIFT,
        False,
        evaluations.unknown_columns,
    ),
    RawTableCheck(
        "commit_lag_is_short",
        "No change has waited for its sync longer than the table's tier allows.",
        Section.COMMIT_LAG,
        False,
        evaluations.commit_lag,
    ),
    RawTableCheck(
        "sync_count_is_right",
        "The counts that the last sync reported explain the table, and the sync left no change behind that "
        "existed when it began. A successful sync that moves nothing while the source changes fails here.",
        Section.SYNC_COUNT,
        True,
        evaluations.sync_count,
    ),
    RawTableCheck(
        "tombstones_are_few",
        "Deleted rows, which are kept as tombstones, are at most half of a table.",
        Section.TOMBSTONES,
        False,
        evaluations.tombstones,
    ),
    RawTableCheck(
        "nothing_is_quarantined",
        "The warehouse could store every value of the source.",
        Section.QUARANTINE,
        False,
        evaluations.quarantine,
    ),
)


def build_replication_checks(
    domain: Domain, commit_lag: Mapping[FreshnessTier, timedelta], ingestion_key: str
) -> dg.AssetChecksDefinition:
    """One step with the checks of every table of `domain`, and of what all its tables share.

    `commit_lag` is how long a change may wait for its sync, by tier; `ingestion_key` the key of the resource.
    """
    leader = leader_key(domain)
    slot_spec = dg.AssetCheckSpec(
        name="replication_slot_is_short",
        asset=leader,
        description="The replication slot, which all tables share, retains at most half of the log that it "
        "may, or 1 GiB where there is no limit: a slot that grows fills the source's disk.",
        metadata={RUNBOOK: Section.SLOT_LAG.reference},
    )
    capture_spec = dg.AssetCheckSpec(
        name="capture_matches_catalogue",
        asset=leader,
        description="Change capture is set up as declared for all tables: the source's publication, and in "
        "production Airbyte's connection, without a schedule and without tables that the catalogue does not "
        "declare.",
        metadata={RUNBOOK: Section.CAPTURE.reference},
    )

    @dg.multi_asset_check(
        name=f"{domain.name}_replication_checks",
        specs=[
            *(check.spec(raw_key(domain, table)) for table in domain.tables for check in CHECKS),
            slot_spec,
            capture_spec,
        ],
        can_subset=True,
        required_resource_keys={ingestion_key, "warehouse"},
        description=f"Compares the raw tables of {domain.name} with their source. Changes nothing.",
    )
    def replication_checks(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        ingestion: Ingestion = getattr(context.resources, ingestion_key)
        warehouse: WarehouseResource = context.resources.warehouse
        try:
            inspection = ingestion.inspect(domain, context.log)
            with warehouse.reading() as reader:
                counts = _count_rows(domain, reader)
        except PipelineError as error:
            raise dg.Failure(description=str(error), allow_retries=False) from None
        for table in domain.tables:
            asset = raw_key(domain, table)
            check_context = _check_context(
                context.instance,
                asset,
                table,
                inspection=inspection,
                counts=counts[table.name],
                commit_lag_limit=commit_lag[table.tier],
            )
            for check in CHECKS:
                if dg.AssetCheckKey(asset, check.name) in context.selected_asset_check_keys:
                    yield _result(asset, check.name, check.evaluate(check_context))
        if slot_spec.key in context.selected_asset_check_keys:
            yield _result(leader, slot_spec.name, evaluations.slot(inspection))
        if capture_spec.key in context.selected_asset_check_keys:
            yield _result(leader, capture_spec.name, evaluations.capture_settings(inspection))

    return replication_checks


def _check_context(
    instance: dg.DagsterInstance,
    asset: dg.AssetKey,
    table: Table,
    *,
    inspection: Inspection,
    counts: Mapping[str, int],
    commit_lag_limit: timedelta,
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
        commit_lag_limit=commit_lag_limit,
        now=durations.utc_now(),
        accepted_schema=accepted_differences(instance, asset),
    )


def _count_rows(domain: Domain, reader: Reader) -> Mapping[str, Mapping[str, int]]:
    """Live rows, tombstones, rows with values that could not be stored, and faulty keys, by table.

    All are 0 for a table that does not exist: `schema_matches_catalogue` reports it.
    """
    names = ("rows", "tombstones", "quarantined", "null_keys", "duplicate_keys")
    counts = {table.name: dict.fromkeys(names, 0) for table in domain.tables}
    present = read_table_columns(reader, [domain.name])
    selects = [
        f"select '{table.name}' as name, count(*) - count(_ab_cdc_deleted_at) as live,"
        " count(_ab_cdc_deleted_at) as tombstones,"
        " coalesce(sum(case when cast(_airbyte_meta as varchar) like '%\"changes\":[{%' then 1 else 0 end), 0)"
        " as quarantined,"
        f" coalesce(sum(case when _ab_cdc_deleted_at is null and ({_has_null_key(table)}) then 1 else 0 end), "
        f"0) as null_keys, ({_count_duplicate_keys(domain, table)}) as duplicate_keys"
        f" from {domain.name}.{table.name}"
        for table in domain.tables
        if TableName(domain.name, table.name) in present
    ]
    rows = reader.query(" union all ".join(selects)).values if selects else []
    return counts | {
        str(table): {name: int(value) for name, value in zip(names, values, strict=True)}
        for table, *values in rows
    }


def _has_null_key(table: Table) -> str:
    return " or ".join(f"{column} is null" for column in table.primary_key)


def _count_duplicate_keys(domain: Domain, table: Table) -> str:
    key = ", ".join(table.primary_key)
    # DuckDB sorts keys in half of the time in which it groups them.
    return (
        f"select count(*) from (select row_number() over (partition by {key} order by {key}) as occurrence"
        f" from {domain.name}.{table.name} where _ab_cdc_deleted_at is null) as keys where occurrence = 2"
    )


def _result(asset: dg.AssetKey, name: str, outcome: CheckOutcome) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=name,
        passed=outcome.passed,
        severity=outcome.severity,
        description=outcome.found,
        metadata=outcome.metadata,
    )
