"""The raw tables of sales as assets, with their checks, job and sensor."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import dagster as dg
from dagster import TableColumn, TableColumnConstraints, TableSchema

from dvd_rental_pipeline.assembly.raw_assets import NOTICE
from dvd_rental_pipeline.core.catalog import Privacy, Table
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.run_tags import CAUSE, INCIDENT_KEY
from dvd_rental_pipeline.core.runbook import FAILED_ROWS, RUNBOOK, SAMPLE, Section
from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.ingestion.files.drop_zone import DroppedFile, DropZone, open_drop_zone
from dvd_rental_pipeline.pipelines.sales.columns import SALES
from dvd_rental_pipeline.pipelines.sales.loading import FileStatus, complete_files, load_files
from dvd_rental_pipeline.pipelines.sales.versions import read_sales_versions
from dvd_rental_pipeline.publishing.docs_asset import SITE_GROUP
from dvd_rental_pipeline.publishing.report_pages.assets import page_key
from dvd_rental_pipeline.publishing.report_pages.product_sales import PRODUCT_SALES
from dvd_rental_pipeline.warehouse.interface import Reader, TableName
from dvd_rental_pipeline.warehouse.resource import WarehouseResource

GROUP = "sales"
JOB = "sales"
FILES_SENSOR = "sales_files_arrived"
SENSOR_SECONDS = 30
MAX_QUARANTINED_SHARE = 0.01
# The valid lines of a file are those that are not in quarantine. In an order in which each follows its inputs.
INPUTS: Mapping[str, Sequence[str]] = {
    "files": (),
    "quarantine": ("files",),
    "order_lines": ("files", "quarantine"),
}
# A file comes once a month.
MAX_AGE = timedelta(days=35)


class SalesFilesResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Where sales files are dropped: a folder, or s3://BUCKET/PREFIX."""

    location: str

    def open(self) -> DropZone:
        """The drop zone."""
        return open_drop_zone(self.location)


def build_sales_definitions(settings: Settings) -> dg.Definitions:
    """Assets, checks, the job that loads and builds everything of sales, and the sensor that starts it."""
    job = dg.define_asset_job(
        JOB,
        selection=(
            dg.AssetSelection.key_prefixes([SALES.name]).downstream().materializable()
            - dg.AssetSelection.key_prefixes([SITE_GROUP])
        )
        | dg.AssetSelection.key_prefixes(list(page_key(PRODUCT_SALES).path)),
        description="Load the sales files that are new or have changed, then build the star and the reports.",
    )
    return dg.Definitions(
        assets=[_build_raw_assets()], asset_checks=[_build_checks()], jobs=[job], sensors=[_build_sensor()]
    )


def _build_raw_assets() -> dg.AssetsDefinition:
    @dg.multi_asset(
        name="sales_ingestion",
        specs=[_asset_spec(table) for table in SALES.tables],
        can_subset=True,
        description="Validates the sales files row by row and loads those that are new or have changed.",
    )
    def ingest(
        context: dg.AssetExecutionContext, sales_files: SalesFilesResource, warehouse: WarehouseResource
    ) -> Iterator[dg.MaterializeResult[None]]:
        try:
            with warehouse.lock([SALES.name], context.log.info):
                outcomes = load_files(sales_files.open(), warehouse, context.log.info)
                with warehouse.reading() as reader:
                    counts = {table.name: _count(reader, table.name) for table in SALES.tables}
                    versions = read_sales_versions(reader)
        except PipelineError as error:
            # The message is for the user; a traceback would hide it.
            raise dg.Failure(description=str(error), allow_retries=False) from None
        loaded = [outcome for outcome in outcomes if outcome.status is FileStatus.LOADED]
        metadata: dict[str, Any] = {
            "files_loaded": len(loaded),
            "files_rejected": sum(outcome.status is FileStatus.REJECTED for outcome in outcomes),
            "lines_added": sum(outcome.added for outcome in loaded),
            "lines_changed": sum(outcome.changed for outcome in loaded),
            "lines_removed": sum(outcome.removed for outcome in loaded),
        }
        if outcomes:
            metadata["files"] = dg.MetadataValue.md("\n".join(f"- {outcome}" for outcome in outcomes))
        notice = {} if counts["files"] else {NOTICE: _no_files(sales_files.location)}
        # All tables are loaded together, whatever is selected.
        keys = [_key(name) for name in INPUTS if _key(name) in context.selected_asset_keys]
        for number, key in enumerate(keys):
            yield dg.MaterializeResult(
                asset_key=key,
                metadata={
                    "dagster/row_count": counts[key.path[-1]],
                    **metadata,
                    **(notice if number == 0 else {}),
                },
                data_version=dg.DataVersion(versions[TableName(*key.path)]),
            )

    return ingest


