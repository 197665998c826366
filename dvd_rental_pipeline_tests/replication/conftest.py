"""A source and its warehouse for each test, and the oracle that compares them (`pair.py`)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dvd_rental_pipeline_tests.replication.pair import Pair


@pytest.fixture
def pair(database_url: str, tmp_path: Path) -> Iterator[Pair]:
    """An empty source database and a warehouse that does not exist yet."""
    with Pair.connected(database_url, tmp_path / "warehouse.duckdb") as connected:
        yield connected


@pytest.fixture(autouse=True)
def _only_when_asked(request: pytest.FixtureRequest) -> None:
    """Tests that take minutes run only with `-m heavy`."""
    if request.node.get_closest_marker("heavy") and "heavy" not in request.config.option.markexpr:
        pytest.skip("takes minutes: run with -m heavy")
