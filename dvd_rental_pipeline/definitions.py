"""The code location: everything put together, once for each deployment."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from dvd_rental_pipeline.automation.condition_sensors import CONDITION_SENSORS
from dvd_rental_pipeline.automation.failed_checks import failed_check_alerts
from dvd_rental_pipeline.automation.overdue_assets import overdue_alerts
from dvd_rental_pipeline.automation.run_failures import run_failure_alerts
from dvd_rental_pipeline.automation.schedules import build_sync_job, dvd_rental_job, sync_schedule
from dvd_rental_pipeline.automation.slot_lag import slot_lag_alerts
from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.pipelines.raw_assets import build_ingestion_assets
from dvd_rental_pipeline.pipelines.resources import automation_enabled, resource_factories
from dvd_rental_pipeline.publishing.check_report.reading import declared_checks
from dvd_rental_pipeline.publishing.checks_asset import build_checks_asset
from dvd_rental_pipeline.publishing.docs_asset import build_docs_asset
from dvd_rental_pipeline.publishing.links import with_links
from dvd_rental_pipeline.quality.anomaly_bounds import build_learnt_bounds_checks
from dvd_rental_pipeline.quality.data_lag import build_data_lag_checks, watched_tables
from dvd_rental_pipeline.quality.raw_tables import build_replication_checks
from dvd_rental_pipeline.quality.secret_columns import build_secret_columns_check
from dvd_rental_pipeline.transform.assets import build_dbt_assets
from dvd_rental_pipeline.transform.consumers import build_consumer_specs
from dvd_rental_pipeline.transform.project import load_dbt_project

WATCHES = [overdue_alerts, failed_check_alerts, slot_lag_alerts, run_failure_alerts]


def build_definitions(
    settings: Settings, resource_overrides: Mapping[str, Any] | None = None
) -> dg.Definitions:
    """Assemble the graph for `settings`; `resource_overrides` replaces resources by key, as tests do.

    Raises:
        PipelineError: a setting is missing or the dbt project cannot be parsed.
    """
    overrides = resource_overrides or {}
    dbt_project = load_dbt_project(settings)
    factories = resource_factories(settings, dbt_project)
    checked = [
        build_ingestion_assets(DVD_RENTAL),
        build_dbt_assets(dbt_project),
        build_docs_asset(dbt_project),
    ]
    data_lag = build_data_lag_checks(watched_tables(dbt_project, DVD_RENTAL), DVD_RENTAL)
    checks = [
        build_replication_checks(DVD_RENTAL),
        build_secret_columns_check(DVD_RENTAL, dg.AssetKey(["staging", "stg_dvd_rental__staff"])),
        build_learnt_bounds_checks(),
        data_lag,
    ]
    by_itself = automation_enabled(settings)
    return dg.Definitions(
        assets=with_links(
            [
                *checked,
                *build_consumer_specs(dbt_project),
                build_checks_asset(dbt_project, declared_checks([*checked, *checks])),
            ],
            settings,
        ),
        asset_checks=checks,
        jobs=[dvd_rental_job, build_sync_job(data_lag)],
        schedules=[sync_schedule] if by_itself else [],
        sensors=[*CONDITION_SENSORS, *WATCHES] if by_itself else [run_failure_alerts],
        resources={key: overrides[key] if key in overrides else make() for key, make in factories.items()},
        # DuckDB has one writer, and a process a step costs more than most steps do.
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """The definitions that `dagster dev` and every deployment load."""
    return build_definitions(Settings.load())
