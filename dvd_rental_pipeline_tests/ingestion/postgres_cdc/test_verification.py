"""The comparison of raw tables with their source finds every difference, and nothing else."""

import time

import duckdb
import pytest

from dvd_rental_pipeline_tests.ingestion.postgres_cdc.pair import Pair

TABLE = "create table t (id int primary key, name text, big text, amount numeric(9, 2), tags text[])"
ROWS = (
    "insert into t select n, 'name ' || n, repeat(chr(65 + n % 26), 9000), n / 7.0, array['a', null, n::text]"
    " from generate_series(1, 30) n"
)


@pytest.fixture
def synced(pair: Pair) -> Pair:
    pair.run(TABLE, ROWS)
    pair.sync()
    return pair


def corrupt(pair: Pair, statement: str) -> None:
    with duckdb.connect(pair.warehouse) as warehouse:
        warehouse.execute(statement)


def test_a_replica_agrees_and_is_not_changed(synced: Pair) -> None:
    before = synced.raw("from dvd_rental.t order by id")
    found = synced.verify()["t"]
    assert (found.agrees, found.source_rows, found.raw_rows, found.compared_rows) == (True, 30, 30, 30)
    assert synced.raw("from dvd_rental.t order by id") == before


def test_pending_changes_are_not_differences(synced: Pair) -> None:
    synced.run(
        "update t set name = 'changed' where id = 1",
        "update t set id = 100 where id = 2",
        "delete from t where id = 3",
        "insert into t (id, name) values (200, 'new')",
    )
    found = synced.verify()["t"]
    assert (found.agrees, found.pending, found.source_rows) == (True, 5, 30)
    synced.run("truncate t", "insert into t (id) values (7)")
    assert synced.verify()["t"].agrees
    synced.sync()
    assert synced.verify()["t"].pending == 0


def test_a_column_added_since_the_last_sync_is_not_a_difference(synced: Pair) -> None:
    synced.run("alter table t add column more int", "update t set more = id where id < 5")
    assert synced.verify()["t"].agrees


@pytest.mark.parametrize(
    ("statement", "counts", "key"),
    [
        ("delete from dvd_rental.t where id = 7", (1, 0, 0), "id=7"),
        ("update dvd_rental.t set _ab_cdc_deleted_at = 'x' where id = 8", (1, 0, 0), "id=8"),
        ("update dvd_rental.t set name = null where id = 9", (0, 0, 1), "id=9"),
        ("update dvd_rental.t set amount = amount + 0.01 where id = 9", (0, 0, 1), "id=9"),
        ("update dvd_rental.t set tags = ['a'] where id = 10", (0, 0, 1), "id=10"),
        ("insert into dvd_rental.t (id, name) values (99, 'unknown')", (0, 1, 0), "id=99"),
    ],
)
def test_every_difference_is_found_with_its_key(
    synced: Pair, statement: str, counts: tuple[int, int, int], key: str
) -> None:
    corrupt(synced, statement)
    found = synced.verify()["t"]
    assert not found.agrees
    assert (found.missing, found.surplus, found.differing) == counts
    assert found.keys == (key,)


def test_a_difference_is_found_among_pending_changes(synced: Pair) -> None:
    corrupt(synced, "update dvd_rental.t set name = 'corrupted' where id in (4, 5)")
    synced.run("update t set name = 'repaired' where id = 4")
    found = synced.verify()["t"]
    assert (found.differing, found.keys) == (1, ("id=5",))


def test_a_large_table_is_compared_by_a_sample_and_its_row_count(pair: Pair) -> None:
    pair.run(
        "create table t (id int primary key, name text)",
        "insert into t select n from generate_series(1, 30000) n",
    )
    pair.run("create table small (id int primary key)", "insert into small values (1)")
    pair.sync()
    found = pair.verify(sample_rows=5000)
    assert found["t"].agrees
    assert found["small"].compared_rows == 1
    assert 1000 < found["t"].compared_rows < 12000
    corrupt(pair, "delete from dvd_rental.t where id % 100 = 1")
    assert pair.verify(sample_rows=5000)["t"].missing == 300
    corrupt(pair, "update dvd_rental.t set name = 'x' where id % 2 = 0")
    assert pair.verify(sample_rows=5000)["t"].differing > 300


def test_a_table_that_cannot_be_compared_has_an_error(synced: Pair) -> None:
    synced.run("create table keyless (id int)", "create table later (id int primary key)")
    found = synced.verify()
    assert "no primary key" in str(found["keyless"].error)
    assert found["later"].error == "it was never replicated"
    assert found["t"].agrees
    synced.run("alter table t alter name type varchar(5) using 'x'")
    assert "copies it in full" in str(synced.verify()["t"].error)
    synced.run(f"select pg_drop_replication_slot('{synced.slot}')")
    assert "the replication slot no longer exists" in str(synced.verify()["t"].error)


def test_the_comparison_leaves_nothing_in_the_source(synced: Pair) -> None:
    synced.verify()
    slots = "select count(*) from pg_replication_slots where database = current_database()"
    deadline = time.monotonic() + 10
    # The server drops a temporary slot when its session ends, shortly afterwards.
    while synced.value(slots) > 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert synced.value(slots) == 1
    assert synced.sync_one().mode == "changes"
