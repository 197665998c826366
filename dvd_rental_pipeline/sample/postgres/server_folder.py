"""The folder of one embedded server: which file is what, its locks, and the record of the running server.

Who is alive is told by file locks alone. The kernel drops them however a process ends, they move along with
the folder, and a copy of the folder has locks of its own, so no process id is ever trusted:

- `lease.lock`: shared by everyone who needs the server.
- `start.lock`: exclusive to the one process that is asking for a start.
- `watchdog.lock`: exclusive to the watchdog, for its whole life.
- `server.json`: exclusive to the watchdog while the server is up; it is the record of that server.
- `server.lock`: held by PostgreSQL's own processes, which inherit it; free once the last of them is gone.
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
    """Another process kept a lock for longer than the caller would wait."""


@dataclass(frozen=True)
class ServerRecord:
    """The running server, as its watchdog describes it."""

    folder: str
    port: int
    version: str
    pid: int


@dataclass(frozen=True)
class ServerFolder:
    """Names and small files of the folder at `path`."""

    path: Path

    @property
    def cluster(self) -> Path:
        """PostgreSQL's data directory."""
        return self.path / "cluster"

    @property
    def password_file(self) -> Path:
        """In libpq's format; URLs name it so that they hold no secret themselves."""
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
        """The port used last, to be used again so that URLs stay the same."""
        return self.path / "port"

    @property
    def stay_marker(self) -> Path:
        """Exists while the server was asked to stay without leases."""
        return self.path / "stay"

    @property
    def log(self) -> Path:
        return self.path / "postgres.log"

    @property
    def watchdog_log(self) -> Path:
        return self.path / "watchdog.log"

    def create(self) -> None:
        """Make the folder if it is missing, and show that it can be written.

        Raises:
            OSError: it cannot be made or written.
        """
        if not self.path.is_dir():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # As root the server runs under another user id, which has to pass through to its cluster.
            self.path.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, exist_ok=True)
        os.close(self._open_lock(self.start_lock))

    def write(self, file: Path, text: str) -> None:
        """Write a small private file so that nobody ever sees half of it."""
        descriptor, name = tempfile.mkstemp(dir=self.path, prefix=f".{file.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(text)
            self._give_to_owner(name)
            Path(name).replace(file)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def open_log(self, file: Path) -> int:
        """A descriptor that appends to the private log `file`."""
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._give_to_owner(file)
        return descriptor

    def lock(self, file: Path, operation: int, *, wait_seconds: float) -> int:
        """Lock `file` and return the descriptor that holds the lock until it is closed.

        Raises:
            LockTakenError: it stayed taken for `wait_seconds`.
            OSError: the file cannot be opened or made.
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
        """Whether somebody holds `file` exclusively."""
        try:
            descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return False
        try:
            return _is_locked(descriptor)
        finally:
            os.close(descriptor)

    def publish(self, record: ServerRecord) -> int:
        """Say that the server is up, for as long as the returned descriptor stays open."""
        descriptor, name = tempfile.mkstemp(dir=self.path, prefix=f".{self.record_file.name}.")
        try:
            fcntl.flock(descriptor, EXCLUSIVE)
            os.write(descriptor, json.dumps(asdict(record)).encode())
            self._give_to_owner(name)
            Path(name).replace(self.record_file)
        except BaseException:
            os.close(descriptor)
            Path(name).unlink(missing_ok=True)
            raise
        return descriptor

    def read_record(self) -> ServerRecord | None:
        """The running server; None while there is none, or it is only coming up or going down."""
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
        # The watchdog of a folder that was moved while it ran shuts down as soon as it notices.
        return record if record.folder == os.path.realpath(self.path) else None

    def read_port(self) -> int | None:
        try:
            port = int(self.port_file.read_text("utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return port if 1024 <= port <= 65535 else None

    def _open_lock(self, file: Path) -> int:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._give_to_owner(file)
        return descriptor

    def _give_to_owner(self, file: Path | str) -> None:
        # Root may serve an ordinary user's home; that user has to be able to go on with it.
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
    """Whether the open file is the one at that path, neither deleted nor moved nor replaced."""
    try:
        there = file.stat()
    except OSError:
        return False
    here = os.fstat(descriptor)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def sign_lock(descriptor: int) -> None:
    """Note in a lock file that this process holds it."""
    process = psutil.Process()
    identity = {"pid": process.pid, "started": process.create_time()}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(identity).encode(), 0)


def signal_holder(lock: Path, number: int) -> None:
    """Signal the process that signed `lock`, if it is still that process and not a later one of its number."""
    try:
        identity = json.loads(lock.read_text("utf-8"))
        holder = psutil.Process(identity["pid"])
        # Two processes may read a start time some ticks apart when the clock is adjusted in between.
        if abs(holder.create_time() - identity["started"]) < 5:
            holder.send_signal(number)
    except (OSError, ValueError, psutil.Error):
        return
