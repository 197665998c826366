"""After a crash at any step, or a lost stream position, the next sync makes raw tables equal their source."""

import os
import shutil
import signal
import threading
from pathlib import Path

import pytest

from dvd_rental_pipeline.ingestion.postgres_cdc.outcome import Step
from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres
from dvd_rental_pipeline_tests.ingestion.postgres_cdc.pair import Pair

TABLES = (
    "create table t (id int primary key, name text)",
    "create table u (id int primary key)",
    "insert into t values (1, 'one'), (2, 'two')",
)
CHANGES = ("insert into t values (3)", "update t set name = 'eins' where id = 1", "delete from t where id = 2")


@pytest.fixture
def synced(pair: Pair) -> Pair:
    pair.run(*TABLES)
    pair.sync()
    return pair


@pytest.mark.parametrize("step", [Step.SLOT_CREATED, Step.TABLE_COPIED, Step.BEFORE_COMMIT, Step.COMMITTED])
def test_an_interrupted_first_sync_leaves_no_partial_tables(pair: Pair, step: Step) -> None:
    pair.run(*TABLES)
    pair.interrupt_at(step)
    tables = pair.raw("select table_name from information_schema.tables where table_schema = 'dvd_rental'")
    assert (tables != []) == (step is Step.COMMITTED)
    pair.run(*CHANGES)
    sync = pair.sync_one()
    if step is Step.COMMITTED:
        assert sync.mode == "changes"
    else:
        assert "left over" in (sync.reason or "")
        assert any("dropping the replication slot" in message for message in pair.messages)


@pytest.mark.parametrize("step", [Step.BATCH_APPLIED, Step.BEFORE_COMMIT, Step.COMMITTED, Step.ADVANCED])
def test_changes_of_an_interrupted_sync_are_applied_exactly_once(synced: Pair, step: Step) -> None:
    synced.run(*CHANGES)
    synced.interrupt_at(step)
    sync = synced.sync_one()
    assert sync.mode == "changes"
    assert (sync.inserted > 0) == (step in {Step.BATCH_APPLIED, Step.BEFORE_COMMIT})
    synced.run("insert into t values (2, 'again')")
    assert synced.sync_one().tombstones == 0


@pytest.mark.parametrize("step", [Step.SLOT_CREATED, Step.TABLE_COPIED, Step.BEFORE_COMMIT, Step.COMMITTED])
def test_an_interrupted_refresh_is_repeated(synced: Pair, step: Step) -> None:
    synced.run("alter table t add extra int default 1", *CHANGES)
    synced.interrupt_at(step)
    assert synced.sync_one().mode == ("changes" if step is Step.COMMITTED else "snapshot")
    assert synced.value("select count(*) from pg_replication_slots where temporary") == 0


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("select pg_drop_replication_slot('{slot}')", "slot no longer exists"),
        ("select pg_replication_slot_advance('{slot}', pg_current_wal_lsn())", "ahead of the warehouse"),
        ("drop publication {slot}", "publication was changed"),
        ("alter publication {slot} set (publish = 'insert')", "publication was changed"),
    ],
)
def test_a_lost_stream_position_causes_a_copy_with_its_reason(
    synced: Pair, statement: str, reason: str
) -> None:
    synced.run(*CHANGES, statement.format(slot=synced.slot), "insert into t values (9)")
    sync = synced.sync_one()
    assert sync.mode == "snapshot"
    assert reason in (sync.reason or "")
    synced.run("update t set name = 'x'")
    assert synced.sync_one().mode == "changes"


@pytest.mark.parametrize("repair", [None, "alter publication {slot} add table t"])
def test_a_table_removed_from_the_publication_is_copied(synced: Pair, repair: str | None) -> None:
    synced.run(f"alter publication {synced.slot} drop table t", "insert into t values (3)")
    if repair:
        synced.run(repair.format(slot=synced.slot))
    tables = synced.sync().tables
    assert "out of the publication" in (tables["t"].reason or "")
    assert tables["u"].mode == "changes"


def test_a_row_filter_in_the_publication_is_removed(synced: Pair) -> None:
    synced.run(
        f"alter publication {synced.slot} set table t where (id > 5), u", "insert into t values (3), (9)"
    )
    assert synced.sync_one().mode == "snapshot"
    synced.run("insert into t values (4)")
    assert synced.sync_one().mode == "changes"


def test_a_warehouse_restored_from_a_backup_is_refreshed(synced: Pair, tmp_path: Path) -> None:
    shutil.copy(synced.warehouse, tmp_path / "yesterday")
    synced.run(*CHANGES)
    synced.sync()
    shutil.copy(tmp_path / "yesterday", synced.warehouse)
    assert "ahead of the warehouse" in (synced.sync_one().reason or "")


def test_a_deleted_warehouse_is_filled_again(synced: Pair) -> None:
    synced.warehouse.unlink()
    assert "left over" in (synced.sync_one().reason or "")


