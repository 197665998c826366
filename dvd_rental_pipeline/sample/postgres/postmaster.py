"""PostgreSQL's main server process: start, readiness, shutdown.

Only the watchdog uses this, and only while it holds the folder's `watchdog.lock`.
"""

import os
import secrets
import signal
import socket
import subprocess
import time

from dvd_rental_pipeline.sample.errors import SourceError
from dvd_rental_pipeline.sample.postgres.binaries import PostgresBinaries, program_environment
from dvd_rental_pipeline.sample.postgres.data_directory import DataDirectory
from dvd_rental_pipeline.sample.postgres.process_user import ProcessUser
from dvd_rental_pipeline.sample.postgres.server_config import DEFAULT_DATABASE, HOST, ROLE, initial_statements
from dvd_rental_pipeline.sample.postgres.server_folder import (
    EXCLUSIVE,
    LockTakenError,
    ServerFolder,
    sign_lock,
    signal_holder,
)
from dvd_rental_pipeline.sample.postgres.socket_folder import SocketFolder

_PORTS = range(15433, 32768)  # below the ports that systems use for outgoing connections


class Postmaster:
    """The server of a server folder. `start` creates its data directory if it is missing."""

    def __init__(self, folder: ServerFolder, binaries: PostgresBinaries) -> None:
        self._folder = folder
        self._binaries = binaries
        self._data = DataDirectory(folder, binaries)
        self._sockets = SocketFolder(folder.path)
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("the server was not started")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, fixed_port: int | None) -> int:
        """Start the server, recovering what an earlier one left behind, and return its port.

        Raises:
            SourceError: the data directory cannot be created, or the server cannot be started.
        """
        lock = self._lock_server()
        try:
            user = self._data.prepare(lock)
            deadline = time.monotonic() + 10
            while True:
                port = self._choose_port(fixed_port)
                self._data.configure(user, port, self._sockets.create(user))
                if self._spawn(user, lock):
                    break
                if time.monotonic() > deadline or not self._port_was_taken():
                    raise SourceError(
                        f"PostgreSQL {self._binaries.version} did not start in {self._folder.cluster}. Its "
                        f"log ends with:\n{self._log_end()}\nMore is in {self._folder.log}. If that does not "
                        "help and the data are expendable, delete "
                        f"{self._folder.path}: the next run creates a new one."
                    )
            self._folder.write(self._folder.port_file, f"{port}\n")
            self._ensure_database(port)
        except BaseException:
            self.stop()
            raise
        finally:
            # From now on only the server's own processes hold it.
            os.close(lock)
        return port

    def stop(self, first: signal.Signals = signal.SIGINT) -> None:
        """Stop the server: SIGINT is a fast shutdown, SIGQUIT an immediate one; escalate if it does not end."""
        process = self._process
        if process is None:
            return
        for number, seconds in ((first, 60.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0)):
            if process.poll() is not None:
                break
            process.send_signal(number)
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                continue
        self._process = None
        self._sockets.remove()

    def _lock_server(self) -> int:
        """Wait until no process of an earlier server is left, and end those that stay."""
        for number in (None, signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            if number is not None:
                signal_holder(self._folder.server_lock, number)
            try:
                wait = 1.0 if number is None else 20.0
                return self._folder.lock(self._folder.server_lock, EXCLUSIVE, wait_seconds=wait)
            except LockTakenError:
                continue
        raise SourceError(
            f"An earlier PostgreSQL in {self._folder.path} does not end. Restart the machine, or set "
            "DVD_RENTAL_HOME to another folder."
        )

    def _choose_port(self, fixed: int | None) -> int:
        if fixed is not None:
            if not _is_free(fixed):
                raise SourceError(
                    f"Port {fixed} on {HOST}, set by DVD_RENTAL_SOURCE_PORT, is used by another program. Stop "
                    "that program, choose another port, or unset the variable to use any free port."
                )
            return fixed
        last = self._folder.read_port()
        if last is not None and _is_free(last):
            return last
        for _ in range(1000):
            port = _PORTS.start + secrets.randbelow(len(_PORTS))
            if _is_free(port):
                return port
        raise SourceError(f"No free TCP port on {HOST} between {_PORTS.start} and {_PORTS.stop - 1}.")

    def _spawn(self, user: ProcessUser, lock: int) -> bool:
        """Start the server's process and wait until it accepts connections or has ended."""
        log = self._folder.open_log(self._folder.log)
        try:
            self._log_start = os.fstat(log).st_size
            self._process = subprocess.Popen(
                user.command(self._binaries.postgres, "-D", str(self._folder.cluster)),
                env=program_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Before the process is PostgreSQL, so that no server ever holds an unsigned lock.
                preexec_fn=lambda: sign_lock(lock),  # noqa: PLW1509 - the watchdog has one thread
                pass_fds=[lock],
                start_new_session=True,
                **user.subprocess_user,
            )
        finally:
            os.close(log)
        while self._process.poll() is None:
            if self._is_ready(self._process.pid):
                return True
            time.sleep(0.01)
        return False

    def _is_ready(self, pid: int) -> bool:
        try:
            lines = (self._folder.cluster / "postmaster.pid").read_text("utf-8", "replace").splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"

    def _port_was_taken(self) -> bool:
        return "could not bind" in self._log_end()

    def _log_end(self) -> str:
        with self._folder.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read()[-2000:].decode("utf-8", "replace").strip()

    def _ensure_database(self, port: int) -> None:
        """Log in as the clients do, and create the default database and the roles if they are missing."""
        script = initial_statements(self._data.password, self._binaries.major)
        environment = {
            **program_environment(),
            "PGPASSFILE": str(self._folder.password_file),
            "PGCONNECT_TIMEOUT": "60",
        }
        finished = subprocess.run(
            [
                self._binaries.psql,
                *("--no-psqlrc", "--no-password", "--quiet", "--set=ON_ERROR_STOP=1"),
                *(f"--host={HOST}", f"--port={port}", f"--username={ROLE}", "--dbname=template1"),
            ],
            input=script.encode(),
            env=environment,
            capture_output=True,
            check=False,
        )
        if finished.returncode != 0:
            raise SourceError(
                f"PostgreSQL started in {self._folder.cluster} but does not serve the database "
                f"{DEFAULT_DATABASE}: {finished.stderr.decode('utf-8', 'replace').strip()}\nMore is in "
                f"{self._folder.log}."
            )


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As PostgreSQL does, so that recently closed connections do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
