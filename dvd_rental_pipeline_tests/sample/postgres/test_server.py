"""The embedded server as its users see it, with the real PostgreSQL: it comes up, is shared, always leaves."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
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

GRACE = 0.5
PROJECT = Path(__file__).resolve().parents[3]

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

# Prints the URL under a lease, and keeps the lease until its standard input ends.
HOLD_A_LEASE = """
import sys
from pathlib import Path
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres
try:
    with EmbeddedPostgres(Path(sys.argv[1]), grace_seconds=float(sys.argv[2])).lease() as url:
        print(url, flush=True)
        sys.stdin.read()
except PipelineError as error:
    sys.exit(f"PipelineError: {error}")
"""


def server_in(folder: Path, port: int | None = None) -> EmbeddedPostgres:
    return EmbeddedPostgres(folder, port=port, grace_seconds=GRACE)


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "home" / "postgres"
    yield folder
    server_in(folder).stop()


@pytest.fixture
def server(data_dir: Path) -> EmbeddedPostgres:
    return server_in(data_dir)


def eventually(happened: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


def has_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def running_pid(server: EmbeddedPostgres) -> int:
    pid = server.status().pid
    assert pid is not None
    return pid


def watchdog_pid(server: EmbeddedPostgres) -> int:
    return psutil.Process(running_pid(server)).ppid()


def make_film(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("create table film ()")


def query(url: str, statement: str) -> object:
    with psycopg.connect(url, connect_timeout=10) as connection:
        row = connection.execute(statement).fetchone()
    assert row is not None
    return row[0]


def start_holder(
    data_dir: Path, before: tuple[str, ...] = (), grace: float = GRACE, **options: object
) -> subprocess.Popen[str]:
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
        [*before, sys.executable, "-c", HOLD_A_LEASE, str(data_dir), str(grace)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        **options,
    )


@contextlib.contextmanager
def holding_a_lease(
    data_dir: Path, before: tuple[str, ...] = ()
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process that holds a lease, and the URL it was given."""
    with start_holder(data_dir, before) as holder:
        try:
            assert holder.stdout is not None
            url = holder.stdout.readline().strip()
            if not url:
                raise AssertionError(holder.communicate()[1])
            yield holder, url
        finally:
            holder.kill()


# Coming up and leaving


def test_a_lease_brings_up_an_empty_database_ready_for_replication(server: EmbeddedPostgres) -> None:
    with server.lease() as url:
        assert query(url, "select current_database()") == "dvdrental"
        assert query(url, "select count(*) from pg_tables where schemaname = 'public'") == 0
        assert query(url, "select pg_get_userbyid(datdba) from pg_database where datname = 'dvdrental'") == (
            "dvd_rental"
        )
        for setting, value in {
            "wal_level": "logical",
            "listen_addresses": "127.0.0.1",
            "max_slot_wal_keep_size": "4GB",
            "server_encoding": "UTF8",
            "TimeZone": "UTC",
            "fsync": "on",
            "synchronous_commit": "on",
        }.items():
            assert query(url, f"select current_setting('{setting}')") == value
        for setting in ("max_replication_slots", "max_wal_senders"):
            assert int(str(query(url, f"select current_setting('{setting}')"))) >= 20
        assert query(url, "select lower('ÄÉ') = 'äé'") is True
        status = server.status()
        assert status.running
        assert not status.stays
        assert (status.url, status.port) == (url, int(conninfo_to_dict(url)["port"] or 0))


def test_the_url_serves_every_client_and_holds_no_secret(server: EmbeddedPostgres) -> None:
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


def test_it_leaves_after_the_last_lease(server: EmbeddedPostgres) -> None:
    with server.lease():
        pid = running_pid(server)
        with server.lease():
            pass
        time.sleep(2 * GRACE)
        assert not has_gone(pid)
    eventually(lambda: has_gone(pid))
    assert not server.status().running


def test_short_leases_in_a_row_keep_it(server: EmbeddedPostgres) -> None:
    with server.lease():
        pid = running_pid(server)
    for _ in range(8):
        time.sleep(GRACE / 4)
        with server.lease():
            assert running_pid(server) == pid


def test_it_stays_when_asked_until_it_is_stopped(server: EmbeddedPostgres) -> None:
    assert server.stop() is False
    status = server.start()
    assert status.running
    assert status.stays
    time.sleep(2 * GRACE)
    assert server.start() == status
    assert server.stop() is True
    assert has_gone(status.pid or 0)
    assert not server.status().running
    assert server.stop() is False


