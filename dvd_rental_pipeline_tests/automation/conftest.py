"""The real graph, without anything behind it."""

import os
from collections.abc import Iterator
from unittest import mock

import dagster as dg
import pytest

from dvd_rental_pipeline.definitions import build_definitions
from dvd_rental_pipeline.settings import Settings
from dvd_rental_pipeline_tests.automation.history import History


@pytest.fixture(scope="session")
def graph_definitions(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    """The definitions of a local deployment, to look at."""
    with mock.patch.dict(os.environ):
        return build_definitions(Settings(home=tmp_path_factory.mktemp("home")))


@pytest.fixture
def history(graph_definitions: dg.Definitions) -> Iterator[History]:
    """The graph after a night in which all was built and all is well; each sensor has looked once."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield History(graph_definitions, instance)
