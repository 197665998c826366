"""Fixtures: a source with its warehouse for each test (`pair.py`), and the servers for `every_postgres`."""

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
def _require_heavy_selection(request: pytest.FixtureRequest) -> None:
    """Tests that take minutes run only with `-m heavy`."""
    if request.node.get_closest_marker("heavy") and "heavy" not in request.config.option.markexpr:
        pytest.skip("takes minutes: run with -m heavy")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests marked `every_postgres` run on the default server and, as slow tests, on each of Debian."""
    marked = metafunc.definition.get_closest_marker("every_postgres")
    if marked is None or "postgres" not in metafunc.fixturenames:
        return
    default = pytest.param(None, id="default")
    debian = [
        pytest.param(folder, id=f"debian{folder.parent.name}", marks=pytest.mark.slow)
        for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        if (folder / "postgres").is_file() and int(folder.parent.name) >= OLDEST_SUPPORTED
    ]
    none = pytest.param(
        None,
        id="debian",
        marks=[
            pytest.mark.slow,
            pytest.mark.skip("Debian's PostgreSQL is not installed: apt-get install postgresql"),
        ],
    )
    servers = [default] if metafunc.config.option.postgres else [default, *(debian or [none])]
    metafunc.parametrize("postgres", servers, indirect=True, scope="session")
