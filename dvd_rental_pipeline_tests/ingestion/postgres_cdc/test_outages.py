"""A failure during a sync (network, source, disk) is reported, and the next sync recovers from it."""

import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from dvd_rental_pipeline.ingestion.postgres_cdc.connect.session import ReplicationError
from dvd_rental_pipeline.ingestion.postgres_cdc.outcome import Step
from dvd_rental_pipeline.ingestion.postgres_cdc.stream import change_stream
from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres
from dvd_rental_pipeline_tests.ingestion.postgres_cdc.broken_network import breaking_after
from dvd_rental_pipeline_tests.ingestion.postgres_cdc.killed_sync import SyncTask, failure_of
from dvd_rental_pipeline_tests.ingestion.postgres_cdc.pair import Pair

SCHEMA = (
    "create table t (id int primary key, name text)",
    "create table u (id int primary key)",
    "insert into t select n, repeat(md5(n::text), 8) from generate_series(1, 20000) n",
    "insert into u values (1)",
)
CHANGES = (
    "update t set name = repeat(md5(id::text), 9) where id % 4 = 0",
    "delete from t where id % 7 = 0",
    "insert into u select generate_series(2, 500)",
)


def require_recovery(pair: Pair, mode: str) -> None:
    assert pair.sync_one().mode == mode
    assert all(found.agrees for found in pair.verify().values())


def sync_failure(pair: Pair, url: str) -> str:
    with pytest.raises(ReplicationError) as error:
        pair.replicator(source_url=url).sync()
    return str(error.value)


@pytest.mark.parametrize(
    "response_bytes",
    [100_000, *(pytest.param(each, marks=pytest.mark.slow) for each in (1_500_000, 4_000_000))],
)
def test_a_connection_lost_during_a_copy(pair: Pair, response_bytes: int) -> None:
    pair.run(*SCHEMA)
    with breaking_after(pair.url, response_bytes) as (url, proxy):
        message = sync_failure(pair, url)
        assert proxy.is_broken
    assert "source PostgreSQL at" in message or "warehouse is as it was" in message
    assert "sync" in message
    require_recovery(pair, "snapshot")


@pytest.mark.parametrize(
    "response_bytes", [20_000, *(pytest.param(each, marks=pytest.mark.slow) for each in (200_000, 1_000_000))]
)
def test_a_connection_lost_while_streaming_changes(pair: Pair, response_bytes: int) -> None:
    pair.run(*SCHEMA)
    pair.sync()
    before = pair.raw("from dvd_rental.t order by id")
    pair.run(*CHANGES)
    with breaking_after(pair.url, response_bytes) as (url, proxy):
        assert "Cannot reach the source" in sync_failure(pair, url)
        assert proxy.is_broken
    assert pair.raw("from dvd_rental.t order by id") == before
    require_recovery(pair, "changes")


@pytest.mark.slow
@pytest.mark.parametrize("step", [Step.SLOT_CREATED, Step.BATCH_APPLIED, Step.COMMITTED])
def test_a_source_that_crashes_during_a_sync(own_server: EmbeddedPostgres, tmp_path: Path, step: Step) -> None:
    warehouse = tmp_path / "warehouse.duckdb"

    def kill(at: Step) -> None:
        pid = own_server.status().pid
        if at is step and pid is not None:
            os.kill(pid, signal.SIGKILL)
            # Its sessions end shortly afterwards.
            time.sleep(0.5)

    with own_server.lease() as url, Pair.connected(url, warehouse) as pair:
        pair.run(*SCHEMA)
        if step is not Step.SLOT_CREATED:
            pair.sync()
            pair.run(*CHANGES)
        slot = pair.slot
        with pytest.raises(ReplicationError, match="source PostgreSQL at"):
            pair.replicator(on_step=kill).sync()
    own_server.stop()
    with own_server.lease() as url, Pair.connected(url, warehouse, slot) as pair:
        pair.run("insert into u values (1000)")
        require_recovery(pair, "snapshot" if step is Step.SLOT_CREATED else "changes")


@pytest.mark.parametrize("way", ["copy", pytest.param("changes", marks=pytest.mark.slow)])
def test_a_full_disk_of_the_warehouse(pair: Pair, way: str) -> None:
    pair.run(*SCHEMA)
    if way == "changes":
        pair.sync()
        pair.run("insert into t select n, repeat(md5(n::text), 90) from generate_series(20001, 24000) n")
    size = pair.warehouse.stat().st_size if pair.warehouse.exists() else 0
    # Simulates a full disk: no file may grow beyond this size.
    task = SyncTask(pair.url, pair.warehouse, pair.keys(), pair.slot, {}, batch_changes=10_000)
    message = failure_of(replace(task, limits={resource.RLIMIT_FSIZE: size + 1_000_000}))
    assert message is not None
    assert message.startswith("ReplicationError")
    assert "the warehouse" in message
    require_recovery(pair, "snapshot" if way == "copy" else "changes")


