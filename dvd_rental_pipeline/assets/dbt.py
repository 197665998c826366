"""The dbt project as assets: one step that builds models and runs their tests, which become asset checks."""

import shutil
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
from dagster_dbt import (
    DagsterDbtTranslator,
    DagsterDbtTranslatorSettings,
    DbtCliResource,
    DbtProject,
    dbt_assets,
)

from dvd_rental_pipeline.resources.warehouse import Warehouse


class DbtConfig(dg.Config):
    """How to build, chosen at launch."""

    full_refresh: bool = False


class ModelTranslator(DagsterDbtTranslator):
    """Adds to dagster-dbt's own translation the tags by which people search."""

    def __init__(self) -> None:
        super().__init__(DagsterDbtTranslatorSettings(enable_source_tests_as_checks=True))

    def get_asset_spec(
        self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None
    ) -> dg.AssetSpec:
        spec = super().get_asset_spec(manifest, unique_id, project)
        layer = spec.key.path[0]
        return spec.merge_attributes(tags={"layer": layer, "domain": "dvd_rental"})


def build_dbt_assets(project: DbtProject) -> dg.AssetsDefinition:
    """Every model of `project` as an asset keyed [schema, model], in one step."""

    @dbt_assets(
        manifest=project.manifest_path,
        project=project,
        dagster_dbt_translator=ModelTranslator(),
        name="dbt_models",
    )
    def models(
        context: dg.AssetExecutionContext, config: DbtConfig, dbt: DbtCliResource, warehouse: Warehouse
    ) -> Iterator[Any]:
        args = ["build", "--full-refresh"] if config.full_refresh else ["build"]
        with warehouse.writing(context.log.info):
            invocation = dbt.cli(args, context=context)
            try:
                yield from invocation.stream().fetch_row_counts().fetch_column_metadata()
            finally:
                # Each invocation leaves a folder of artifacts, megabytes that nobody would ever remove.
                shutil.rmtree(invocation.target_path, ignore_errors=True)

    return models