def _no_files(location: str) -> str:
    samples = "" if location.startswith("s3://") else " `dvd-rental sales generate` writes sample files."
    return f"There is no complete sales file in {location}.{samples}"


def _key(table: str) -> dg.AssetKey:
    return dg.AssetKey([SALES.name, table])


def _asset_spec(table: Table) -> dg.AssetSpec:
    is_private = any(column.privacy is not Privacy.PUBLIC for column in table.columns)
    return dg.AssetSpec(
        key=_key(table.name),
        deps=[_key(name) for name in INPUTS[table.name]],
        group_name=GROUP,
        description=f"Raw table of the sales files: {table.grain}.",
        owners=[SALES.owner],
        kinds={"csv"},
        tags={"layer": "raw", "domain": SALES.name, **({"pii": "true"} if is_private else {})},
        metadata={
            "dagster/table_name": f"{SALES.name}.{table.name}",
            "dagster/column_schema": TableSchema(
                columns=[
                    TableColumn(
                        column.name,
                        column.type,
                        column.description,
                        constraints=TableColumnConstraints(nullable=column.nullable),
                        tags={} if column.privacy is Privacy.PUBLIC else {"privacy": column.privacy.value},
                    )
                    for column in table.columns
                ]
            ),
            "primary_key": ", ".join(table.primary_key),
        },
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=MAX_AGE),
    )


def _count(reader: Reader, table: str) -> int:
    ((count,),) = reader.query(f"select count(*) from {SALES.name}.{table}").values
    return int(count)


def _build_checks() -> dg.AssetChecksDefinition:
    specs = [
        dg.AssetCheckSpec(
            "every_record_is_accounted_for",
            asset=_key("order_lines"),
            blocking=True,
            description="Every record of the loaded files is one order line or one row of the quarantine.",
            metadata={RUNBOOK: Section.SALES_RECORDS.reference},
        ),
        dg.AssetCheckSpec(
            "few_records_are_quarantined",
            asset=_key("quarantine"),
            description=f"Of a loaded file, at most {MAX_QUARANTINED_SHARE:.0%} is quarantined.",
            metadata={RUNBOOK: Section.SALES_QUARANTINE.reference},
        ),
        dg.AssetCheckSpec(
            "no_file_is_rejected",
            asset=_key("files"),
            description="Every file has a header from which it can be loaded.",
            metadata={RUNBOOK: Section.SALES_FILES.reference},
        ),
    ]

    @dg.multi_asset_check(name="sales_checks", specs=specs, can_subset=True)
    def sales_checks(
        context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
    ) -> Iterator[dg.AssetCheckResult]:
        with warehouse.reading() as reader:
            for key in context.selected_asset_check_keys:
                yield _EVALUATIONS[key.name](key, reader)

    return sales_checks


def _every_record_is_accounted_for(key: dg.AssetCheckKey, reader: Reader) -> dg.AssetCheckResult:
    rows = reader.query(
        f"""
        with stored as (
            select file_name, line from {SALES.name}.order_lines
            union all
            select file_name, line from {SALES.name}.quarantine
        ),
        counted as (
            select file_name, count(*) as stored_rows, count(distinct line) as stored_lines
            from stored group by file_name
        )
        select
            coalesce(files.file_name, counted.file_name) as file_name,
            coalesce(files.records, 0) as records,
            coalesce(counted.stored_rows, 0) as stored_rows
        from (select file_name, records from {SALES.name}.files where status = 'loaded') as files
        full outer join counted on files.file_name = counted.file_name
        where files.records is null or files.records <> coalesce(counted.stored_rows, 0)
            or counted.stored_rows <> counted.stored_lines
        order by 1
        """
    ).values
    return _result(key, rows, ("file", "records", "rows"), dg.AssetCheckSeverity.ERROR, "files have other rows")