def test_the_data_and_the_url_outlast_a_stop(server: EmbeddedPostgres) -> None:
    with server.lease() as url:
        make_film(url)
    server.stop()
    with server.lease() as again:
        assert again == url
        assert query(again, "select count(*) from film") == 0


def test_a_dropped_database_is_there_again_after_the_next_start(server: EmbeddedPostgres) -> None:
    with server.lease(), psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute("drop database dvdrental")
    server.stop()
    with server.lease() as url:
        assert query(url, "select current_database()") == "dvdrental"


def test_it_runs_older_programs_too(data_dir: Path) -> None:
    newest = PostgresBinaries.find()
    older = [
        found
        for folder in newest.folder.parents[1].glob("pginstall*/bin")
        if (found := PostgresBinaries.find(folder)).major < newest.major
    ]
    if not older:
        pytest.skip("the wheel brings one version alone")
    server = EmbeddedPostgres(data_dir, binaries=older[0], grace_seconds=GRACE)
    with server.lease() as url:
        assert str(query(url, "show server_version")) == older[0].version == server.status().version
        assert query(url, "show wal_level") == "logical"


def test_without_a_server_there_is_no_url(server: EmbeddedPostgres) -> None:
    assert not server.status().running
    with pytest.raises(SourceError, match="is not running"):
        server.url()
    assert not server.data_dir.exists()


# Many at once


def test_many_processes_at_once_share_one_server(data_dir: Path) -> None:
    holders = [start_holder(data_dir) for _ in range(6)]
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


def test_leases_while_others_stop_it_always_get_a_server(server: EmbeddedPostgres) -> None:
    for _ in range(5):
        with ThreadPoolExecutor(2) as pool:
            server.start()
            stopped = pool.submit(server.stop)
            time.sleep(0.03)
            with holding_a_lease(server.data_dir) as (_, url):
                assert url.startswith("postgresql://")
            assert stopped.result() is True


def test_two_homes_live_side_by_side(tmp_path: Path, server: EmbeddedPostgres) -> None:
    other = server_in(tmp_path / "other")
    with server.lease() as url, other.lease() as other_url:
        assert query(url, "select system_identifier::text from pg_control_system()") != query(
            other_url, "select system_identifier::text from pg_control_system()"
        )
    assert other.stop() is True
    with server.lease() as url:
        assert query(url, "select 1") == 1


# Killed


def test_it_leaves_when_the_only_holder_is_killed(data_dir: Path) -> None:
    with holding_a_lease(data_dir) as (holder, url):
        pid = running_pid(server_in(data_dir))
        time.sleep(2 * GRACE)
        assert query(url, "select 1") == 1
        holder.kill()
    eventually(lambda: has_gone(pid))


def test_it_outlives_the_kill_of_the_process_that_started_it(data_dir: Path) -> None:
    with holding_a_lease(data_dir) as (holder, url), server_in(data_dir).lease():
        holder.kill()
        holder.wait()
        time.sleep(2 * GRACE)
        assert query(url, "select 1") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has died")
def test_it_leaves_when_the_watchdog_is_killed(server: EmbeddedPostgres) -> None:
    with server.lease():
        pid = running_pid(server)
        os.kill(watchdog_pid(server), signal.SIGKILL)
        eventually(lambda: has_gone(pid))
        assert not server.status().running
    with server.lease() as url:
        assert query(url, "select 1") == 1
        assert running_pid(server) != pid


def test_a_server_left_behind_by_a_killed_watchdog_is_ended_first(server: EmbeddedPostgres) -> None:
    with server.lease() as url:
        make_film(url)
        pid = running_pid(server)
        # Stopped, it cannot heed the death of its watchdog, like a system that does not tell it.
        os.kill(pid, signal.SIGSTOP)
        os.kill(watchdog_pid(server), signal.SIGKILL)
    eventually(lambda: not server.status().running)
    resumed = subprocess.Popen(["sh", "-c", f"sleep 1.5; kill -CONT {pid}"])  # noqa: S607
    with server.lease() as url:
        assert has_gone(pid)
        assert query(url, "select count(*) from film") == 0
    resumed.wait()


def test_a_killed_postmaster_is_replaced_under_the_same_url(server: EmbeddedPostgres) -> None:
    with server.lease() as url:
        make_film(url)
        pid = running_pid(server)
        with psycopg.connect(url):
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: (status := server.status()).url == url and status.pid != pid)
        assert query(url, "select count(*) from film") == 0


