"""The dbt project as assets: one step that builds models and runs their tests, which become asset checks."""

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import (
    DagsterDbtTranslator,
    DagsterDbtTranslatorSettings,
    DbtCliResource,
    DbtProject,
    dbt_assets,
)

from dvd_rental_pipeline.errors import UnwritableFolderError
from dvd_rental_pipeline.resources.warehouse import Warehouse
from dvd_rental_pipeline.settings import DBT_PROJECT_DIR, Settings


class DbtConfig(dg.Config):
    """How to build, chosen at launch."""

    full_refresh: bool = False


class ModelTranslator(DagsterDbtTranslator):
    """Adds to dagster-dbt's own translation the tags by which people search."""

    def __init__(self) -> None:
        super().__init__(
            DagsterDbtTranslatorSettings(enable_source_tests_as_checks=True, enable_code_references=True)
        )

    def get_asset_spec(
        self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None
    ) -> dg.AssetSpec:
        spec = super().get_asset_spec(manifest, unique_id, project)
        layer = spec.key.path[0]
        return spec.merge_attributes(tags={"layer": layer, "domain": "dvd_rental"})


def load_dbt_project(settings: Settings) -> DbtProject:
    """The dbt project, with a manifest that is as new as the files it is made of.

    dagster-dbt would parse again in every run worker; here that happens only when a file has changed.

    Raises:
        PipelineError: dbt cannot parse the project; its own words are in the message.
    """
    settings.export()
    project = DbtProject(
        project_dir=DBT_PROJECT_DIR,
        target_path=settings.dbt_target_dir,
        profiles_dir=DBT_PROJECT_DIR,
        target=settings.deployment.value,
    )
    if _manifest_is_stale(project):
        try:
            settings.dbt_target_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UnwritableFolderError(settings.dbt_target_dir, error) from error
        project.preparer.prepare(project)
    return project


def _manifest_is_stale(project: DbtProject) -> bool:
    manifest = project.manifest_path
    if not manifest.exists():
        return True
    made = manifest.stat().st_mtime
    return any(
        Path(folder, name).stat().st_mtime > made
        for folder, _, names in os.walk(project.project_dir)
        for name in names
        if name.endswith((".sql", ".yml", ".csv", ".md"))
    )


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
