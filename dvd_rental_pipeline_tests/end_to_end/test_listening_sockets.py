"""No server of the package listens to other machines unless it is asked to."""

import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from pathlib import Path

import psutil
import pytest
from psycopg.conninfo import conninfo_to_dict

from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres
from dvd_rental_pipeline.sample.signups_api.server import running_signups_api
from dvd_rental_pipeline_tests.end_to_end.command_line import CommandLine
from dvd_rental_pipeline_tests.end_to_end.dev_server import running_dev_server


def listening(process: psutil.Process) -> dict[int, str]:
    """The addresses at which a process and its descendants listen, by port."""
    found = {}
    for each in [process, *process.children(recursive=True)]:
        # A backend of PostgreSQL may end meanwhile.
        with suppress(psutil.NoSuchProcess, FileNotFoundError):
            for connection in each.net_connections(kind="inet"):
                if connection.status == psutil.CONN_LISTEN:
                    found[connection.laddr.port] = connection.laddr.ip
    return found


def assert_loopback_only(process: psutil.Process, port: int) -> None:
    found = listening(process)
    assert port in found
    assert all(ip_address(address).is_loopback for address in found.values()), found


@contextmanager
def running(command_line: CommandLine, *arguments: str) -> Iterator[psutil.Process]:
    with subprocess.Popen(
        command_line.command(*arguments),
        env=command_line.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        yield psutil.Process(process.pid)
        process.send_signal(signal.SIGINT)


def wait_for(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 240
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_embedded_postgresql(postgres: EmbeddedPostgres, database_url: str) -> None:
    pid = postgres.status().pid
    assert pid is not None
    assert_loopback_only(psutil.Process(pid), int(str(conninfo_to_dict(database_url)["port"])))


def test_the_sample_api() -> None:
    with running_signups_api() as api:
        assert_loopback_only(psutil.Process(), int(api.url.rpartition(":")[2]))


@pytest.mark.slow
@pytest.mark.parametrize("command", [["site", "--serve"], ["metrics"]])
def test_the_server_of_a_command(parsed_home: Path, command: list[str]) -> None:
    (parsed_home / "site").mkdir()
    (parsed_home / "site" / "index.html").write_text("<h1>home</h1>")
    port = free_port()
    with running(CommandLine(parsed_home), *command, "--port", str(port)) as process:
        wait_for(lambda: port in listening(process))
        assert_loopback_only(process, port)


@pytest.mark.heavy
def test_the_user_interface(tmp_path: Path) -> None:
    command_line = CommandLine(tmp_path)
    log = tmp_path / "dev.log"
    with running_dev_server(command_line.command("dev"), command_line.environment(), log):
        (server,) = [child for child in psutil.Process().children() if "dev" in child.cmdline()]
        found = listening(server)
    assert found
    assert all(ip_address(address).is_loopback for address in found.values()), found
