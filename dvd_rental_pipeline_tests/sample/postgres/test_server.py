"""Start, sharing and shutdown of the embedded server, with the real PostgreSQL."""

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import adbc_driver_postgresql.dbapi
import psutil
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from dvd_rental_pipeline.sample.errors import SourceError
from dvd_rental_pipeline.sample.postgres.binaries import PostgresBinaries
from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres
from dvd_rental_pipeline_tests.sample.postgres.servers import (
    GRACE,
    create_film_table,
    has_ended,
    lease_in_another_process,
    query,
    running_pid,
    server_in,
    start_lease_process,
    wait_until,
    watchdog_pid,
)

# Start and shutdown


def test_lease_starts_server_with_empty_database_and_logical_wal(new_server: EmbeddedPostgres) -> None:
    with new_server.lease() as url:
        assert query(url, "select current_database()") == "dvdrental"
        assert query(url, "select count(*) from pg_tables where schemaname = 'public'") == 0
        assert query(url, "select pg_get_userbyid(datdba) from pg_database where datname = 'dvdrental'") == (
            "dvd_rental"
        )
        for setting, value in {
            "wal_level": "logical",
            "listen_addresses": "127.0.0.1",
            "server_encoding": "UTF8",
            "TimeZone": "UTC",
            "fsync": "on",
            "synchronous_commit": "on",
        }.items():
            assert query(url, f"select current_setting('{setting}')") == value
        for setting in ("max_replication_slots", "max_wal_senders"):
            assert int(str(query(url, f"select current_setting('{setting}')"))) >= 20
        assert query(url, "select lower('ÄÉ') = 'äé'") is True
        status = new_server.status()
        assert status.running
        assert not status.persistent
        assert (status.url, status.port) == (url, int(conninfo_to_dict(url)["port"] or 0))


def test_url_works_with_every_client_and_contains_no_secret(server: EmbeddedPostgres) -> None:
    with server.lease() as url:
        password = Path(str(conninfo_to_dict(url)["passfile"])).read_text().strip().rsplit(":", 1)[1]
        assert password not in url
        assert query(url, "select 1") == 1
        with (
            adbc_driver_postgresql.dbapi.connect(url) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("select current_user")
            assert cursor.fetchone() == ("dvd_rental",)
        psql = [str(server.binaries.psql), "-XAt", url, "-c", "select current_user"]
        assert subprocess.run(psql, capture_output=True, text=True, check=True).stdout == "dvd_rental\n"


def test_server_stops_after_the_last_lease(server: EmbeddedPostgres) -> None:
    with server.lease():
        pid = running_pid(server)
        with server.lease():
            pass
        time.sleep(2 * GRACE)
        assert not has_ended(pid)
    wait_until(lambda: has_ended(pid))
    assert not server.status().running


def test_consecutive_short_leases_keep_server_running(server: EmbeddedPostgres) -> None:
    with server.lease():
        pid = running_pid(server)
    for _ in range(8):
        time.sleep(GRACE / 4)
        with server.lease():
            assert running_pid(server) == pid


def test_started_server_runs_without_leases_until_stop(server: EmbeddedPostgres) -> None:
    assert server.stop() is False
    status = server.start()
    assert status.running
    assert status.persistent
    time.sleep(2 * GRACE)
    assert server.start() == status
    assert server.stop() is True
    assert has_ended(status.pid or 0)
    assert not server.status().running
    assert server.stop() is False


def test_data_and_url_survive_a_stop(server: EmbeddedPostgres) -> None:
    with server.lease() as url:
        create_film_table(url)
    server.stop()
    with server.lease() as later_url:
        assert later_url == url
        assert query(later_url, "select count(*) from film") == 0


def test_dropped_default_database_is_created_at_next_start(server: EmbeddedPostgres) -> None:
    with server.lease(), psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute("drop database dvdrental")
    server.stop()
    with server.lease() as url:
        assert query(url, "select current_database()") == "dvdrental"


@pytest.mark.slow
def test_older_postgresql_programs_run(data_dir: Path) -> None:
    newest = PostgresBinaries.find()
    older = [
        found
        for folder in newest.folder.parents[1].glob("pginstall*/bin")
        if (found := PostgresBinaries.find(folder)).major < newest.major
    ]
    if not older:
        pytest.skip("the wheel contains one version only")
    server = EmbeddedPostgres(data_dir, binaries=older[0], grace_seconds=GRACE)
    with server.lease() as url:
        assert str(query(url, "show server_version")) == older[0].version == server.status().version
        assert query(url, "show wal_level") == "logical"


def test_url_of_a_stopped_server_is_an_error(new_server: EmbeddedPostgres) -> None:
    assert not new_server.status().running
    with pytest.raises(SourceError, match="is not running"):
        new_server.url()
    assert not new_server.data_dir.exists()


# Concurrency


def test_concurrent_processes_share_one_server(data_dir: Path) -> None:
    holders = [start_lease_process(data_dir) for _ in range(6)]
    try:
        urls = {holder.stdout.readline() for holder in holders if holder.stdout}
        assert len(urls) == 1
        owned = os.path.realpath(data_dir / "cluster")
        postmasters = [
            process
            for process in psutil.process_iter(["cmdline"])
            if owned in (process.info["cmdline"] or ()) and "-D" in process.info["cmdline"]
        ]
        assert [process.pid for process in postmasters] == [running_pid(server_in(data_dir))]
    finally:
        for holder in holders:
            holder.communicate()
    assert [holder.returncode for holder in holders] == [0] * 6


def test_threads_share_one_server(server: EmbeddedPostgres) -> None:
    def lease(_: int) -> int:
        with server.lease() as url:
            return int(str(query(url, "select pg_backend_pid() - pg_backend_pid()"))) + running_pid(server)

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(lease, range(8)))) == 1


