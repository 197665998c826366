"""The private folder of the server's Unix socket."""

import os
import shutil
import stat
import tempfile
from hashlib import sha256
from pathlib import Path

from dvd_rental_pipeline.sample.postgres.process_user import ProcessUser
from dvd_rental_pipeline.sample.postgres.server_folder import is_still_at

_MAX_SOCKET_PATH_BYTES = 103


class SocketFolder:
    """A folder that exists from `create` to `remove`, below the server folder `home` if the path is short."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._created: tuple[Path, int] | None = None

    def create(self, user: ProcessUser) -> Path | None:
        """Create the folder for `user`; return None if no path is short enough: TCP is sufficient."""
        self.remove()
        below_home = self._home / "socket"
        # Short for any home, and the same at each start, so that no folders are left behind.
        name = sha256(os.fsencode(os.path.realpath(self._home))).hexdigest()[:16]
        temporary = Path(tempfile.gettempdir(), f"dvd_rental-{name}")
        for folder in (below_home, temporary):
            if len(os.fsencode(folder / ".s.PGSQL.65535")) > _MAX_SOCKET_PATH_BYTES:
                continue
            # An old socket's lock file may contain a process id that another program has now.
            _remove_owned(folder, user)
            try:
                folder.mkdir(mode=0o700)
            except FileExistsError:
                # Another user's, in a folder that every user may write.
                continue
            self._created = (folder, os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            if not user.is_current:
                os.chown(folder, user.uid, user.gid)
            return folder
        return None

    def remove(self) -> None:
        """Remove the folder, if it was created and not replaced since."""
        if self._created is None:
            return
        folder, descriptor = self._created
        self._created = None
        # If the home was deleted and created again, the folder may be another server's.
        if is_still_at(descriptor, folder):
            shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def _remove_owned(folder: Path, user: ProcessUser) -> None:
    try:
        status = folder.lstat()
    except OSError:
        return
    if stat.S_ISDIR(status.st_mode) and status.st_uid in (os.geteuid(), user.uid):
        shutil.rmtree(folder, ignore_errors=True)
