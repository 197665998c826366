"""The folder of one embedded server: file names, locks, and the record of the running server.

File locks alone determine which processes are alive. The kernel releases them however a process ends, they move
with the folder, and a copy of the folder has locks of its own, so no process id is trusted:

- `lease.lock`: shared by all processes that use the server.
- `start.lock`: exclusive to the one process that requests a start.
- `watchdog.lock`: exclusive to the watchdog while it runs.
- `server.json`: exclusive to the watchdog while the server runs; it is the record of that server.
- `server.lock`: held by PostgreSQL's processes, which inherit it; free when the last of them has ended.
"""

import fcntl
import json
import os
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

SHARED = fcntl.LOCK_SH
EXCLUSIVE = fcntl.LOCK_EX

_PAUSE_SECONDS = 0.02


class LockTakenError(Exception):
    """Another process held a lock for longer than the caller waits."""


@dataclass(frozen=True)
class ServerRecord:
    """The running server, as recorded by its watchdog."""

    folder: str
    port: int
    version: str
    pid: int


@dataclass(frozen=True)
class ServerFolder:
    """The files of the folder at `path`."""

    path: Path

    @property
    def cluster(self) -> Path:
        """PostgreSQL's data directory."""
        return self.path / "cluster"

    @property
    def password_file(self) -> Path:
        """In libpq's format; URLs refer to it, so that they contain no secret."""
        return self.path / "pgpass"

    @property
    def lease_lock(self) -> Path:
        return self.path / "lease.lock"

    @property
    def start_lock(self) -> Path:
        return self.path / "start.lock"

    @property
    def watchdog_lock(self) -> Path:
        return self.path / "watchdog.lock"

    @property
    def server_lock(self) -> Path:
        return self.path / "server.lock"

    @property
    def record_file(self) -> Path:
        return self.path / "server.json"

    @property
    def port_file(self) -> Path:
        """The last port, used again so that URLs stay the same."""
        return self.path / "port"

    @property
    def stay_marker(self) -> Path:
        """Exists while the server is to run without leases."""
        return self.path / "stay"

    @property
    def log(self) -> Path:
        return self.path / "postgres.log"

    @property
    def watchdog_log(self) -> Path:
        return self.path / "watchdog.log"

    def create(self) -> None:
        """Create the folder if it is missing, and check that it is writable.

        Raises:
            OSError: it cannot be created or written.
        """
        if not self.path.is_dir():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Root runs the server under another user id, which needs access to its cluster.
            self.path.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, exist_ok=True)
        os.close(self._open_lock(self.start_lock))

    def write(self, file: Path, text: str) -> None:
        """Write a small private file atomically."""
        descriptor, name = tempfile.mkstemp(dir=self.path, prefix=f".{file.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(text)
            self._set_owner(name)
            Path(name).replace(file)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def open_log(self, file: Path) -> int:
        """Return a descriptor that appends to the private log `file`."""
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._set_owner(file)
        return descriptor

    def lock(self, file: Path, operation: int, *, wait_seconds: float) -> int:
        """Lock `file`; the lock is released when the returned descriptor is closed.

        Raises:
            LockTakenError: another process held it for `wait_seconds`.
            OSError: the file cannot be opened or created.
        """
        deadline = time.monotonic() + wait_seconds
        while True:
            descriptor = self._open_lock(file)
            try:
                fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
                if is_still_at(descriptor, file):
                    return descriptor
            except BlockingIOError:
                if time.monotonic() > deadline:
                    os.close(descriptor)
                    raise LockTakenError(file) from None
                time.sleep(_PAUSE_SECONDS)
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def is_locked(self, file: Path) -> bool:
        """Return whether a process holds `file` exclusively."""
        try:
            descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return False
        try:
            return _is_locked(descriptor)
        finally:
            os.close(descriptor)

    def publish(self, record: ServerRecord) -> int:
        """Record that the server runs; the record is valid while the returned descriptor stays open."""
        descriptor, name = tempfile.mkstemp(dir=self.path, prefix=f".{self.record_file.name}.")
        try:
            fcntl.flock(descriptor, EXCLUSIVE)
            os.write(descriptor, json.dumps(asdict(record)).encode())
            self._set_owner(name)
            Path(name).replace(self.record_file)
        except BaseException:
            os.close(descriptor)
            Path(name).unlink(missing_ok=True)
            raise
        return descriptor

    def read_record(self) -> ServerRecord | None:
        """Return the running server; None if there is none, or it is starting or stopping."""
        try:
            descriptor = os.open(self.record_file, os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            if not _is_locked(descriptor):
                return None
            record = ServerRecord(**json.loads(os.read(descriptor, 65536)))
        finally:
            os.close(descriptor)
        # The watchdog of a folder that was moved while it ran shuts down as soon as it detects the move.
        return record if record.folder == os.path.realpath(self.path) else None

    def read_port(self) -> int | None:
        try:
            port = int(self.port_file.read_text("utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return port if 1024 <= port <= 65535 else None

    def _open_lock(self, file: Path) -> int:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._set_owner(file)
        return descriptor

    def _set_owner(self, file: Path | str) -> None:
        # Root may use an ordinary user's home; that user must keep access to the files.
        if os.geteuid() == 0:
            owner = self.path.stat()
            if owner.st_uid != 0:
                os.chown(file, owner.st_uid, owner.st_gid)


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, SHARED | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def is_still_at(descriptor: int, file: Path) -> bool:
    """Return whether the open file is still the one at that path: not deleted, moved or replaced."""
    try:
        current = file.stat()
    except OSError:
        return False
    opened = os.fstat(descriptor)
    return (opened.st_dev, opened.st_ino) == (current.st_dev, current.st_ino)


def sign_lock(descriptor: int) -> None:
    """Write the id and start time of this process into a lock file that it holds."""
    process = psutil.Process()
    identity = {"pid": process.pid, "started": process.create_time()}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(identity).encode(), 0)


def signal_holder(lock: Path, number: int) -> None:
    """Send a signal to the process that signed `lock`, unless another process has its id now."""
    try:
        identity = json.loads(lock.read_text("utf-8"))
        holder = psutil.Process(identity["pid"])
        # Start times read before and after an adjustment of the clock differ slightly.
        if abs(holder.create_time() - identity["started"]) < 5:
            holder.send_signal(number)
    except (OSError, ValueError, psutil.Error):
        return
