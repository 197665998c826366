"""What all pipelines share: dbt models, checks of data lag, the site, alerts, and the sensors of the models."""

from collections.abc import Sequence

import dagster as dg
from dagster_dbt import DbtProject

from dvd_rental_pipeline.assembly.declaration import AssetPipeline, CapturePipeline
from dvd_rental_pipeline.automation.condition_sensors import MODEL_SENSORS
from dvd_rental_pipeline.automation.conditions import EVERY_MORNING, LAYER_CONDITIONS, after_any_of
from dvd_rental_pipeline.automation.failed_checks import failed_check_alerts
from dvd_rental_pipeline.automation.freshness import LAYER_DATA_LAG, LAYER_FRESHNESS
from dvd_rental_pipeline.automation.overdue_assets import overdue_alerts
from dvd_rental_pipeline.automation.run_failures import run_failure_alerts
from dvd_rental_pipeline.automation.slot_lag import MonitoredSlot, build_slot_lag_alerts
from dvd_rental_pipeline.ingestion.asset_keys import leader_key
from dvd_rental_pipeline.publishing.check_report.declared_checks import declared_checks
from dvd_rental_pipeline.publishing.checks_asset import build_checks_asset
from dvd_rental_pipeline.publishing.cost_report.asset import build_costs_asset
from dvd_rental_pipeline.publishing.docs_asset import build_docs_asset
from dvd_rental_pipeline.publishing.extracts.asset import build_extracts_asset
from dvd_rental_pipeline.publishing.page_verdicts import read_lineage
from dvd_rental_pipeline.publishing.report_pages.assets import build_page_asset, page_key
from dvd_rental_pipeline.publishing.report_pages.registry import REPORT_PAGES
from dvd_rental_pipeline.quality.data_lag import TrackedTable, build_data_lag_checks
from dvd_rental_pipeline.transform.assets import build_dbt_assets
from dvd_rental_pipeline.transform.consumers import build_consumer_specs
from dvd_rental_pipeline.transform.raw_inputs import ModelInputs

ALWAYS_BUILT = dg.AssetSelection.assets(["site", "checks"], ["site", "costs"])
"""Downstream of nothing, so that no failure can skip it."""


def read_tracked_tables(
    models: Sequence[ModelInputs], pipelines: Sequence[CapturePipeline]
) -> Sequence[TrackedTable]:
    """The tables among `models` whose layer limits their data lag. Views show what their inputs show.

    Commit times are known of the raw tables of `pipelines` alone.
    """
    captured = {pipeline.domain.name for pipeline in pipelines}
    return [
        TrackedTable(model.asset, model.sources, LAYER_DATA_LAG[model.asset.path[0]])
        for model in models
        if not model.is_view
        and model.asset.path[0] in LAYER_DATA_LAG
        and captured.issuperset(source.path[0] for source in model.sources)
    ]


def build_shared_definitions(
    dbt_project: DbtProject,
    pipelines: Sequence[CapturePipeline],
    tracked_tables: Sequence[TrackedTable],
    asset_pipelines: Sequence[AssetPipeline],
    own: Sequence[dg.Definitions],
) -> dg.Definitions:
    """The shared definitions; the check report covers them and `own`, the definitions of each pipeline."""
    domains = [pipeline.domain for pipeline in pipelines]
    models = [
        build_dbt_assets(
            dbt_project,
            domains,
            LAYER_FRESHNESS,
            LAYER_CONDITIONS,
            domain_freshness={
                each.name: dg.FreshnessPolicy.time_window(fail_window=each.freshness)
                for each in asset_pipelines
                if each.freshness is not None
            },
            version_readers={
                each.name: each.read_versions for each in asset_pipelines if each.read_versions is not None
            },
        ),
        build_docs_asset(
            dbt_project,
            domains,
            LAYER_FRESHNESS["site"],
            LAYER_CONDITIONS["site"],
            [file for each in asset_pipelines for file in each.record_schemas],
        ),
        *(
            build_page_asset(page, dbt_project, domains, LAYER_FRESHNESS["site"], LAYER_CONDITIONS["site"])
            for page in REPORT_PAGES
        ),
        build_extracts_asset(dbt_project, domains, LAYER_FRESHNESS["site"], LAYER_CONDITIONS["site"]),
    ]
    data_lag = build_data_lag_checks(tracked_tables)
    parts = [part for each in own for part in (*(each.assets or ()), *(each.asset_checks or ()))]
    reported = [part for part in (*parts, *models, data_lag) if isinstance(part, dg.AssetsDefinition)]
    external = [part for part in parts if isinstance(part, dg.AssetSpec)]
    checks = declared_checks(reported)
    return dg.Definitions(
        assets=[
            *models,
            *_consumers(dbt_project),
            build_checks_asset(
                dbt_project,
                domains,
                checks,
                LAYER_FRESHNESS["checks"],
                after_any_of(_trigger_assets(pipelines, asset_pipelines)),
                lineage=read_lineage([*reported, *external]),
            ),
            build_costs_asset(domains, checks, LAYER_FRESHNESS["site"], EVERY_MORNING),
        ],
        asset_checks=[data_lag],
        sensors=[*MODEL_SENSORS, *build_alert_sensors(pipelines)],
    )


def _trigger_assets(
    pipelines: Sequence[CapturePipeline], asset_pipelines: Sequence[AssetPipeline]
) -> Sequence[dg.AssetKey]:
    """What a sync, and a build of the models, always updates."""
    raw = [leader_key(pipeline.domain) for pipeline in pipelines]
    built = [dg.AssetKey(pipeline.built_table) for pipeline in pipelines if pipeline.built_table is not None]
    return [*raw, *built, *(dg.AssetKey(key) for each in asset_pipelines for key in each.trigger_assets)]


def _consumers(project: DbtProject) -> Sequence[dg.AssetSpec]:
    """The consumers of the reports, downstream of the pages that they read."""
    pages = {page.consumer: page_key(page) for page in REPORT_PAGES}
    return [
        spec.replace_attributes(deps=[*spec.deps, pages[name]])
        if (name := spec.key.path[-1]) in pages
        else spec
        for spec in build_consumer_specs(project)
    ]


def build_alert_sensors(pipelines: Sequence[CapturePipeline]) -> Sequence[dg.SensorDefinition]:
    """The sensors that send alerts, each for all of `pipelines`."""
    slots = [MonitoredSlot(pipeline.domain, pipeline.ingestion_key) for pipeline in pipelines]
    return [overdue_alerts, failed_check_alerts, build_slot_lag_alerts(slots), run_failure_alerts]