def _few_records_are_quarantined(key: dg.AssetCheckKey, reader: Reader) -> dg.AssetCheckResult:
    rows = reader.query(
        f"select file_name, records, quarantined from {SALES.name}.files"
        f" where status = 'loaded' and quarantined > records * {MAX_QUARANTINED_SHARE} order by 1"
    ).values
    return _result(
        key,
        rows,
        ("file", "records", "quarantined"),
        dg.AssetCheckSeverity.WARN,
        f"files have more than {MAX_QUARANTINED_SHARE:.0%} of their records in quarantine",
    )


def _no_file_is_rejected(key: dg.AssetCheckKey, reader: Reader) -> dg.AssetCheckResult:
    rows = reader.query(
        f"select file_name, reason from {SALES.name}.files where status = 'rejected' order by 1"
    ).values
    return _result(key, rows, ("file", "reason"), dg.AssetCheckSeverity.WARN, "files were rejected")


_EVALUATIONS = {
    "every_record_is_accounted_for": _every_record_is_accounted_for,
    "few_records_are_quarantined": _few_records_are_quarantined,
    "no_file_is_rejected": _no_file_is_rejected,
}


def _result(
    key: dg.AssetCheckKey,
    rows: Sequence[Sequence[Any]],
    columns: Sequence[str],
    severity: dg.AssetCheckSeverity,
    problem: str,
) -> dg.AssetCheckResult:
    metadata: dict[str, Any] = {FAILED_ROWS: len(rows)}
    names = ", ".join(str(row[0]) for row in rows[:10])
    if rows:
        sample = [dg.TableRecord(dict(zip(columns, map(_plain, row), strict=True))) for row in rows[:10]]
        metadata[SAMPLE] = dg.MetadataValue.table(sample)
    return dg.AssetCheckResult(
        asset_key=key.asset_key,
        check_name=key.name,
        passed=not rows,
        severity=severity,
        description=f"{len(rows)} {problem}: {names}." if rows else f"No {problem}.",
        metadata=metadata,
    )


def _plain(value: Any) -> str | int:
    return value if isinstance(value, str) else int(value)


def _build_sensor() -> dg.SensorDefinition:
    @dg.sensor(
        name=FILES_SENSOR,
        job_name=JOB,
        minimum_interval_seconds=SENSOR_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts a run when a sales file is complete: marked by a file NAME.done, or unchanged for "
        "ten seconds. Files are loaded in order of their month.",
    )
    def files_arrived(context: dg.SensorEvaluationContext, sales_files: SalesFilesResource) -> dg.SensorResult:
        try:
            zone = sales_files.open()
            present = {file.name for file in zone.files()}
            complete = complete_files(zone)
        except PipelineError as error:
            raise dg.Failure(description=str(error), allow_retries=False) from None
        # The version for which a run was requested, by name. Files that are gone are forgotten.
        requested: dict[str, str] = json.loads(context.cursor) if context.cursor else {}
        requested = {name: version for name, version in requested.items() if name in present}
        arrived = [file for file in complete if requested.get(file.name) != file.version]
        cursor = json.dumps({**requested, **{file.name: file.version for file in arrived}}, sort_keys=True)
        if not arrived:
            return dg.SensorResult(skip_reason="No file is new and complete.", cursor=cursor)
        context.log.info(f"complete: {', '.join(file.name for file in arrived)}")
        run = dg.RunRequest(run_key=_run_key(arrived), tags={CAUSE: "files arrived", INCIDENT_KEY: JOB})
        return dg.SensorResult(run_requests=[run], cursor=cursor)

    return files_arrived


def _run_key(files: Sequence[DroppedFile]) -> str:
    versions = " ".join(f"{file.name}={file.version}" for file in files)
    return f"sales {hashlib.sha256(versions.encode()).hexdigest()}"
