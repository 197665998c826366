"""Fixtures of the tests of the dbt project: a home for dbt, and the manifest."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.transform.project import load_dbt_project


@pytest.fixture(scope="session")
def dbt_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all tests, so that dbt parses the project once."""
    return tmp_path_factory.mktemp("dbt")


@pytest.fixture
def home(dbt_folder: Path) -> Path:
    """A home without a warehouse, at the same path in every test: dbt parses again when the path changes."""
    for path in dbt_folder.iterdir():
        if path.is_file():
            path.unlink()
        elif path.name != "target":
            shutil.rmtree(path)
    return dbt_folder


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """The manifest of the project, parsed without a warehouse."""
    with mock.patch.dict(os.environ):
        project = load_dbt_project(Settings(home=tmp_path_factory.mktemp("manifest")))
    parsed: Mapping[str, Any] = json.loads(project.manifest_path.read_text(encoding="utf-8"))
    return parsed
