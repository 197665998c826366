"""A source and its warehouse for each test, and the oracle that compares them (`pair.py`)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dvd_rental_pipeline.sample.postgres.binaries import OLDEST_SUPPORTED
from dvd_rental_pipeline_tests.ingestion.postgres_cdc.pair import Pair


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


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests marked `every_postgres` run on the usual server, and on each that Debian has installed."""
    marked = metafunc.definition.get_closest_marker("every_postgres")
    if marked is None or "postgres" not in metafunc.fixturenames:
        return
    usual = pytest.param(None, id="usual")
    debian = [
        pytest.param(folder, id=f"debian{folder.parent.name}")
        for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        if (folder / "postgres").is_file() and int(folder.parent.name) >= OLDEST_SUPPORTED
    ]
    none = pytest.param(
        None, id="debian", marks=pytest.mark.skip("no PostgreSQL of Debian's: apt-get install postgresql")
    )
    servers = [usual] if metafunc.config.option.postgres else [usual, *(debian or [none])]
    metafunc.parametrize("postgres", servers, indirect=True, scope="session")
