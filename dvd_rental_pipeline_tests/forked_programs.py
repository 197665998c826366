"""Programs as forks of a server that has their imports: they start in milliseconds, not in seconds.

Each is a process of its own all the same, with its arguments, environment, folder, streams and exit code.
"""

import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, Any
from unittest import mock

import dagster as dg
from filelock import FileLock

from dvd_rental_pipeline.core.program import run_program
from dvd_rental_pipeline.transform import dbt_resource, parsing
from dvd_rental_pipeline_tests.dbt_runner import run_dbt
from dvd_rental_pipeline_tests.session_folder import session_end, session_folder
from dvd_rental_pipeline_tests.shared_migrations import share_migrations

PROGRAMS = {
    "dvd-rental": "dvd_rental_pipeline.cli.main:main",
    "dvd-rental-dbt": "dvd_rental_pipeline.transform.dbt_program:main",
    "snowflake-stand-in": "dvd_rental_pipeline_tests.stand_ins.snowflake.application:main",
}
_MODULES = (
    "dagster_airbyte",
    "dbt.adapters.duckdb",
    "dbt.artifacts.schemas.run",
    "dbt.cli.main",
    "dvd_rental_pipeline.cli.main",
    "dvd_rental_pipeline.definitions",
    "dvd_rental_pipeline.runs.launch",
    "dvd_rental_pipeline.transform.dbt_program",
    # Not its server, which opens a DuckDB: a fork loses the threads of that.
    "fakesnow",
    "pyarrow.compute",
    "snowflake.connector",
    "starlette.applications",
    "uvicorn",
)
"""What the programs import."""
_MOST_BYTES = 1 << 17
"""Of a request: arguments and environment."""
_PROXY = """#!{python} -IS
import json, os, signal, socket, sys
server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, {most_bytes})
server.connect({address!r})
request = [{program!r}, sys.argv[1:], dict(os.environ), os.getcwd()]
socket.send_fds(server, [json.dumps(request).encode()], [0, 1, 2])
process = int(server.recv(64))
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, _: os.kill(process, number))
code = int(server.recv(64) or 1)
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
"""


class ForkedProgram:
    """A program that was started, until its end is awaited."""

    def __init__(self, server: socket.socket, process: int) -> None:
        self._server = server
        self.process = process
        self.code: int | None = None

    def wait(self, seconds: float | None = None) -> int:
        """The exit code.

        Raises:
            TimeoutError: it has not ended after `seconds`.
        """
        if self.code is None:
            self._server.settimeout(seconds)
            self.code = int(self._server.recv(64))
            self._server.close()
        return self.code

    def has_ended(self) -> bool:
        try:
            self.wait(0)
        except BlockingIOError:
            return False
        return True

    def kill(self) -> None:
        """Kill the program, if it has not ended."""
        if not self.has_ended():
            os.kill(self.process, signal.SIGKILL)


