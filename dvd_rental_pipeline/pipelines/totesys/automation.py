"""The jobs, schedules and the sensor of the pipeline.

Ingestion and loading run every ten minutes, and a landed run is transformed when its manifest appears: a change
reaches the warehouse within half an hour. The first run is started by a user, since it reads whole tables.
"""

from datetime import date

import dagster as dg

from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.private_api.dagster import UnresolvedAssetJobDefinition
from dvd_rental_pipeline.core.run_tags import CAUSE, INCIDENT_KEY
from dvd_rental_pipeline.pipelines.totesys.asset_specs import LANDING, PROCESSED, WAREHOUSE, landing_key
from dvd_rental_pipeline.pipelines.totesys.assets import (
    INGESTION_STEP,
    WAREHOUSE_POOL,
    log_loaded_table,
    log_processed_run,
)
from dvd_rental_pipeline.pipelines.totesys.lake import TotesysLake
from dvd_rental_pipeline.pipelines.totesys.load import LAKE_SCHEMA, load
from dvd_rental_pipeline.pipelines.totesys.star import SCHEMA
from dvd_rental_pipeline.pipelines.totesys.transform import transform
from dvd_rental_pipeline.warehouse.resource import WarehouseResource

INGESTION = "totesys_ingestion"
TRANSFORMATION = "totesys_transformation"
LOADING = "totesys_loading"
COMPARISON = "totesys_comparison"
BACKFILL = "totesys_backfill"
_FIRST_DAY = "2026-01-01"
_LEADER = landing_key("sales_order")

JOBS: list[UnresolvedAssetJobDefinition] = [
    dg.define_asset_job(
        "totesys",
        selection=dg.AssetSelection.groups(LANDING, PROCESSED, WAREHOUSE).downstream().materializable(),
        description="Ingest totesys, then build every table, report and check that depends on it.",
    ),
    dg.define_asset_job(
        INGESTION,
        selection=dg.AssetSelection.groups(LANDING),
        description="Land the rows of totesys that changed.",
    ),
    dg.define_asset_job(
        TRANSFORMATION,
        selection=dg.AssetSelection.groups(PROCESSED),
        description="Transform the landed runs of totesys.",
    ),
    dg.define_asset_job(
        LOADING,
        selection=dg.AssetSelection.groups(WAREHOUSE),
        description="Load the processed runs of totesys into the warehouse.",
    ),
    dg.define_asset_job(
        COMPARISON,
        selection=dg.AssetSelection.groups(LANDING),
        config={"ops": {INGESTION_STEP: {"config": {"full_refresh": True}}}},
        description="Compare whole tables of totesys with the landing zone, and land deleted rows.",
    ),
]


@dg.op(pool=WAREHOUSE_POOL)
def rebuild_day(
    context: dg.OpExecutionContext, totesys_lake: TotesysLake, warehouse: WarehouseResource
) -> None:
    """Transform the runs that landed on the partition's day again, and load what has changed."""
    landing, processed = totesys_lake.landing_zone, totesys_lake.processed_zone
    try:
        totesys_lake.require_writable()
        transform(
            landing,
            processed,
            days=[date.fromisoformat(context.partition_key)],
            on_run=lambda run: log_processed_run(context.log, run),
        )
        with warehouse.lock([SCHEMA, LAKE_SCHEMA], context.log.info):
            load(warehouse, landing, processed, on_table=lambda table: log_loaded_table(context.log, table))
    except PipelineError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from None


@dg.job(
    name=BACKFILL,
    partitions_def=dg.DailyPartitionsDefinition(start_date=_FIRST_DAY, end_offset=1),
    description="Rebuild what landed on a day from the landing zone alone: processed files, then the "
    "warehouse. Only files that have changed are loaded again.",
)
def backfill() -> None:
    """Rebuild a range of days."""
    rebuild_day()


@dg.sensor(
    name=TRANSFORMATION,
    job_name=TRANSFORMATION,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Transforms a landed run as soon as its manifest is complete.",
)
def landed_run_sensor(totesys_lake: TotesysLake) -> dg.RunRequest | dg.SkipReason:
    """Request a run for the newest manifest; it transforms all runs before it, too."""
    newest = totesys_lake.landing_zone.newest()
    if newest is None:
        return dg.SkipReason("Nothing has landed yet.")
    done = totesys_lake.processed_zone.newest_sequence()
    if done >= newest.sequence:
        return dg.SkipReason(f"Every landed run is transformed, up to run {newest.sequence}.")
    return dg.RunRequest(
        run_key=newest.run, tags={CAUSE: f"run {newest.sequence} landed", INCIDENT_KEY: TRANSFORMATION}
    )


def _schedule(job: str, cron: str, description: str) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=job,
        job_name=job,
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=description,
    )
    def evaluate(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if context.instance.get_latest_materialization_event(_LEADER) is None:
            return dg.SkipReason(
                "totesys was never ingested. Start the first run yourself, since it reads whole tables: "
                "`dvd-rental run --select 'tag:domain=totesys'`."
            )
        return dg.RunRequest(tags={CAUSE: "schedule", INCIDENT_KEY: job})

    return evaluate


SCHEDULES = [
    _schedule(INGESTION, "*/10 * * * *", "Lands what changed in totesys."),
    _schedule(LOADING, "5-59/10 * * * *", "Loads what was transformed into the warehouse."),
    _schedule(COMPARISON, "40 3 * * *", "Finds deleted rows, every night."),
]