def command(name: str, *arguments: str) -> None:
    subprocess.run([shutil.which(name) or name, *arguments], check=True)


@contextmanager
def dropped_packets(url: str) -> Iterator[None]:
    """Drop all packets to and from the server of `url`, without a reset."""
    port = str(conninfo_to_dict(url)["port"])
    rules = [
        ["INPUT", "-i", "lo", "-p", "tcp", port_option, port, "-j", "DROP"]
        for port_option in ("--sport", "--dport")
    ]
    with ExitStack() as undo:
        for rule in rules:
            command("iptables", "-w", "-I", *rule)
            undo.callback(command, "iptables", "-w", "-D", *rule)
        yield


@pytest.mark.heavy
@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("iptables") is None, reason="needs root and iptables to drop packets"
)
@pytest.mark.parametrize("step", [Step.SLOT_CREATED, Step.BATCH_APPLIED])
def test_a_network_that_drops_all_packets(
    own_server: EmbeddedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: Step
) -> None:
    monkeypatch.setattr(change_stream, "MAX_BATCH_CHANGES", 5_000)
    with (
        own_server.lease() as url,
        Pair.connected(url, tmp_path / "warehouse.duckdb") as pair,
        ExitStack() as network,
    ):
        pair.run(*SCHEMA)
        if step is Step.BATCH_APPLIED:
            pair.sync()
            pair.run(*CHANGES, "update t set name = 'x'", "update t set name = 'y'")

        def drop_packets(at: Step) -> None:
            if at is step:
                network.enter_context(dropped_packets(url))

        started = time.monotonic()
        with pytest.raises(ReplicationError, match="source PostgreSQL at"):
            pair.replicator(on_step=drop_packets).sync()
        assert time.monotonic() - started < 120
        network.close()
        # The server has detected the lost client, and released its slot and locks.
        require_recovery(pair, "snapshot" if step is Step.SLOT_CREATED else "changes")
        assert time.monotonic() - started < 150


@pytest.mark.heavy
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small disk")
def test_a_full_disk_of_the_source(own_server: EmbeddedPostgres, tmp_path: Path) -> None:
    warehouse = tmp_path / "warehouse.duckdb"
    with own_server.lease():
        pass
    own_server.stop()
    # The server spills decoded changes of a large transaction to this folder.
    (small,) = own_server.data_dir.rglob("pg_replslot")
    owner = small.stat()
    small_disk = f"size=4m,uid={owner.st_uid},gid={owner.st_gid},mode=700"
    command("mount", "-t", "tmpfs", "-o", small_disk, "none", str(small))
    try:
        with own_server.lease() as url, Pair.connected(url, warehouse) as pair:
            pair.run(*SCHEMA)
            pair.sync()
            before = pair.raw("from dvd_rental.t order by id")
            pair.run("update t set name = repeat(name, 20)", "insert into u values (7)")
            pair.run("alter system set logical_decoding_work_mem = '64kB'", "select pg_reload_conf()")
            message = sync_failure(pair, url)
            assert "The source's disk is full" in message
            assert pair.raw("from dvd_rental.t order by id") == before
            command("mount", "-o", "remount,size=500m", str(small))
            require_recovery(pair, "changes")
    finally:
        own_server.stop()
        command("umount", str(small))


@pytest.mark.heavy
def test_a_thousand_tables(pair: Pair) -> None:
    for number in range(1000):
        pair.run(f"create table t{number} (id int primary key, name text)")
        pair.run(f"insert into t{number} values (1, 'one'), (2, 'two')")
    first = pair.replicator().sync()
    assert {(table.mode, table.rows, table.error) for table in first.tables.values()} == {("snapshot", 2, None)}
    pair.run(
        "update t7 set name = 'seven'", "delete from t999", "drop table t500", "create table t500 (id int)"
    )
    second = pair.replicator(tables={f"t{number}": ("id",) for number in range(1000)}).sync()
    assert "no primary key" in (second.tables["t500"].error or "")
    assert {name for name, table in second.tables.items() if table.updated or table.deleted} == {"t7", "t999"}
    pair.require_equal("t7")
    pair.require_equal("t999")
    print(f"\n1,000 tables: first sync {first.seconds:.1f} s, changes of three {second.seconds:.1f} s")
