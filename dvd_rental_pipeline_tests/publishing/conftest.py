"""Fixtures for tests of publishing: the project compiled once, and the pages built from it."""

from pathlib import Path

import pytest

from dvd_rental_pipeline.pipelines.registry import ASSET_PIPELINES, PIPELINES
from dvd_rental_pipeline.publishing.documentation.entity_model import EntityModel, read_entity_model
from dvd_rental_pipeline.publishing.documentation.lineage import Lineage, trace
from dvd_rental_pipeline.publishing.documentation.pages import write_documentation
from dvd_rental_pipeline.transform.manifest import Manifest, read_manifest
from dvd_rental_pipeline_tests.build_once import build_once
from dvd_rental_pipeline_tests.dbt_runner import run_dbt
from dvd_rental_pipeline_tests.parsed_project import ParsedProject


@pytest.fixture(scope="session")
def dbt_docs(shared_folder: Path, parsed_project: ParsedProject) -> Path:
    """The output folder of `dbt docs generate` for an empty warehouse."""

    def generate(folder: Path) -> None:
        generated = run_dbt(
            "docs",
            "generate",
            "--static",
            "--empty-catalog",
            "--exclude",
            "resource_type:test resource_type:unit_test",
            "--target",
            "local",
            target_path=folder,
            environment={"DVD_RENTAL_HOME": str(folder)},
            manifest=parsed_project.manifest("local"),
        )
        assert generated.succeeded, generated.stdout

    return build_once(shared_folder / "docs", generate)


@pytest.fixture(scope="session")
def manifest(dbt_docs: Path) -> Manifest:
    """The manifest with compiled SQL."""
    return read_manifest(dbt_docs / "manifest.json")


@pytest.fixture(scope="session")
def model(manifest: Manifest) -> EntityModel:
    return read_entity_model(manifest, [pipeline.domain for pipeline in PIPELINES])


@pytest.fixture(scope="session")
def lineage(manifest: Manifest, model: EntityModel) -> Lineage:
    return trace(manifest, model)


@pytest.fixture(scope="session")
def pages(dbt_docs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of documentation pages."""
    folder = tmp_path_factory.mktemp("pages")
    schemas = [file for each in ASSET_PIPELINES for file in each.record_schemas]
    write_documentation(dbt_docs, [pipeline.domain for pipeline in PIPELINES], folder, schemas)
    return folder