def test_ctrl_c_during_the_first_start_leaves_a_good_state(data_dir: Path) -> None:
    for delay in (0.3, 0.5):
        starting = start_holder(data_dir, grace=5, start_new_session=True)
        time.sleep(delay)
        # As a terminal does: to the whole group.
        os.killpg(starting.pid, signal.SIGINT)
        starting.communicate()
        with server_in(data_dir).lease() as url:
            assert query(url, "select 1") == 1
        server_in(data_dir).stop()
        shutil.rmtree(data_dir)


# What was left behind


def test_a_stale_pid_file_whose_number_is_in_use_again_is_no_obstacle(server: EmbeddedPostgres) -> None:
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


def test_a_half_made_cluster_is_made_again(server: EmbeddedPostgres) -> None:
    half = server.data_dir / "new-cluster-killed" / "cluster"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    (server.data_dir / "cluster").mkdir()
    (server.data_dir / "cluster" / "PG_VERSION").write_text("18\n")
    with server.lease() as url:
        assert query(url, "select 1") == 1
    assert not half.exists()


def test_a_lost_password_file_is_written_again(server: EmbeddedPostgres) -> None:
    with server.lease() as url:
        pass
    server.stop()
    Path(str(conninfo_to_dict(url)["passfile"])).unlink()
    with server.lease() as url:
        assert query(url, "select 1") == 1


def test_a_cluster_of_another_version_is_left_alone(server: EmbeddedPostgres) -> None:
    with server.lease():
        pass
    server.stop()
    version = server.data_dir / "cluster" / "PG_VERSION"
    version.write_text("13\n")
    with (
        pytest.raises(SourceError, match="was made by PostgreSQL 13, and the programs at hand are"),
        server.lease(),
    ):
        pass
    version.write_text(f"{server.binaries.major}\n")
    with server.lease() as url:
        assert query(url, "select 1") == 1


def test_a_damaged_cluster_is_reported_with_postgresqls_own_words(server: EmbeddedPostgres) -> None:
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


def test_a_deleted_home_takes_its_server_along_and_can_be_made_again(server: EmbeddedPostgres) -> None:
    with server.lease() as url:
        make_film(url)
        pid = running_pid(server)
        # The server is leaving at the same time, and takes files of its own away.
        while server.data_dir.exists():
            shutil.rmtree(server.data_dir.parent, ignore_errors=True)
        with server.lease() as new_url:
            assert query(new_url, "select to_regclass('film') is null") is True
        eventually(lambda: has_gone(pid))
        assert server.status().running


def test_a_home_that_is_moved_while_it_runs_goes_on_at_its_new_place(
    server: EmbeddedPostgres, tmp_path: Path
) -> None:
    with server.lease() as url:
        make_film(url)
        pid = running_pid(server)
    server.data_dir.parent.rename(tmp_path / "moved")
    moved = server_in(tmp_path / "moved" / "postgres")
    with moved.lease() as url:
        assert has_gone(pid)
        assert query(url, "select count(*) from film") == 0
    moved.stop()


def test_a_copied_home_has_a_server_of_its_own(server: EmbeddedPostgres, tmp_path: Path) -> None:
    with server.lease() as url:
        make_film(url)
    server.stop()
    with server.lease() as url:
        # Ownership is lost, as with plain `cp -r`; the lock files name the processes of the original.
        shutil.copytree(server.data_dir, tmp_path / "copy", ignore=shutil.ignore_patterns(".s.PGSQL*"))
        copy = server_in(tmp_path / "copy")
        with copy.lease() as copy_url:
            assert copy_url != url
            assert query(copy_url, "select count(*) from film") == 0
            assert running_pid(copy) != running_pid(server)
        copy.stop()
        assert query(url, "select 1") == 1


# Who may log in


def test_nobody_logs_in_without_the_password(server: EmbeddedPostgres) -> None:
    with server.lease() as url:
        known = conninfo_to_dict(url)
        sockets = str(query(url, "select current_setting('unix_socket_directories')")).strip('"')
        for host in ("127.0.0.1", sockets):
            for user in ("dvd_rental", "postgres", pwd.getpwuid(os.geteuid()).pw_name):
                for password in (None, "wrong"):
                    with pytest.raises(psycopg.OperationalError, match=r"no password supplied|failed|pg_hba"):
                        psycopg.connect(
                            host=host,
                            port=known["port"],
                            user=user,
                            password=password,
                            dbname="dvdrental",
                            passfile=os.devnull,
                        )
            with psycopg.connect(url, host=host) as connection:
                assert connection.pgconn.used_password


