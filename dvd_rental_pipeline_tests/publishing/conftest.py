"""What tests of reporting share: the project compiled once, and the pages made from it."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.publishing.documentation.lineage import Lineage, trace
from dvd_rental_pipeline.publishing.documentation.pages import write_documentation
from dvd_rental_pipeline.transform.manifest import Model, read_model
from dvd_rental_pipeline.transform.project import build_dbt_resource, load_dbt_project


@pytest.fixture(scope="session")
def dbt_docs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What dbt writes of the project over an empty warehouse."""
    home = tmp_path_factory.mktemp("home")
    with mock.patch.dict(os.environ):
        dbt = build_dbt_resource(load_dbt_project(Settings(home=home)))
        dbt.cli(["docs", "generate", "--static", "--empty-catalog"], target_path=home / "docs").wait()
        yield home / "docs"


@pytest.fixture(scope="session")
def manifest(dbt_docs: Path) -> Mapping[str, Any]:
    compiled: Mapping[str, Any] = json.loads((dbt_docs / "manifest.json").read_text(encoding="utf-8"))
    return compiled


@pytest.fixture(scope="session")
def model(manifest: Mapping[str, Any]) -> Model:
    return read_model(manifest, [DVD_RENTAL])


@pytest.fixture(scope="session")
def lineage(manifest: Mapping[str, Any], model: Model) -> Lineage:
    return trace(manifest, model)


@pytest.fixture(scope="session")
def pages(dbt_docs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    write_documentation(dbt_docs, [DVD_RENTAL], folder)
    return folder
