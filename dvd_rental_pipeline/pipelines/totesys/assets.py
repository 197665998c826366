"""The three steps of the pipeline as assets: ingestion, transformation, loading.

Each step works on all its tables, since a run reads the source in one snapshot, and reports those selected.
"""

from collections.abc import Iterator

import dagster as dg

from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.step_log import describe, log_fields
from dvd_rental_pipeline.ingestion.postgres_watermark.ingest import IngestedTable, ingest
from dvd_rental_pipeline.pipelines.totesys.asset_specs import (
    DELETED_KEY,
    LANDING,
    PROCESSED,
    WAREHOUSE,
    landing_key,
    landing_specs,
    processed_key,
    processed_specs,
    warehouse_key,
    warehouse_specs,
)
from dvd_rental_pipeline.pipelines.totesys.catalog import TOTESYS
from dvd_rental_pipeline.pipelines.totesys.lake import TotesysLake
from dvd_rental_pipeline.pipelines.totesys.load import DELETED_ROWS, LAKE_SCHEMA, LoadedTable, load, row_counts
from dvd_rental_pipeline.pipelines.totesys.processed import ProcessedRun
from dvd_rental_pipeline.pipelines.totesys.star import SCHEMA, STAR
from dvd_rental_pipeline.pipelines.totesys.transform import transform
from dvd_rental_pipeline.pipelines.totesys.versions import read_totesys_versions
from dvd_rental_pipeline.warehouse.interface import TableName
from dvd_rental_pipeline.warehouse.resource import WarehouseResource

INGESTION_STEP = "ingest_totesys"
# Two runs of a step would do the same work; the limit of each pool is set to one where runs are concurrent.
LANDING_POOL, PROCESSED_POOL, WAREHOUSE_POOL = LANDING, PROCESSED, WAREHOUSE


class StepConfig(dg.Config):
    """Launch configuration of a step.

    With `full_refresh`, ingestion compares whole tables with their source, the transformation transforms every
    landed run again, and loading replays every run.
    """

    full_refresh: bool = False


@dg.multi_asset(
    name=INGESTION_STEP,
    specs=landing_specs(),
    can_subset=True,
    pool=LANDING_POOL,
    description="Lands the rows of totesys that changed since the last run.",
)
def ingestion(
    context: dg.AssetExecutionContext, config: StepConfig, totesys_lake: TotesysLake
) -> Iterator[dg.MaterializeResult[None]]:
    """Land what changed."""

    def log_table(table: IngestedTable) -> None:
        fields = {"table": table.table, "read": table.read, "rows": table.rows, "deleted": table.deleted,
                  "seconds": table.seconds}  # fmt: skip
        context.log.info(describe("Ingested", **fields), extra=log_fields(**fields))

    try:
        totesys_lake.require_writable()
        with totesys_lake.open_source(context.log.info) as url:
            run = ingest(
                url, TOTESYS, totesys_lake.landing_zone, complete=config.full_refresh, on_table=log_table
            )
    except PipelineError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from None
    if not run.sees_other_sessions:
        context.log.warning(
            "The role may not read when other sessions' transactions began, so that a change is lost until the "
            "nightly comparison if it is committed more than ten minutes after it was written: grant "
            "pg_read_all_stats to it."
        )
    for name, table in run.tables.items():
        if landing_key(name) in context.selected_asset_keys:
            metadata = {"rows_read": table.read, "rows_landed": table.rows, "rows_deleted": table.deleted,
                        "seconds": table.seconds}  # fmt: skip
            if run.manifest is not None:
                metadata["landed_run"] = run.manifest.sequence
            yield dg.MaterializeResult(asset_key=landing_key(name), metadata=metadata)


@dg.multi_asset(
    name="transform_totesys",
    specs=processed_specs(),
    can_subset=True,
    pool=PROCESSED_POOL,
    description="Transforms landed runs to the rows of the star, and puts bad rows into quarantine.",
)
def transformation(
    context: dg.AssetExecutionContext, config: StepConfig, totesys_lake: TotesysLake
) -> Iterator[dg.MaterializeResult[None]]:
    """Transform the landed runs that are not transformed yet."""
    try:
        totesys_lake.require_writable()
        runs = transform(
            totesys_lake.landing_zone,
            totesys_lake.processed_zone,
            everything=config.full_refresh,
            on_run=lambda run: log_processed_run(context.log, run),
        )
    except PipelineError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from None
    last = totesys_lake.processed_zone.runs()[-1:]
    for table in STAR:
        if processed_key(table.name) in context.selected_asset_keys:
            quarantined = sum(run.quarantined.get(table.source, 0) for run in last)
            yield dg.MaterializeResult(
                asset_key=processed_key(table.name),
                metadata={
                    "rows_processed": sum(run.rows(table.name) for run in runs),
                    "rows_in_quarantine": quarantined,
                    "landed_runs": len(runs),
                },
            )


def log_processed_run(log: dg.DagsterLogManager, run: ProcessedRun) -> None:
    """Log each file of a run."""
    for file in run.files:
        fields = {"table": file.table, "landed_run": run.sequence, "rows": file.rows}
        log.info(describe("Processed", **fields), extra=log_fields(**fields))


@dg.multi_asset(
    name="load_totesys",
    specs=warehouse_specs(),
    can_subset=True,
    pool=WAREHOUSE_POOL,
    description="Loads processed runs into the warehouse, each table in one transaction.",
)
def loading(
    context: dg.AssetExecutionContext,
    config: StepConfig,
    totesys_lake: TotesysLake,
    warehouse: WarehouseResource,
) -> Iterator[dg.MaterializeResult[None]]:
    """Load the processed runs that the warehouse lacks."""
    try:
        totesys_lake.require_writable()
        with warehouse.lock([SCHEMA, LAKE_SCHEMA], context.log.info):
            loaded = load(
                warehouse,
                totesys_lake.landing_zone,
                totesys_lake.processed_zone,
                everything=config.full_refresh,
                on_table=lambda table: log_loaded_table(context.log, table),
            )
            with warehouse.reading() as reader:
                counts = row_counts(reader)
                versions = read_totesys_versions(reader)
    except PipelineError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from None
    for name, table in loaded.items():
        if warehouse_key(name) in context.selected_asset_keys:
            metadata = {"dagster/row_count": counts[name], "rows_loaded": table.rows, "landed_runs": table.runs,
                        "seconds": table.seconds}  # fmt: skip
            if table.latency_seconds is not None:
                metadata["latency_minutes"] = round(table.latency_seconds / 60, 2)
            yield dg.MaterializeResult(
                asset_key=warehouse_key(name),
                metadata=metadata,
                data_version=dg.DataVersion(versions[TableName(SCHEMA, name)]),
            )
    if DELETED_KEY in context.selected_asset_keys:
        yield dg.MaterializeResult(asset_key=DELETED_KEY, data_version=dg.DataVersion(versions[DELETED_ROWS]))


def log_loaded_table(log: dg.DagsterLogManager, table: LoadedTable) -> None:
    """Log what was loaded into a table."""
    fields = {"table": table.table, "landed_runs": table.runs, "rows": table.rows, "seconds": table.seconds,
              "latency_seconds": table.latency_seconds}  # fmt: skip
    log.info(describe("Loaded", **fields), extra=log_fields(**fields))