def test_nothing_private_is_open_to_others(server: EmbeddedPostgres) -> None:
    with server.lease() as url:
        sockets = Path(str(query(url, "select current_setting('unix_socket_directories')")).strip('"'))
        for private in (server.data_dir / "cluster", sockets, *server.data_dir.glob("*.lock")):
            assert private.stat().st_mode & 0o077 == 0
        assert Path(str(conninfo_to_dict(url)["passfile"])).stat().st_mode & 0o777 == 0o600
        access = (server.data_dir / "cluster" / "pg_hba.conf").read_text()
        assert "trust" not in access
        assert {line.split()[-1] for line in access.splitlines()} == {"scram-sha-256"}


# Ports


@contextlib.contextmanager
def busy_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def test_a_fixed_port_is_used_and_when_busy_named(data_dir: Path) -> None:
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


def test_when_the_last_port_is_taken_another_is_chosen(server: EmbeddedPostgres) -> None:
    with busy_port() as port:
        server.data_dir.mkdir(parents=True)
        (server.data_dir / "port").write_text(f"{port}\n")
        with server.lease() as url:
            assert int(str(conninfo_to_dict(url)["port"])) != port
            assert query(url, "select 1") == 1


# Homes of every kind


@pytest.mark.parametrize(
    "name", ["with space, 100%, 'single', \"double\" & ümlaut", "/".join(["quite-a-long-name"] * 9)]
)
def test_a_home_may_have_any_name(tmp_path: Path, name: str) -> None:
    server = server_in(tmp_path / name / "postgres")
    with server.lease() as url:
        assert query(url, "select 1") == 1
        psql = [str(server.binaries.psql), "-XAtw", url, "-c", "show unix_socket_directories"]
        shown = subprocess.run(psql, capture_output=True, text=True, check=True).stdout.strip()
        sockets = Path(shown.replace('""', '"')[1:-1])
        assert sockets.stat().st_mode & 0o777 == 0o700
        with psycopg.connect(url, host=str(sockets)) as connection:
            assert connection.execute("select inet_server_addr() is null").fetchone() == (True,)
    server.stop()
    assert not sockets.exists()


def test_a_home_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    server = server_in(tmp_path / "home" / "postgres")
    assert not server.status().running
    with (
        pytest.raises(SourceError, match=r"Cannot keep the source database in .* or set DVD_RENTAL_HOME"),
        server.lease(),
    ):
        pass


@as_root
def test_a_full_disk_is_named_and_leaves_nothing_behind(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "none", disk], check=False)  # noqa: S607
    if mounted.returncode != 0:
        pytest.skip("root may not mount here")
    try:
        server = server_in(disk / "postgres")
        with pytest.raises(SourceError, match="no space left there: about 100 MB are needed"), server.lease():
            pass
        assert not (disk / "postgres" / "cluster").exists()
        assert not list((disk / "postgres").glob("new-cluster-*"))
        subprocess.run(["mount", "-o", "remount,size=200m", disk], check=True)  # noqa: S607
        with server.lease() as url:
            assert query(url, "select 1") == 1
        server.stop()
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)  # noqa: S607
        with pytest.raises(SourceError, match="Read-only file system"), server.lease():
            pass
    finally:
        subprocess.run(["umount", disk], check=True)  # noqa: S607


# Root and ordinary users


