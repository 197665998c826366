"""dbt lets another writer open the DuckDB file between two nodes."""

import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest
import yaml
from dbt.adapters.duckdb.credentials import DuckDBCredentials, PluginConfig
from dbt.adapters.duckdb.environments.local import LocalEnvironment

from dvd_rental_pipeline.core.settings import DBT_PROJECT_DIR
from dvd_rental_pipeline.warehouse.duckdb_file import BUGGY_OPTIMIZERS, is_awaited
from dvd_rental_pipeline.warehouse.duckdb_warehouse import DuckDBWarehouse

WRITE = """
import sys
from pathlib import Path
from dvd_rental_pipeline.warehouse.duckdb_warehouse import DuckDBWarehouse
with DuckDBWarehouse(Path(sys.argv[1])).transaction() as session:
    session.execute("insert into events values ('writer')")
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "warehouse.duckdb"
    with duckdb.connect(path) as connection:
        connection.execute("create table events (name varchar)")
    return path


@pytest.fixture
def environment(path: Path) -> LocalEnvironment:
    """dbt-duckdb's environment with the settings of our profile."""
    profile = yaml.safe_load((DBT_PROJECT_DIR / "profiles.yml").read_text(encoding="utf-8"))
    local = profile["dvd_rental"]["outputs"]["local"]
    assert local["threads"] == 1
    return LocalEnvironment(
        DuckDBCredentials(
            path=str(path),
            keep_open=local["keep_open"],
            settings=local["settings"],
            plugins=[PluginConfig(module=plugin["module"]) for plugin in local["plugins"]],
        )
    )


def test_a_waiting_writer_commits_between_two_nodes(path: Path, environment: LocalEnvironment) -> None:
    first = environment.handle()
    first.cursor().execute("insert into events values ('first node')")
    writer = subprocess.Popen([sys.executable, "-c", WRITE, path])
    deadline = time.monotonic() + 60
    while not is_awaited(path) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert is_awaited(path)
    assert writer.poll() is None, "a node is not interrupted"
    first.close()
    second = environment.handle()
    second.cursor().execute("insert into events values ('second node')")
    events = second.cursor().execute("select name from events").fetchall()
    second.close()
    assert writer.wait(timeout=60) == 0
    assert [name for (name,) in events] == ["first node", "writer", "second node"]


def test_every_node_has_the_settings_of_the_profile(path: Path, environment: LocalEnvironment) -> None:
    settings = "select current_setting('disabled_optimizers'), current_setting('memory_limit')"
    with DuckDBWarehouse(path).transaction() as session:
        ((optimizers, memory),) = session.execute(settings).values
    assert optimizers == BUGGY_OPTIMIZERS
    for _ in range(2):
        node = environment.handle()
        node.cursor().execute("set disabled_optimizers = ''")
        assert node.cursor().execute("select current_setting('TimeZone')").fetchone() == ("UTC",)
        node.close()
        node = environment.handle()
        assert node.cursor().execute(settings).fetchone() == (optimizers, memory), (
            "what a node sets ends with it"
        )
        node.close()
    assert duckdb.connect().execute(settings).fetchone() != (optimizers, memory)
