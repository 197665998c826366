"""The real graph, with steps that do nothing."""

import os
from collections.abc import Iterator
from unittest import mock

import dagster as dg
import pytest

from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.definitions import build_definitions
from dvd_rental_pipeline_tests.automation.graph_subset import graph_subset_of
from dvd_rental_pipeline_tests.automation.history import History
from dvd_rental_pipeline_tests.parsed_project import ParsedProject

KEYS = [
    dg.AssetKey(path)
    for path in (
        ["dvd_rental", "film"],
        ["dvd_rental", "payment"],
        ["dvd_rental", "rental"],
        ["staging", "stg_dvd_rental__film"],
        ["staging", "stg_dvd_rental__payment"],
        ["staging", "stg_dvd_rental__rental"],
        ["staging", "film_state_history"],
        ["staging", "film_current_state"],
        ["snapshots", "film_versions"],
        ["marts", "dim_film_history"],
        ["marts", "dim_film"],
        ["marts", "data_as_of"],
        ["marts", "fct_payment"],
        ["marts", "fct_rental"],
        ["reports", "top_films"],
        ["reports", "revenue_by_day"],
        ["site", "docs"],
    )
]


@pytest.fixture(scope="session")
def graph_definitions(
    parsed_project: ParsedProject, tmp_path_factory: pytest.TempPathFactory
) -> dg.Definitions:
    """The definitions of a local deployment."""
    with mock.patch.dict(os.environ):
        return build_definitions(Settings(home=parsed_project.prepare(tmp_path_factory.mktemp("home"))))


@pytest.fixture(scope="session")
def excerpt(graph_definitions: dg.Definitions) -> dg.Definitions:
    """The subset of the graph from payments and rentals to a report, built by steps that do nothing."""
    return graph_subset_of(graph_definitions, KEYS)


@pytest.fixture
def history(excerpt: dg.Definitions) -> Iterator[History]:
    """An empty instance."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield History(excerpt, instance)