@pytest.mark.slow
def test_lease_during_a_concurrent_stop_gets_a_server(server: EmbeddedPostgres) -> None:
    for _ in range(5):
        with ThreadPoolExecutor(2) as pool:
            server.start()
            stopped = pool.submit(server.stop)
            time.sleep(0.03)
            with lease_in_another_process(server.data_dir) as (_, url):
                assert url.startswith("postgresql://")
            assert stopped.result() is True


def test_two_homes_have_independent_servers(tmp_path: Path, server: EmbeddedPostgres) -> None:
    other = server_in(tmp_path / "other")
    with server.lease() as url, other.lease() as other_url:
        assert query(url, "select system_identifier::text from pg_control_system()") != query(
            other_url, "select system_identifier::text from pg_control_system()"
        )
    assert other.stop() is True
    with server.lease() as url:
        assert query(url, "select 1") == 1


# Ports


@contextlib.contextmanager
def busy_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def test_fixed_port_is_used_and_reported_if_taken(data_dir: Path) -> None:
    with busy_port() as port:
        server = server_in(data_dir, port=port)
        with (
            pytest.raises(SourceError, match=rf"Port {port} .* used by another program\. Stop"),
            server.lease(),
        ):
            pass
        assert not server.status().running
    with server.lease() as url:
        assert int(str(conninfo_to_dict(url)["port"])) == port
    with (
        pytest.raises(SourceError, match=rf"runs on port {port}, and .* Run `dvd-rental source stop`"),
        server_in(data_dir, port=port + 1).lease(),
    ):
        pass


def test_another_port_is_used_if_the_last_one_is_taken(new_server: EmbeddedPostgres) -> None:
    with busy_port() as port:
        new_server.data_dir.mkdir(parents=True)
        (new_server.data_dir / "port").write_text(f"{port}\n")
        with new_server.lease() as url:
            assert int(str(conninfo_to_dict(url)["port"])) != port
            assert query(url, "select 1") == 1


# Resources


def test_start_leaks_no_descriptor_or_child(server: EmbeddedPostgres) -> None:
    with server.lease():
        pass
    this = psutil.Process()
    before = this.num_fds()
    for _ in range(3):
        server.stop()
        with server.lease():
            pass
    assert this.num_fds() == before
    assert not [child for child in this.children() if "watchdog" in " ".join(child.cmdline())]


def test_watchdog_uses_little_memory(server: EmbeddedPostgres) -> None:
    with server.lease():
        watchdog = psutil.Process(watchdog_pid(server))
        assert watchdog.memory_info().rss < 40_000_000
        assert watchdog.num_threads() == 1


def test_large_log_is_rotated(server: EmbeddedPostgres) -> None:
    with server.lease() as url:
        log = server.data_dir / "postgres.log"
        with log.open("ab") as stream:
            stream.write(b"x" * 10_000_001)
        wait_until(lambda: (server.data_dir / "postgres.log.1").exists() and log.stat().st_size < 1_000_000)
        with pytest.raises(psycopg.errors.DivisionByZero):
            query(url, "select 1/0")
        wait_until(lambda: b"division by zero" in log.read_bytes())
        assert log.stat().st_size < 1_000_000
