"""Two pipelines that replicate from one server into one warehouse do not disturb each other."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dvd_rental_pipeline.ingestion.postgres_cdc.connect.session import ReplicationError
from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres
from dvd_rental_pipeline_tests.ingestion.postgres_cdc.pair import Pair

TABLES = {"rentals": "film", "sales": "product"}
"""The only table of each pipeline, by target schema."""


class TwoPipelines:
    """Two pipelines with a warehouse in common, each with its own target schema, slot and publication."""

    def __init__(self, rentals: Pair, sales: Pair) -> None:
        self.pairs = {"rentals": rentals, "sales": sales}
        for target, pair in self.pairs.items():
            table = TABLES[target]
            pair.run(f"create table {table} (id int primary key, name text)")
            pair.run(f"insert into {table} values (1, 'first of {target}')")

    def change(self, number: int) -> None:
        """Change the tables of both pipelines."""
        for target, pair in self.pairs.items():
            pair.run(
                f"insert into {TABLES[target]} values ({number}, 'row {number}')",
                f"update {TABLES[target]} set name = name || '!' where id = 1",
            )

    def sync(self, target: str) -> tuple[str, int]:
        """Sync one pipeline, compare it with its source, and return the mode and the inserted rows."""
        pair, table = self.pairs[target], TABLES[target]
        sync = pair.sync(tables={table: ("id",)}).tables[table]
        return sync.mode, sync.inserted

    def slots(self) -> set[str]:
        found = self.pairs["rentals"].source.execute("select slot_name from pg_replication_slots")
        return {name for (name,) in found}


@contextmanager
def second_database(server: EmbeddedPostgres, pair: Pair) -> Iterator[str]:
    name = f"{pair.slot}_second"
    pair.run(f"create database {name}")
    try:
        yield server.url(name)
    finally:
        pair.run(f"drop database {name} with (force)")


@pytest.fixture(params=["one database", "two databases"])
def pipelines(
    request: pytest.FixtureRequest, postgres: EmbeddedPostgres, database_url: str, tmp_path: Path
) -> Iterator[TwoPipelines]:
    warehouse = tmp_path / "warehouse.duckdb"
    with Pair.connected(database_url, warehouse, target_schema="rentals") as rentals:
        if request.param == "one database":
            with Pair.connected(database_url, warehouse, target_schema="sales") as sales:
                yield TwoPipelines(rentals, sales)
            return
        with (
            second_database(postgres, rentals) as url,
            Pair.connected(url, warehouse, target_schema="sales") as sales,
        ):
            yield TwoPipelines(rentals, sales)
            sales.run(
                "select pg_drop_replication_slot(slot_name) from pg_replication_slots"
                " where database = current_database()"
            )


def test_interleaved_syncs_stream_the_changes_of_each_pipeline(pipelines: TwoPipelines) -> None:
    slots = {pair.slot for pair in pipelines.pairs.values()}
    assert pipelines.sync("rentals") == ("snapshot", 1)
    pipelines.change(2)
    assert pipelines.sync("sales") == ("snapshot", 2)
    pipelines.change(3)
    assert pipelines.sync("rentals") == ("changes", 2)
    assert pipelines.sync("sales") == ("changes", 1)
    pipelines.change(4)
    assert pipelines.sync("sales") == ("changes", 1)
    pipelines.change(5)
    assert pipelines.sync("sales") == ("changes", 1)
    assert pipelines.sync("rentals") == ("changes", 2)
    assert pipelines.slots() >= slots
    for target, pair in pipelines.pairs.items():
        assert pair.verify()[TABLES[target]].agrees


def test_a_full_refresh_of_one_pipeline_leaves_the_other_alone(pipelines: TwoPipelines) -> None:
    for target in TABLES:
        pipelines.sync(target)
    pipelines.change(2)
    rentals = pipelines.pairs["rentals"]
    refreshed = rentals.sync(full_refresh=True, tables={"film": ("id",)})
    assert refreshed.tables["film"].mode == "snapshot"
    assert pipelines.sync("sales") == ("changes", 1)
    assert pipelines.sync("rentals") == ("changes", 0)


@pytest.mark.parametrize("full_refresh", [False, True])
def test_the_slot_of_another_pipeline_is_refused(pipelines: TwoPipelines, full_refresh: bool) -> None:
    pipelines.sync("rentals")
    rentals, sales = pipelines.pairs["rentals"], pipelines.pairs["sales"]
    with pytest.raises(ReplicationError, match=r"another pipeline.* in the schema rentals .*slot name"):
        sales.replicator(slot=rentals.slot, tables={"product": ("id",)}).sync(full_refresh=full_refresh)
    pipelines.change(2)
    assert pipelines.sync("rentals") == ("changes", 1)
    assert pipelines.sync("sales") == ("snapshot", 2)


@pytest.mark.parametrize("pipelines", ["two databases"], indirect=True)
def test_the_slot_of_another_database_is_refused_by_another_warehouse(
    pipelines: TwoPipelines, tmp_path: Path
) -> None:
    pipelines.sync("rentals")
    rentals, sales = pipelines.pairs["rentals"], pipelines.pairs["sales"]
    with pytest.raises(ReplicationError, match="does not belong to this pipeline"):
        sales.replicator(
            slot=rentals.slot, tables={"product": ("id",)}, warehouse=tmp_path / "other.duckdb"
        ).sync()
    pipelines.change(2)
    assert pipelines.sync("rentals") == ("changes", 1)
