"""The embedded PostgreSQL server, shared by all processes that use the same home folder.

A process that uses the server takes a lease. The first lease starts the server; it shuts down a minute after
the last lease has ended.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

from dvd_rental_pipeline.sample.errors import SourceError
from dvd_rental_pipeline.sample.postgres.binaries import PostgresBinaries
from dvd_rental_pipeline.sample.postgres.server_config import DEFAULT_DATABASE, HOST, ROLE
from dvd_rental_pipeline.sample.postgres.server_folder import (
    EXCLUSIVE,
    SHARED,
    LockTakenError,
    ServerFolder,
    ServerRecord,
    signal_holder,
)

GRACE_SECONDS = 60.0

_PACKAGE_PARENT = Path(__file__).resolve().parents[3]
_START_SECONDS = 600.0  # crash recovery may replay much log
_STOP_SECONDS = 120.0


@dataclass(frozen=True)
class ServerStatus:
    """The state of an embedded server. `persistent`: it runs without leases until `stop`."""

    running: bool
    url: str | None
    version: str | None
    port: int | None
    pid: int | None
    persistent: bool
    data_dir: Path


class EmbeddedPostgres:
    """The PostgreSQL server in the folder `data_dir`, shared by every process that names the same folder.

    Args:
        data_dir: the server's folder; created if it is missing.
        port: its TCP port; default: a free one, the same each time if possible.
        binaries: its programs; default: those of the installed wheel.
        grace_seconds: how long it runs without a lease.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int | None = None,
        binaries: PostgresBinaries | None = None,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self._folder = ServerFolder(data_dir.absolute())
        self._port = port
        self._binaries = binaries
        self._grace = grace_seconds

    @property
    def data_dir(self) -> Path:
        return self._folder.path

    @cached_property
    def binaries(self) -> PostgresBinaries:
        """PostgreSQL's programs (psql, pg_restore, ...).

        Raises:
            SourceError: none run on this machine.
        """
        return self._binaries or PostgresBinaries.find()

    @contextmanager
    def lease(self, database: str = DEFAULT_DATABASE) -> Iterator[str]:
        """Keep the server running meanwhile; yield the URL of a database, of which only the default must exist.

        Any number of processes and threads may hold leases. A lease ends with its process at the latest.

        Raises:
            SourceError: the server cannot be started.
        """
        self._create_folder()
        descriptor = self._lock(self._folder.lease_lock, SHARED, _STOP_SECONDS)
        try:
            os.utime(descriptor)
            yield self._url(self._ensure_running(), database)
        finally:
            # If the folder was deleted meanwhile, no watchdog reads this time either.
            with contextlib.suppress(OSError):
                os.utime(descriptor)
            os.close(descriptor)

    def start(self) -> ServerStatus:
        """Start the server if it does not run, and keep it running until `stop`.

        Raises:
            SourceError: the server cannot be started.
        """
        with self.lease():
            try:
                self._folder.write(self._folder.stay_marker, "")
            except OSError as error:
                raise self._cannot_write(error) from error
            return self.status()

    def stop(self) -> bool:
        """Shut the server down, even if it is in use, and wait until it has ended; return whether it ran.

        Raises:
            SourceError: it does not end.
        """
        try:
            with contextlib.suppress(NotADirectoryError):
                self._folder.stay_marker.unlink(missing_ok=True)
        except OSError as error:
            raise self._cannot_write(error) from error
        was_running = self._end(self._folder.watchdog_lock, signal.SIGTERM)
        # A killed watchdog may have left a server behind. A server with a watchdog was started meanwhile.
        if self._is_locked(self._folder.watchdog_lock):
            return was_running
        return self._end(self._folder.server_lock, signal.SIGINT) or was_running

    def status(self, database: str = DEFAULT_DATABASE) -> ServerStatus:
        """Return the state without starting or changing anything; `url` is that of `database`.

        Raises:
            SourceError: the folder cannot be read.
        """
        record = self._read_record()
        return ServerStatus(
            running=record is not None,
            url=self._url(record, database) if record else None,
            version=record.version if record else None,
            port=record.port if record else None,
            pid=record.pid if record else None,
            persistent=record is not None and self._folder.stay_marker.exists(),
            data_dir=self.data_dir,
        )

    def url(self, database: str = DEFAULT_DATABASE) -> str:
        """Return the URL of a database on the running server. It names a password file and contains no secret.

        Raises:
            SourceError: the server is not running.
        """
        record = self._read_record()
        if record is None:
            raise SourceError(
                f"The source database in {self.data_dir} is not running. `dvd-rental source start` starts it."
            )
        return self._url(record, database)

    def _url(self, record: ServerRecord, database: str) -> str:
        passfile = quote(os.fsencode(self._folder.password_file))
        return f"postgresql://{ROLE}@{HOST}:{record.port}/{quote(database, safe='')}?passfile={passfile}"

    def _end(self, lock: Path, number: signal.Signals) -> bool:
        """Signal the holder of `lock` until it is free; return whether it was held."""
        deadline = time.monotonic() + _STOP_SECONDS
        held = False
        while self._is_locked(lock):
            held = True
            signal_holder(lock, number)
            if time.monotonic() > deadline:
                raise SourceError(
                    f"The source database in {self.data_dir} does not shut down. Its log is "
                    f"{self._folder.log}; try again, or end the process named in {lock}."
                )
            time.sleep(0.05)
        return held

    def _is_locked(self, lock: Path) -> bool:
        try:
            return self._folder.is_locked(lock)
        except OSError as error:
            raise self._cannot_read(error) from error

    def _read_record(self) -> ServerRecord | None:
        try:
            return self._folder.read_record()
        except OSError as error:
            raise self._cannot_read(error) from error

    def _ensure_running(self) -> ServerRecord:
        record = self._read_record()
        if record is None:
            lock = self._lock(self._folder.start_lock, EXCLUSIVE, _START_SECONDS)
            try:
                record = self._start_or_wait()
            finally:
                os.close(lock)
        if self._port is not None and record.port != self._port:
            raise SourceError(
                f"The source database in {self.data_dir} runs on port {record.port}, and "
                f"DVD_RENTAL_SOURCE_PORT is {self._port}. Run `dvd-rental source stop`, then repeat your "
                "command."
            )
        return record

    def _start_or_wait(self) -> ServerRecord:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            record = self._read_record()
            if record is not None:
                return record
            if self._is_locked(self._folder.watchdog_lock):
                # Starting for a process that did not wait for it, recovering, or shutting down.
                time.sleep(0.05)
            else:
                self._spawn_watchdog()
        raise SourceError(
            f"The source database in {self.data_dir} neither started nor shut down within {_START_SECONDS:.0f} "
            f"s. Its logs are {self._folder.log} and {self._folder.watchdog_log}."
        )

    def _spawn_watchdog(self) -> None:
        """Start a watchdog, which starts the server, and wait until it reports the outcome."""
        command = [
            *(sys.executable, "-P", "-m", "dvd_rental_pipeline.sample.postgres.watchdog", str(self.data_dir)),
            *("--binaries", str(self.binaries.folder), "--version", self.binaries.version),
            *("--grace", str(self._grace)),
            *(() if self._port is None else ("--port", str(self._port))),
        ]
        path = os.pathsep.join(filter(None, (str(_PACKAGE_PARENT), os.environ.get("PYTHONPATH"))))
        try:
            log = self._folder.open_log(self._folder.watchdog_log)
        except OSError as error:
            raise self._cannot_write(error) from error
        try:
            with subprocess.Popen(
                command,
                cwd="/",
                env={**os.environ, "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            ) as process:
                assert process.stdout is not None  # noqa: S101 - it is a pipe
                report = process.stdout.readline()
        finally:
            os.close(log)
        try:
            error_text = json.loads(report)["error"]
        except ValueError:
            raise SourceError(
                f"The process that starts the source database in {self.data_dir} ended early. Its log is "
                f"{self._folder.watchdog_log}."
            ) from None
        if error_text is not None:
            raise SourceError(error_text)

    def _create_folder(self) -> None:
        try:
            self._folder.create()
        except OSError as error:
            raise self._cannot_write(error) from error

    def _lock(self, file: Path, operation: int, wait_seconds: float) -> int:
        try:
            return self._folder.lock(file, operation, wait_seconds=wait_seconds)
        except LockTakenError:
            raise SourceError(
                f"The source database in {self.data_dir} neither started nor shut down within "
                f"{wait_seconds:.0f} s. Its log is {self._folder.log}."
            ) from None
        except OSError as error:
            raise self._cannot_write(error) from error

    def _cannot_write(self, error: OSError) -> SourceError:
        return SourceError(
            f"Cannot write the source database's folder {self.data_dir}: {error.strerror or error}. Make that "
            "folder writable and check that its disk has space, or set DVD_RENTAL_HOME to another folder."
        )

    def _cannot_read(self, error: OSError) -> SourceError:
        return SourceError(
            f"Cannot read the source database's folder {self.data_dir}: {error.strerror or error}. Run as the "
            "user who created it, or set DVD_RENTAL_HOME to another folder."
        )