@pytest.mark.parametrize("moved_on", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_source_restored_from_a_backup_is_copied(
    own_server: EmbeddedPostgres, tmp_path: Path, moved_on: bool
) -> None:
    warehouse = tmp_path / "warehouse.duckdb"
    with own_server.lease() as url, Pair.connected(url, warehouse) as pair:
        slot = pair.slot
        pair.run(*TABLES)
        pair.sync()
        pair.run("insert into t values (10)")
        pair.sync()
    own_server.stop()
    shutil.copytree(tmp_path / "postgres", tmp_path / "yesterday", symlinks=True)
    with own_server.lease() as url, Pair.connected(url, warehouse, slot) as pair:
        pair.run(*CHANGES)
        assert pair.sync_one().mode == "changes"
        ((latest,),) = pair.raw("select max(_ab_cdc_lsn) from dvd_rental.t")
    own_server.stop()
    shutil.rmtree(tmp_path / "postgres")
    shutil.copytree(tmp_path / "yesterday", tmp_path / "postgres", symlinks=True)
    with own_server.lease() as url, Pair.connected(url, warehouse, slot) as pair:
        pair.run("insert into t values (11)")
        if moved_on:
            # The WAL is longer than before, so LSNs alone do not reveal the restore.
            pair.run("insert into u select generate_series(1, 5000)")
        assert "restored" in (pair.sync_one().reason or "")
        # Readers that filter by LSN see the copy as newer, although the source's LSNs are lower.
        ((earliest,),) = pair.raw("select min(_ab_cdc_lsn) from dvd_rental.t where _ab_cdc_deleted_at is null")
        assert earliest > latest


@pytest.mark.slow
def test_changes_repeated_after_a_source_crash_are_skipped(
    own_server: EmbeddedPostgres, tmp_path: Path
) -> None:
    confirmed = "select confirmed_flush_lsn - '0/0' from pg_replication_slots"
    with own_server.lease() as url, Pair.connected(url, tmp_path / "warehouse.duckdb") as pair:
        slot = pair.slot
        pair.run(*TABLES)
        pair.sync()
        for name in ("a", "b", "c"):
            pair.run(f"update t set name = '{name}'")
            pair.sync()
        before = pair.value(confirmed)
        pid = own_server.status().pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    own_server.stop()
    with own_server.lease() as url, Pair.connected(url, tmp_path / "warehouse.duckdb", slot) as pair:
        assert pair.value(confirmed) < before
        pair.run("update t set name = 'after the crash'")
        sync = pair.sync_one()
        assert (sync.mode, sync.updated) == ("changes", 2)


@pytest.mark.slow
def test_an_invalidated_slot_is_replaced(own_server: EmbeddedPostgres, tmp_path: Path) -> None:
    with own_server.lease() as url, Pair.connected(url, tmp_path / "warehouse.duckdb") as pair:
        pair.run(*TABLES)
        pair.sync()
        pair.run("alter system set max_slot_wal_keep_size = '1MB'", "select pg_reload_conf()", *CHANGES)
        for _ in range(3):
            pair.run(
                "select pg_logical_emit_message(false, '', repeat('x', 1000000))", "select pg_switch_wal()"
            )
        pair.run("checkpoint")
        assert "lost" in (pair.sync_one().reason or "")
        pair.run("delete from t")
        assert pair.sync_one().mode == "changes"


def test_another_database_of_the_same_server_is_copied(synced: Pair, postgres: EmbeddedPostgres) -> None:
    synced.run(f"select pg_drop_replication_slot('{synced.slot}')")
    name = f"{synced.slot}_other"
    synced.run(f"create database {name}")
    try:
        with Pair.connected(postgres.url(name), synced.warehouse) as other:
            other.slot = synced.slot
            other.run(*TABLES, "insert into t values (5)")
            assert "another database" in (other.sync_one().reason or "")
            other.run(f"select pg_drop_replication_slot('{synced.slot}')")
    finally:
        synced.run(f"drop database {name} with (force)")


def test_a_manually_changed_raw_table_is_copied(synced: Pair) -> None:
    synced.raw("delete from dvd_rental.t where id = 1")
    synced.run("update t set name = 'eins' where id = 1")
    assert "did not fit" in (synced.sync_one().reason or "")


def test_concurrent_syncs_run_one_after_the_other(synced: Pair) -> None:
    synced.run("insert into t select n, 'n' from generate_series(10, 2000) n")
    failures: list[BaseException] = []

    def sync() -> None:
        try:
            synced.replicator().sync()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=sync) for _ in range(4)]
    for thread in threads:
        thread.start()
    synced.run("delete from t where id between 100 and 200")
    for thread in threads:
        thread.join()
    assert failures == []
    assert synced.sync_one().mode == "changes"
