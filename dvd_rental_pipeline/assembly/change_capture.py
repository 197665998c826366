"""The definitions of a pipeline that is replicated by change data capture, built from its declaration."""

from collections.abc import Collection, Sequence

import dagster as dg

from dvd_rental_pipeline.assembly.declaration import CapturePipeline
from dvd_rental_pipeline.assembly.raw_assets import build_raw_assets
from dvd_rental_pipeline.automation.condition_sensors import CHECKS_PAGE, build_catch_up_sensor
from dvd_rental_pipeline.automation.schedules import build_sync_job, build_sync_schedule, build_whole_job
from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.ingestion.asset_keys import raw_key
from dvd_rental_pipeline.quality.data_lag import TrackedTable
from dvd_rental_pipeline.quality.raw_tables import build_replication_checks
from dvd_rental_pipeline.quality.secret_columns import build_secret_columns_check, secret_tables
from dvd_rental_pipeline.transform.raw_inputs import ModelInputs


def build_capture_definitions(
    pipeline: CapturePipeline,
    *,
    models: Sequence[ModelInputs],
    tracked_tables: Sequence[TrackedTable],
    raw_schemas: Collection[str],
    always_built: dg.AssetSelection,
) -> dg.Definitions:
    """Raw tables, checks, jobs, schedule and catch-up sensor of one pipeline.

    `models` are those of the dbt project, `tracked_tables` the tables with a check of data lag, `raw_schemas`
    the raw schemas of all pipelines, `always_built` what every run of the whole job builds.
    """
    domain = pipeline.domain
    lag_checks = [
        table.spec.key
        for table in tracked_tables
        if any(source.path[0] == domain.name for source in table.sources)
    ]
    fillers = [dg.AssetKey(key) for key in pipeline.filled_by]
    own = {domain.name, *(key.path[0] for key in fillers)}
    others = [schema for schema in raw_schemas if schema not in own]
    commit_lag = {tier: freshness.commit_lag for tier, freshness in pipeline.tiers.items()}
    return dg.Definitions(
        assets=[build_raw_assets(pipeline)],
        asset_checks=[
            build_replication_checks(domain, commit_lag, pipeline.ingestion_key),
            *_build_secret_checks(domain, models, raw_schemas),
            *pipeline.build_checks(),
        ],
        jobs=[
            build_whole_job(domain, others, always_built, fillers),
            build_sync_job(domain, dg.AssetSelection.checks(*lag_checks) | CHECKS_PAGE),
        ],
        schedules=[build_sync_schedule(domain, pipeline.sync_cron)],
        sensors=[build_catch_up_sensor(domain)],
    )


def _build_secret_checks(
    domain: Domain, models: Sequence[ModelInputs], raw_schemas: Collection[str]
) -> Sequence[dg.AssetChecksDefinition]:
    """A check attached to the staging model of the first table with secrets, or else to its raw table."""
    tables = secret_tables(domain)
    if not tables:
        return []
    staging = dg.AssetKey(["staging", f"stg_{domain.name}__{tables[0].name}"])
    asset = staging if staging in {model.asset for model in models} else raw_key(domain, tables[0])
    unrelated = {
        (model.asset.path[0], model.asset.path[-1])
        for model in models
        if model.sources and all(source.path[0] != domain.name for source in model.sources)
    }
    return [build_secret_columns_check(domain, asset, raw_schemas=raw_schemas, unrelated=unrelated)]