class ForkServer:
    """A server in a process of its own, which all processes of the session share. It ends with the session."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._address = str(folder / "fork-server")
        with FileLock(folder / "fork-server.lock"):
            if not Path(self._address).exists():
                self._start()

    def _start(self) -> None:
        for program in PROGRAMS:
            text = _PROXY.format(
                python=sys.executable, address=self._address, program=program, most_bytes=2 * _MOST_BYTES
            )
            self.proxy(program).write_text(text, encoding="utf-8")
            self.proxy(program).chmod(0o755)
        with _socket() as listening:
            listening.bind(self._address)
            listening.listen()
            # The settings of the test that is running are not those of the server.
            names = [name for name in os.environ if not name.startswith("DVD_RENTAL_")]
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(listening.fileno()), str(self._folder)],
                env={**{name: os.environ[name] for name in names}, "NO_COLOR": "1"},
                stdin=subprocess.DEVNULL,
                pass_fds=[listening.fileno()],
            )

    def run(
        self, program: str, arguments: Sequence[str], environment: Mapping[str, str], seconds: float
    ) -> "subprocess.CompletedProcess[str]":
        """Run `program` in the current folder, and kill it after `seconds`.

        Raises:
            TimeoutExpired: it had not ended by then.
        """
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            started = self.start(program, arguments, environment, output, errors)
            try:
                code = started.wait(seconds)
            except TimeoutError:
                started.kill()
                started.wait()
                shown = _read(output), _read(errors)
                raise subprocess.TimeoutExpired([program, *arguments], seconds, *shown) from None
            return subprocess.CompletedProcess([program, *arguments], code, _read(output), _read(errors))

    def start(
        self,
        program: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        output: IO[bytes],
        errors: IO[bytes],
        *,
        keyboard: IO[bytes] | None = None,
    ) -> ForkedProgram:
        """Start `program` in the current folder; without `keyboard`, its input is empty."""
        server = _socket()
        server.connect(self._address)
        request = json.dumps([program, list(arguments), dict(environment), str(Path.cwd())])
        with Path(os.devnull).open() as nothing:
            streams = [(keyboard or nothing).fileno(), output.fileno(), errors.fileno()]
            socket.send_fds(server, [request.encode()], streams)
        return ForkedProgram(server, int(server.recv(64)))

    def proxy(self, program: str) -> Path:
        """An executable file that runs `program` on this server, for what starts programs by their path."""
        return self._folder / program


@cache
def fork_server() -> ForkServer:
    """The server of the session, started when it is first asked for."""
    return ForkServer(session_folder())


@contextmanager
def forked_dbt() -> Iterator[None]:
    """Within the context, what this process builds with dbt starts it as a fork."""
    with _patched_dbt(fork_server().proxy):
        yield


@contextmanager
def _patched_dbt(proxy: Callable[[str], Path]) -> Iterator[None]:
    def executable() -> str:
        return str(proxy("dvd-rental-dbt"))

    with (
        mock.patch.object(parsing, "dbt_executable", executable),
        mock.patch.object(dbt_resource, "dbt_executable", executable),
    ):
        yield


def _socket() -> socket.socket:
    created = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    created.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * _MOST_BYTES)
    return created


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def _serve(listening: socket.socket, end: int) -> Callable[[], Any]:
    """Fork for each connection until `end` is readable; returns what to call, in the process of a program."""
    with warnings.catch_warnings():
        # The programs that import the connector ignore its warnings, too.
        warnings.simplefilter("ignore")
        for module in _MODULES:
            importlib.import_module(module)
    share_migrations()
    _open_storages()
    _parse_an_empty_project()
    # The collector would touch, and so copy, all that the children share.
    gc.collect()
    gc.freeze()
    if threading.active_count() > 1:
        sys.exit(f"An import has started a thread, which a fork loses: {threading.enumerate()}")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while end not in select.select([listening, end], [], [])[0]:
        connection, _ = listening.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listening.close()
            os.close(end)
            return _imported(PROGRAMS[_become_a_program(connection)])
        connection.close()
    os._exit(0)


def _open_storages() -> None:
    """Let Alembic read the migrations of Dagster's storages."""
    with tempfile.TemporaryDirectory() as folder, dg.DagsterInstance.local_temp(folder) as instance:
        instance.get_runs()


def _parse_an_empty_project() -> None:
    """Let dbt compute what it needs for any project: the schemas of its configuration take it a second."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "dbt_project.yml").write_text("name: empty\nprofile: empty\n")
        target = "{type: duckdb, path: ':memory:'}"
        (folder / "profiles.yml").write_text(f"empty: {{target: local, outputs: {{local: {target}}}}}\n")
        done = run_dbt("parse", "--quiet", target_path=folder, environment={}, project_dir=folder)
    assert done.succeeded, done.stdout


def _imported(entry: str) -> Callable[[], Any]:
    module, _, name = entry.partition(":")
    function: Callable[[], Any] = getattr(importlib.import_module(module), name)
    return function


def _become_a_program(connection: socket.socket) -> str:
    """Fork again and send the child's id and exit code; returns the name of the program, in the child."""
    request, streams, _, _ = socket.recv_fds(connection, _MOST_BYTES, 3)
    program, arguments, environment, folder = json.loads(request)
    process = os.fork()
    if process == 0:
        connection.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        time.tzset()
        tempfile.tempdir = None  # It may be another one in this environment.
        sys.argv = [program, *arguments]
        return str(program)
    connection.send(str(process).encode())
    _, status = os.waitpid(process, 0)
    connection.send(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


if __name__ == "__main__":
    folder = Path(sys.argv[2])
    with _patched_dbt(lambda program: folder / program):
        run_program(_serve(socket.socket(fileno=int(sys.argv[1])), session_end(folder)))
