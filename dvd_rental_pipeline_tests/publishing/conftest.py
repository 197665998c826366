"""Fixtures for tests of publishing: the project compiled once, and the pages built from it."""

import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.pipelines.registry import ASSET_PIPELINES, PIPELINES
from dvd_rental_pipeline.publishing.documentation.entity_model import EntityModel, read_entity_model
from dvd_rental_pipeline.publishing.documentation.lineage import Lineage, trace
from dvd_rental_pipeline.publishing.documentation.pages import write_documentation
from dvd_rental_pipeline.transform.dbt_resource import build_dbt_resource
from dvd_rental_pipeline.transform.manifest import Manifest, read_manifest
from dvd_rental_pipeline.transform.project import load_dbt_project


@pytest.fixture(scope="session")
def dbt_docs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The output folder of `dbt docs generate` for an empty warehouse."""
    home = tmp_path_factory.mktemp("home")
    with mock.patch.dict(os.environ):
        dbt = build_dbt_resource(load_dbt_project(Settings(home=home)))
        dbt.cli(["docs", "generate", "--static", "--empty-catalog"], target_path=home / "docs").wait()
        yield home / "docs"


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
