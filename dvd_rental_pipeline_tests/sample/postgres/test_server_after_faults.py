"""The embedded server after killed processes, and with files that they or others have left."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from dvd_rental_pipeline.sample.errors import SourceError
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

# Killed processes


@pytest.mark.slow
def test_server_stops_when_its_only_lease_holder_is_killed(server: EmbeddedPostgres) -> None:
    with lease_in_another_process(server.data_dir) as (holder, url):
        pid = running_pid(server)
        time.sleep(2 * GRACE)
        assert query(url, "select 1") == 1
        holder.kill()
    wait_until(lambda: has_ended(pid))


@pytest.mark.slow
def test_server_survives_kill_of_the_process_that_started_it(server: EmbeddedPostgres) -> None:
    with lease_in_another_process(server.data_dir) as (holder, url), server.lease():
        holder.kill()
        holder.wait()
        time.sleep(2 * GRACE)
        assert query(url, "select 1") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux signals the death of a parent process")
def test_server_stops_when_the_watchdog_is_killed(server: EmbeddedPostgres) -> None:
    with server.lease():
        pid = running_pid(server)
        os.kill(watchdog_pid(server), signal.SIGKILL)
        wait_until(lambda: has_ended(pid))
        assert not server.status().running
    with server.lease() as url:
        assert query(url, "select 1") == 1
        assert running_pid(server) != pid


@pytest.mark.slow
def test_server_left_by_a_killed_watchdog_is_stopped_first(server: EmbeddedPostgres) -> None:
    with server.lease() as url:
        create_film_table(url)
        pid = running_pid(server)
        # While stopped, it does not react to the death of its watchdog, as on systems without that signal.
        os.kill(pid, signal.SIGSTOP)
        os.kill(watchdog_pid(server), signal.SIGKILL)
    wait_until(lambda: not server.status().running)
    resumed = subprocess.Popen(["sh", "-c", f"sleep 1.5; kill -CONT {pid}"])  # noqa: S607
    with server.lease() as url:
        assert has_ended(pid)
        assert query(url, "select count(*) from film") == 0
    resumed.wait()


def test_killed_postmaster_is_restarted_with_the_same_url(server: EmbeddedPostgres) -> None:
    with server.lease() as url:
        create_film_table(url)
        pid = running_pid(server)
        with psycopg.connect(url):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: (status := server.status()).url == url and status.pid != pid)
        assert query(url, "select count(*) from film") == 0


@pytest.mark.slow
def test_interrupted_first_start_can_be_repeated(data_dir: Path) -> None:
    for delay in (0.3, 0.5):
        starting = start_lease_process(data_dir, grace=5, start_new_session=True)
        time.sleep(delay)
        # As a terminal does, to the whole process group.
        os.killpg(starting.pid, signal.SIGINT)
        starting.communicate()
        with server_in(data_dir).lease() as url:
            assert query(url, "select 1") == 1
        server_in(data_dir).stop()
        shutil.rmtree(data_dir)


# Leftovers


def test_stale_pid_file_with_a_reused_pid_is_ignored(server: EmbeddedPostgres) -> None:
    with server.lease():
        pid_file = server.data_dir / "cluster" / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
    server.stop()
    owner = (server.data_dir / "cluster").stat()
    with subprocess.Popen(["sleep", "60"], user=owner.st_uid if os.geteuid() == 0 else None) as other:  # noqa: S607
        pid_file.write_text("\n".join([str(other.pid), *lines[1:]]))
        pid_file.chmod(0o644)
        (server.data_dir / "server.json").write_text(f'{{"pid": {other.pid}}}')
        (server.data_dir / "server.lock").write_text(f'{{"pid": {other.pid}, "started": 1}}')
        with server.lease() as url:
            assert query(url, "select 1") == 1
        assert other.poll() is None
        other.kill()


def test_incomplete_cluster_is_created_again(new_server: EmbeddedPostgres) -> None:
    half = new_server.data_dir / "new-cluster-killed" / "cluster"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    (new_server.data_dir / "cluster").mkdir()
    (new_server.data_dir / "cluster" / "PG_VERSION").write_text("18\n")
    with new_server.lease() as url:
        assert query(url, "select 1") == 1
    assert not half.exists()


def test_missing_password_file_is_written_again(server: EmbeddedPostgres) -> None:
    with server.lease() as url:
        pass
    server.stop()
    Path(str(conninfo_to_dict(url)["passfile"])).unlink()
    with server.lease() as url:
        assert query(url, "select 1") == 1


def test_cluster_of_another_version_is_refused_and_unchanged(server: EmbeddedPostgres) -> None:
    with server.lease():
        pass
    server.stop()
    version = server.data_dir / "cluster" / "PG_VERSION"
    version.write_text("13\n")
    with (
        pytest.raises(SourceError, match="was created by PostgreSQL 13, but the installed programs are"),
        server.lease(),
    ):
        pass
    version.write_text(f"{server.binaries.major}\n")
    with server.lease() as url:
        assert query(url, "select 1") == 1


def test_damaged_cluster_is_reported_with_postgresql_log(server: EmbeddedPostgres) -> None:
    with server.lease():
        pass
    server.stop()
    control = server.data_dir / "cluster" / "global" / "pg_control"
    whole = control.read_bytes()
    control.write_bytes(b"\0" * len(whole))
    with pytest.raises(SourceError, match=r"did not start in .*(?s:.)*FATAL"), server.lease():
        pass
    control.write_bytes(whole)
    with server.lease() as url:
        assert query(url, "select 1") == 1


@pytest.mark.slow
def test_server_of_a_deleted_home_stops_and_can_be_recreated(server: EmbeddedPostgres) -> None:
    with server.lease() as url:
        create_film_table(url)
        pid = running_pid(server)
        # The server is shutting down at the same time, and removes files of its own.
        while server.data_dir.exists():
            shutil.rmtree(server.data_dir.parent, ignore_errors=True)
        with server.lease() as new_url:
            assert query(new_url, "select to_regclass('film') is null") is True
        wait_until(lambda: has_ended(pid))
        assert server.status().running


def test_home_moved_while_running_starts_at_its_new_path(server: EmbeddedPostgres, tmp_path: Path) -> None:
    with server.lease() as url:
        create_film_table(url)
        pid = running_pid(server)
    server.data_dir.parent.rename(tmp_path / "moved")
    moved = server_in(tmp_path / "moved" / "postgres")
    with moved.lease() as url:
        assert has_ended(pid)
        assert query(url, "select count(*) from film") == 0
    moved.stop()


@pytest.mark.slow
def test_copied_home_has_its_own_server(server: EmbeddedPostgres, tmp_path: Path) -> None:
    with server.lease() as url:
        create_film_table(url)
    server.stop()
    with server.lease() as url:
        # Ownership is lost, as with plain `cp -r`; the lock files contain the process ids of the original.
        shutil.copytree(server.data_dir, tmp_path / "copy", ignore=shutil.ignore_patterns(".s.PGSQL*"))
        copy = server_in(tmp_path / "copy")
        with copy.lease() as copy_url:
            assert copy_url != url
            assert query(copy_url, "select count(*) from film") == 0
            assert running_pid(copy) != running_pid(server)
        copy.stop()
        assert query(url, "select 1") == 1