def an_ordinary_user(uid: int) -> tuple[str, ...]:
    """What to put before a command to run it as that user, from root."""
    if not shutil.which("setpriv"):
        pytest.skip("needs setpriv")
    # May read root's Python environment, which often is private; may not write anywhere more for it.
    return (
        *("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"),
        *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
    )


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may pass through and the named user nobody owns."""
    # pytest's own temporary folders are closed to other users.
    with tempfile.TemporaryDirectory(prefix="dvd_rental-") as outer:
        Path(outer).chmod(0o711)
        folder = Path(outer, "open")
        folder.mkdir(mode=0o755)
        os.chown(folder, 65534, 65534)
        yield folder
        server_in(folder / "postgres").stop()
        server_in(folder).stop()


@as_root
def test_an_ordinary_user_runs_it_as_itself(open_folder: Path) -> None:
    with holding_a_lease(open_folder / "postgres", an_ordinary_user(65534)):
        server = server_in(open_folder / "postgres")
        assert psutil.Process(running_pid(server)).uids().real == 65534
        assert psutil.Process(watchdog_pid(server)).uids().real == 65534
    server.stop()
    # Root may help out in between, and that user goes on.
    with server.lease() as url:
        assert query(url, "select 1") == 1
        assert psutil.Process(running_pid(server)).uids().real == 65534
    server.stop()
    with holding_a_lease(open_folder / "postgres", an_ordinary_user(65534)) as (_, again):
        assert again == url
    server.stop()


@as_root
def test_root_serves_a_users_home_as_that_user_and_with_no_more_rights(open_folder: Path) -> None:
    server = server_in(open_folder)
    with server.lease() as url:
        postmaster = psutil.Process(running_pid(server))
        assert postmaster.uids().real == 65534
        # Its superuser can run programs as the server.
        assert "CapEff:\t0000000000000000" in Path(f"/proc/{postmaster.pid}/status").read_text()
    server.stop()
    with holding_a_lease(open_folder, an_ordinary_user(65534)) as (_, again):
        assert again == url
    server.stop()
    shutil.rmtree(open_folder / "cluster")
    open_folder.parent.chmod(0o700)
    with pytest.raises(SourceError, match="which cannot reach both its programs"), server.lease():
        pass


@as_root
def test_a_home_that_cannot_be_written_is_refused(open_folder: Path) -> None:
    open_folder.chmod(0o555)
    refused = start_holder(open_folder / "postgres", an_ordinary_user(65534))
    assert "Cannot keep the source database in" in refused.communicate()[1]
    assert list(open_folder.iterdir()) == []


@as_root
def test_roots_home_is_closed_to_an_ordinary_user(open_folder: Path) -> None:
    with server_in(open_folder / "postgres").lease():
        pass
    refused = start_holder(open_folder / "postgres", an_ordinary_user(65534))
    assert "PipelineError: Cannot keep the source database in" in refused.communicate()[1]
    server_in(open_folder / "postgres").stop()


@as_root
def test_a_user_without_a_name_is_told_so(open_folder: Path) -> None:
    os.chown(open_folder, 61000, 61000)
    refused = start_holder(open_folder / "postgres", an_ordinary_user(61000))
    assert "Your user id 61000 has no entry in the system's user list" in refused.communicate()[1]


@as_root
def test_root_uses_a_nameless_user_and_changes_no_other_folder(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    users = len(pwd.getpwall())
    server = server_in(private / "home" / "postgres")
    with server.lease() as url:
        postmaster = psutil.Process(running_pid(server))
        assert postmaster.uids().real == postmaster.uids().effective not in (0, 65534)
        assert query(url, "select 1") == 1
        capabilities = Path(f"/proc/{postmaster.pid}/status").read_text()
        # CAP_DAC_OVERRIDE and nothing else.
        assert "CapEff:\t0000000000000002" in capabilities
    server.stop()
    assert len(pwd.getpwall()) == users
    for folder in (private, private / "home", private / "home" / "postgres"):
        assert folder.stat().st_uid == 0
    assert private.stat().st_mode & 0o777 == 0o700


@as_root
def test_root_without_the_capability_is_told_what_to_move(tmp_path: Path) -> None:
    if not shutil.which("setpriv"):
        pytest.skip("needs setpriv")
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    bound = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
    refused = start_holder(private / "postgres", bound)
    assert "Move the Python environment and DVD_RENTAL_HOME" in refused.communicate()[1]
    assert not (private / "postgres" / "cluster").exists()


# Resources


def test_starting_leaves_nothing_open_in_the_process_that_asked(server: EmbeddedPostgres) -> None:
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


def test_the_watchdog_is_light(server: EmbeddedPostgres) -> None:
    with server.lease():
        watchdog = psutil.Process(watchdog_pid(server))
        assert watchdog.memory_info().rss < 40_000_000
        assert watchdog.num_threads() == 1


def test_a_large_log_is_put_aside(server: EmbeddedPostgres) -> None:
    with server.lease() as url:
        log = server.data_dir / "postgres.log"
        with log.open("ab") as stream:
            stream.write(b"x" * 10_000_001)
        eventually(lambda: (server.data_dir / "postgres.log.1").exists() and log.stat().st_size < 1_000_000)
        with pytest.raises(psycopg.errors.DivisionByZero):
            query(url, "select 1/0")
        eventually(lambda: b"division by zero" in log.read_bytes())
        assert log.stat().st_size < 1_000_000
