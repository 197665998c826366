"""Servers with a short grace, which end with their test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres
from dvd_rental_pipeline_tests.created_server import copy_created_server
from dvd_rental_pipeline_tests.sample.postgres.servers import server_in


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "home" / "postgres"
    yield folder
    server_in(folder).stop()


@pytest.fixture
def new_server(data_dir: Path) -> EmbeddedPostgres:
    """A server whose folder does not exist yet."""
    return server_in(data_dir)


@pytest.fixture
def server(data_dir: Path, shared_folder: Path) -> EmbeddedPostgres:
    """A server that was started before."""
    return server_in(copy_created_server(shared_folder, data_dir))
