"""The small process that owns one embedded server, and ends it when nobody needs it any more.

`python -m dvd_rental_pipeline.sample.postgres.watchdog FOLDER ...` detaches itself from whoever started it,
starts the server in FOLDER, answers one line of JSON on its standard output (`{"error": null}` or what went
wrong), and then stays until no lease was held for the grace period, `stop` signals it, or the folder is gone.
It is started by `EmbeddedPostgres` alone. No Dagster and no database driver in here: it lives beside every run.
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
from dvd_rental_pipeline.sample.postgres.cluster import Cluster
from dvd_rental_pipeline.sample.postgres.server_folder import (
    EXCLUSIVE,
    LockTakenError,
    ServerFolder,
    ServerRecord,
    is_still_at,
    sign_lock,
)

_LARGEST_LOG = 10_000_000
_RESTARTS_IN_A_ROW = 3
_CALM_SECONDS = 60.0


class _Watchdog:
    def __init__(
        self, folder: ServerFolder, binaries: PostgresBinaries, port: int | None, grace: float
    ) -> None:
        self._folder = folder
        self._binaries = binaries
        self._port = port
        self._grace = grace
        self._interval = min(1.0, grace / 4)
        self._cluster = Cluster(folder, binaries)
        self._asked_to_stop = False
        self._published: int | None = None
        self._wake, self._alarm = os.pipe()
        os.set_blocking(self._alarm, False)

    def run(self) -> int:
        self._listen_to_signals()
        try:
            # Waits for no more than somebody's glance at the lock.
            lock = self._folder.lock(self._folder.watchdog_lock, EXCLUSIVE, wait_seconds=0.5)
            sign_lock(lock)
            self._start()
        except SourceError as error:
            return _answer(str(error))
        except LockTakenError:
            # Another was on its way, started by a process that has died since. It does the work.
            return _answer(None)
        except OSError as error:
            return _answer(
                f"Cannot start the source database in {self._folder.path}: {error}. Check that the user id "
                f"{os.geteuid()} may read and write everything in that folder (the root of a container may "
                "have been denied CAP_DAC_OVERRIDE) and that its disk has space, or set DVD_RENTAL_HOME to "
                "another folder."
            )
        _answer(None)
        try:
            self._watch(lock)
        except SourceError as error:
            _note(str(error))
            return 1
        finally:
            self._withdraw()
            deleted = os.fstat(lock).st_nlink == 0
            self._cluster.stop(signal.SIGQUIT if deleted else signal.SIGINT)
        return 0

    def _listen_to_signals(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._on_stop)
        # Wakes the watch at once when the server ends.
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._alarm, warn_on_full_buffer=False)

    def _on_stop(self, *_: object) -> None:
        self._asked_to_stop = True

    def _start(self) -> None:
        # The same port after a crash, so that whoever uses the server can connect again.
        port = self._cluster.start(self._port)
        record = ServerRecord(
            folder=os.path.realpath(self._folder.path),
            port=port,
            version=self._binaries.version,
            pid=self._cluster.pid,
        )
        try:
            self._published = self._folder.publish(record)
        except OSError:
            self._cluster.stop()
            raise

    def _withdraw(self) -> None:
        if self._published is not None:
            os.close(self._published)
            self._published = None

    def _watch(self, lock: int) -> None:
        """Return once the server is to be shut down."""
        used = started = time.monotonic()
        last_lease = 0.0
        restarts = 0
        while not self._asked_to_stop:
            if not is_still_at(lock, self._folder.watchdog_lock):
                _note(f"{self._folder.path} is no longer the folder this server was started in: leaving")
                return
            now = time.monotonic()
            if not self._cluster.is_running:
                restarts = restarts + 1 if now - started < _CALM_SECONDS else 1
                self._restart(restarts)
                started = time.monotonic()
            lease = self._free_lease()
            touched = self._last_lease()
            if lease is None or touched != last_lease or self._folder.stay_marker.exists():
                used, last_lease = now, touched
            elif now - used >= self._grace:
                # Kept until this process ends: whoever wants a lease now waits for that, then starts anew.
                return
            if lease is not None:
                os.close(lease)
            self._shorten_log()
            self._sleep()

    def _restart(self, attempt: int) -> None:
        _note(f"the server in {self._folder.path} ended unasked: starting it again ({attempt})")
        self._withdraw()
        self._cluster.stop()
        if attempt > _RESTARTS_IN_A_ROW:
            raise SourceError(f"the server in {self._folder.path} ended {attempt} times in a row: leaving")
        self._start()

    def _free_lease(self) -> int | None:
        """The lease lock, if nobody holds a lease."""
        try:
            return self._folder.lock(self._folder.lease_lock, EXCLUSIVE, wait_seconds=0)
        except LockTakenError:
            return None

    def _last_lease(self) -> float:
        # Set by every lease, so that those between two looks count too.
        try:
            return self._folder.lease_lock.stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def _shorten_log(self) -> None:
        # PostgreSQL goes on writing to the same file, at its end.
        log = self._folder.log
        with contextlib.suppress(OSError):
            if log.stat().st_size > _LARGEST_LOG:
                shutil.copyfile(log, log.with_suffix(".log.1"))
                os.truncate(log, 0)

    def _sleep(self) -> None:
        if select.select([self._wake], [], [], self._interval)[0]:
            os.read(self._wake, 4096)


def _answer(error: str | None) -> int:
    """Tell the starter how it went, if it still listens, and let go of its pipe."""
    # It may have been killed, or interrupted from the keyboard.
    with contextlib.suppress(BrokenPipeError):
        os.write(sys.stdout.fileno(), json.dumps({"error": error}).encode() + b"\n")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    if error is not None:
        _note(error)
    return 0 if error is None else 1


def _note(message: str) -> None:
    sys.stderr.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {message}\n")
    sys.stderr.flush()


def _detach() -> None:
    """Leave the starter's family: it need not wait for this process, and cannot take it along."""
    if os.fork() != 0:
        os._exit(0)


def main() -> int:
    parser = argparse.ArgumentParser(prog="watchdog", description="Owns one embedded PostgreSQL server.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--binaries", type=Path, required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--port", type=int)
    parser.add_argument("--grace", type=float, required=True)
    wanted = parser.parse_args()
    _detach()
    os.umask(0o077)
    binaries = PostgresBinaries(wanted.binaries, wanted.version)
    return _Watchdog(ServerFolder(wanted.folder), binaries, wanted.port, wanted.grace).run()


if __name__ == "__main__":
    sys.exit(main())
