"""Fixtures of the tests of the dbt project: the manifest."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from dvd_rental_pipeline_tests.parsed_project import ParsedProject


@pytest.fixture(scope="session")
def manifest(parsed_project: ParsedProject) -> Mapping[str, Any]:
    """The manifest of the project, parsed without a warehouse."""
    path = parsed_project.target_path("local") / "manifest.json"
    parsed: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return parsed
