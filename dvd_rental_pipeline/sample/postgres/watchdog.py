"""The process that owns one embedded server, and stops it when it is no longer used.

`python -m dvd_rental_pipeline.sample.postgres.watchdog FOLDER ...` detaches itself from its parent, starts the
server in FOLDER, and writes one line of JSON to standard output: `{"error": null}`, or the error message. It
runs until no lease was held for the grace period, `stop` signals it, or the folder is deleted. Only
`EmbeddedPostgres` starts it. It imports neither Dagster nor a database driver, since it uses memory beside
every run.
"""

import argparse
import contextlib
import json
import os
import select
import shutil
import signal
import sys
import time
from pathlib import Path

from dvd_rental_pipeline.sample.errors import SourceError
from dvd_rental_pipeline.sample.postgres.binaries import PostgresBinaries
from dvd_rental_pipeline.sample.postgres.postmaster import Postmaster
from dvd_rental_pipeline.sample.postgres.server_folder import (
    EXCLUSIVE,
    LockTakenError,
    ServerFolder,
    ServerRecord,
    is_still_at,
    sign_lock,
)

_MAX_LOG_BYTES = 10_000_000
_MAX_CONSECUTIVE_RESTARTS = 3
_STABLE_SECONDS = 60.0


class _Watchdog:
    def __init__(
        self, folder: ServerFolder, binaries: PostgresBinaries, port: int | None, grace: float
    ) -> None:
        self._folder = folder
        self._binaries = binaries
        self._port = port
        self._grace = grace
        self._interval = min(1.0, grace / 4)
        self._postmaster = Postmaster(folder, binaries)
        self._stop_requested = False
        self._published: int | None = None
        self._wakeup_reader, self._wakeup_writer = os.pipe()
        os.set_blocking(self._wakeup_writer, False)

    def run(self) -> int:
        self._install_signal_handlers()
        try:
            # Other processes test the lock only briefly.
            lock = self._folder.lock(self._folder.watchdog_lock, EXCLUSIVE, wait_seconds=0.5)
            sign_lock(lock)
            self._start()
        except SourceError as error:
            return _report(str(error))
        except LockTakenError:
            # Another watchdog, started by a process that has died since, is starting the server.
            return _report(None)
        except OSError as error:
            return _report(
                f"Cannot start the source database in {self._folder.path}: {error}. Check that the user id "
                f"{os.geteuid()} may read and write everything in that folder (root in a container may lack "
                "CAP_DAC_OVERRIDE) and that its disk has space, or set DVD_RENTAL_HOME to another folder."
            )
        _report(None)
        try:
            self._watch(lock)
        except SourceError as error:
            _log(str(error))
            return 1
        finally:
            self._unpublish()
            deleted = os.fstat(lock).st_nlink == 0
            self._postmaster.stop(signal.SIGQUIT if deleted else signal.SIGINT)
        return 0

    def _install_signal_handlers(self) -> None:
        # A handler, since PostgreSQL would inherit SIG_IGN until it installs its own.
        signal.signal(signal.SIGINT, lambda *_: None)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._on_stop)
        # Wakes the loop when the server ends.
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wakeup_writer, warn_on_full_buffer=False)

    def _on_stop(self, *_: object) -> None:
        self._stop_requested = True

    def _start(self) -> None:
        # The same port after a crash, so that clients can connect again.
        port = self._postmaster.start(self._port)
        record = ServerRecord(
            folder=os.path.realpath(self._folder.path),
            port=port,
            version=self._binaries.version,
            pid=self._postmaster.pid,
        )
        try:
            self._published = self._folder.publish(record)
        except OSError:
            self._postmaster.stop()
            raise

    def _unpublish(self) -> None:
        if self._published is not None:
            os.close(self._published)
            self._published = None

    def _watch(self, lock: int) -> None:
        """Return when the server is to be shut down."""
        last_used = started = time.monotonic()
        last_lease = 0.0
        restarts = 0
        while not self._stop_requested:
            if not is_still_at(lock, self._folder.watchdog_lock):
                _log(
                    f"{self._folder.path} is no longer the folder that this server was started in: shutting "
                    "down"
                )
                return
            now = time.monotonic()
            if not self._postmaster.is_running:
                restarts = restarts + 1 if now - started < _STABLE_SECONDS else 1
                self._restart(restarts)
                started = time.monotonic()
            lease_lock = self._lock_free_lease()
            leased = self._last_lease_time()
            if lease_lock is None or leased != last_lease or self._folder.stay_marker.exists():
                last_used, last_lease = now, leased
            elif now - last_used >= self._grace:
                # Held until this process ends: a new lease waits for that, then starts another watchdog.
                return
            if lease_lock is not None:
                os.close(lease_lock)
            self._truncate_log()
            self._sleep()

    def _restart(self, attempt: int) -> None:
        _log(f"the server in {self._folder.path} ended unexpectedly: restart {attempt}")
        self._unpublish()
        self._postmaster.stop()
        if attempt > _MAX_CONSECUTIVE_RESTARTS:
            raise SourceError(f"the server in {self._folder.path} ended {attempt} times in a row: giving up")
        self._start()

    def _lock_free_lease(self) -> int | None:
        """Return the locked lease file, or None if a lease is held."""
        try:
            return self._folder.lock(self._folder.lease_lock, EXCLUSIVE, wait_seconds=0)
        except LockTakenError:
            return None

    def _last_lease_time(self) -> float:
        # Every lease sets it, so that leases between two iterations count too.
        try:
            return self._folder.lease_lock.stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def _truncate_log(self) -> None:
        # PostgreSQL keeps the file open and appends to it.
        log = self._folder.log
        with contextlib.suppress(OSError):
            if log.stat().st_size > _MAX_LOG_BYTES:
                shutil.copyfile(log, log.with_suffix(".log.1"))
                os.truncate(log, 0)

    def _sleep(self) -> None:
        if select.select([self._wakeup_reader], [], [], self._interval)[0]:
            os.read(self._wakeup_reader, 4096)


def _report(error: str | None) -> int:
    """Write the outcome of the start to the parent's pipe, close the pipe, and return the exit code."""
    # The parent may have been killed or interrupted.
    with contextlib.suppress(BrokenPipeError):
        os.write(sys.stdout.fileno(), json.dumps({"error": error}).encode() + b"\n")
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
    if error is not None:
        _log(error)
    return 0 if error is None else 1


def _log(message: str) -> None:
    sys.stderr.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {message}\n")
    sys.stderr.flush()


def _detach() -> None:
    """Continue in a child process, so that the parent neither waits for it nor ends it."""
    if os.fork() != 0:
        os._exit(0)


def main() -> int:
    parser = argparse.ArgumentParser(prog="watchdog", description="Owns one embedded PostgreSQL server.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--binaries", type=Path, required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--port", type=int)
    parser.add_argument("--grace", type=float, required=True)
    arguments = parser.parse_args()
    _detach()
    os.umask(0o077)
    binaries = PostgresBinaries(arguments.binaries, arguments.version)
    return _Watchdog(ServerFolder(arguments.folder), binaries, arguments.port, arguments.grace).run()


if __name__ == "__main__":
    sys.exit(main())
