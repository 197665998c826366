"""The code location: the definitions of all pipelines, merged with what they share."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from dvd_rental_pipeline.assembly.change_capture import build_capture_definitions
from dvd_rental_pipeline.assembly.declaration import AssetPipeline, CapturePipeline
from dvd_rental_pipeline.assembly.resources import automation_enabled, resource_factories
from dvd_rental_pipeline.assembly.shared import ALWAYS_BUILT, build_shared_definitions, read_tracked_tables
from dvd_rental_pipeline.core.settings import DEFAULT_HOME, Settings
from dvd_rental_pipeline.pipelines.registry import ASSET_PIPELINES, PIPELINES
from dvd_rental_pipeline.publishing.links import with_links
from dvd_rental_pipeline.transform.project import load_dbt_project
from dvd_rental_pipeline.transform.raw_inputs import read_model_inputs


def build_definitions(
    settings: Settings,
    resource_overrides: Mapping[str, Any] | None = None,
    pipelines: Sequence[CapturePipeline] = PIPELINES,
    asset_pipelines: Sequence[AssetPipeline] = ASSET_PIPELINES,
) -> dg.Definitions:
    """Assemble the graph of all pipelines for `settings`; `resource_overrides` replaces resources by key.

    Raises:
        PipelineError: a setting is missing or the dbt project cannot be parsed.
    """
    dbt_project = load_dbt_project(settings)
    models = read_model_inputs(dbt_project)
    tracked_tables = read_tracked_tables(models, pipelines)
    schemas = [*(pipeline.domain.name for pipeline in pipelines), *(each.name for each in asset_pipelines)]
    own = [
        build_capture_definitions(
            pipeline,
            models=models,
            tracked_tables=tracked_tables,
            raw_schemas=schemas,
            always_built=ALWAYS_BUILT,
        )
        for pipeline in pipelines
    ]
    own += [pipeline.build_definitions(settings) for pipeline in asset_pipelines]
    merged = dg.Definitions.merge(
        *own, build_shared_definitions(dbt_project, pipelines, tracked_tables, asset_pipelines, own)
    )
    assets = [each for each in merged.assets or () if isinstance(each, dg.AssetsDefinition | dg.AssetSpec)]
    enabled = automation_enabled(settings)
    overrides = resource_overrides or {}
    factories = resource_factories(settings, dbt_project, pipelines, asset_pipelines)
    return dg.Definitions(
        assets=with_links(assets, [pipeline.domain for pipeline in pipelines], settings),
        asset_checks=merged.asset_checks,
        jobs=merged.jobs,
        schedules=merged.schedules if enabled else [],
        sensors=[sensor for sensor in merged.sensors or () if enabled or sensor.name == "run_failure_alerts"],
        resources={key: overrides[key] if key in overrides else make() for key, make in factories.items()},
        # DuckDB has one writer, and a process per step costs more than most steps do.
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """The definitions that `dagster dev` and every deployment load."""
    settings = Settings.load()
    if settings.is_hidden_from_plain_ui:
        logging.getLogger("dvd_rental_pipeline").warning(
            f"DVD_RENTAL_HOME is {settings.home}, but `dagster dev` keeps its history of runs in "
            f"{DEFAULT_HOME}. Start the UI with `dvd-rental dev` to see the runs of the command line."
        )
    return build_definitions(settings)
