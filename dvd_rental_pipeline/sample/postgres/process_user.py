"""The operating-system user that PostgreSQL's processes run as.

PostgreSQL refuses to run as root. An ordinary user runs it as itself. Root runs it under an unassigned user id,
so that no account has to be created and no other program shares it. That id may lack access to the programs or
the data (both are often below root's private home); its processes then get one capability, CAP_DAC_OVERRIDE,
and the permissions of the folders stay unchanged.

`subprocess` changes the user. On Linux, `setpriv` (util-linux) does what `subprocess` cannot: it passes on the
capability, and has the kernel send SIGINT when the parent process dies. Without it, a server whose watchdog was
killed keeps running until the next start ends it, as on other systems.
"""

import functools
import grp
import hashlib
import os
import pwd
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self, TypedDict

from dvd_rental_pipeline.sample.errors import SourceError

_UNASSIGNED_IDS = range(61184, 65520)  # systemd reserves them for dynamic users; other systems do not use them


class SubprocessUser(TypedDict):
    """The arguments of `subprocess.Popen` that change the user; None: no change."""

    user: int | None
    group: int | None
    extra_groups: list[int] | None


@dataclass(frozen=True)
class ProcessUser:
    """User and group id of a process, and whether it may get, and has, the capability CAP_DAC_OVERRIDE."""

    uid: int
    gid: int
    may_override_permissions: bool = False
    overrides_permissions: bool = False

    @classmethod
    def for_cluster(cls, cluster: Path) -> Self:
        """Return the user that runs the server of the data directory `cluster`, which need not exist yet.

        Raises:
            SourceError: the data directory belongs to another user.
        """
        owner = cluster.stat() if cluster.exists() else None
        if os.geteuid() != 0:
            if owner is not None and owner.st_uid != os.geteuid():
                raise SourceError(
                    f"{cluster} belongs to the user with id {owner.st_uid}, not to you: another user or root "
                    "created it. Run as that user, set DVD_RENTAL_HOME to a folder of your own, or change the "
                    "owner of the folder with chown."
                )
            return cls(os.geteuid(), os.getegid())
        home = cluster.parent.stat()
        if owner is None or owner.st_uid == 0:
            owner = home
        # In an ordinary user's home, that user is the database's superuser, which can run programs as the
        # server: the server must have no more rights than that user.
        may_override = sys.platform == "linux" and home.st_uid == 0
        if owner.st_uid != 0:
            return cls(owner.st_uid, owner.st_gid, may_override)
        number = _unassigned_id(os.path.realpath(cluster))
        return cls(number, number, may_override)

    @property
    def is_current(self) -> bool:
        """Whether this process runs as this user."""
        return self.uid == os.geteuid()

    @property
    def subprocess_user(self) -> SubprocessUser:
        """The arguments to pass to `subprocess` together with `command`."""
        if self.is_current or self.overrides_permissions:
            return SubprocessUser(user=None, group=None, extra_groups=None)
        # Not an empty list of groups, which Python 3.12.0 ignores.
        return SubprocessUser(user=self.uid, group=self.gid, extra_groups=[self.gid])

    def command(self, program: str | Path, *arguments: str) -> list[str]:
        """Return the command line that runs `program` as this user, and ends it by SIGINT with its parent."""
        setpriv = _setpriv()
        if setpriv is None:
            return [str(program), *arguments]
        options = ["--pdeathsig=INT"]
        if self.overrides_permissions:
            capabilities = "-all,+dac_override"
            options += [f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups"]
            options += [f"--inh-caps={capabilities}", f"--ambient-caps={capabilities}"]
            # Without this bit access(2), by which initdb and postgres find programs, ignores the capability.
            options.append("--securebits=+no_setuid_fixup")
        return [setpriv, *options, str(program), *arguments]

    def with_account(self) -> "ProcessUser":
        """Return a user that the system's user list knows, as initdb requires; the group stays the same.

        Raises:
            SourceError: there is none.
        """
        if _has_account(self.uid):
            return self
        if self.is_current:
            raise SourceError(
                f"Your user id {self.uid} has no entry in the system's user list, which PostgreSQL's initdb "
                "requires. Run as a named user, or set DVD_RENTAL_SOURCE_URL to a PostgreSQL of your own."
            )
        uids = sorted(entry.pw_uid for entry in pwd.getpwall() if entry.pw_uid != 0)
        if not uids:
            raise SourceError(
                "The system's user list contains only root, and PostgreSQL does not run as root. Add an "
                "ordinary user (such as nobody), or set DVD_RENTAL_SOURCE_URL to a PostgreSQL of your own."
            )
        # The user nobody, where it exists, has the highest id.
        return replace(self, uid=uids[-1])

    def with_access_to(self, program: Path, folder: Path) -> "ProcessUser":
        """Return this user, with the capability only if it cannot run `program` inside `folder` without it.

        Raises:
            SourceError: it cannot with the capability either.
        """
        candidates = [self]
        if self.may_override_permissions:
            candidates.append(replace(self, overrides_permissions=True))
        for candidate in candidates:
            if _can_run(candidate, program, folder):
                return candidate
        reason = (
            ", and root could not give it the capability CAP_DAC_OVERRIDE, for which it needs setpriv of "
            "util-linux 2.33 or newer. "
            if self.may_override_permissions
            else ". "
        )
        raise SourceError(
            f"PostgreSQL runs as the user id {self.uid} here, which cannot reach both its programs in "
            f"{program.parent} and its data in {folder}{reason}Move the Python environment and DVD_RENTAL_HOME "
            "to folders that every user may pass through (not below a private home folder), or run as an "
            "ordinary user."
        )

    def take_ownership(self, folder: Path) -> None:
        """Make this user the owner of `folder` and everything in it.

        Raises:
            SourceError: root may not change owners here.
        """
        if folder.stat().st_uid == self.uid:
            return
        try:
            for parent, folders, files in os.walk(folder, topdown=False):
                for name in (*folders, *files):
                    os.lchown(Path(parent, name), self.uid, self.gid)
            # Last, so that an interrupted change of owner is detected and repeated.
            os.lchown(folder, self.uid, self.gid)
        except OSError as error:
            raise cannot_change_owner(folder, error) from error


def cannot_change_owner(path: Path, error: OSError) -> SourceError:
    """Return the error to raise when root may not change the owner of `path`."""
    return SourceError(
        f"PostgreSQL does not run as root, and the owner of {path} cannot be changed ({error.strerror}). Run "
        "as an ordinary user, or set DVD_RENTAL_SOURCE_URL to a PostgreSQL of your own."
    )


@functools.cache
def _setpriv() -> str | None:
    """Return the path of setpriv, if it exists and can set the signal of a parent's death."""
    program = shutil.which("setpriv") if sys.platform == "linux" else None
    if program is None:
        return None
    usage = subprocess.run([program, "--help"], capture_output=True, text=True, check=False).stdout
    return program if "--pdeathsig" in usage else None


def _unassigned_id(path: str) -> int:
    # The same for a path each time, and rarely that of another home.
    start = int.from_bytes(hashlib.sha256(path.encode("utf-8", "surrogateescape")).digest()[:4], "big")
    assigned = {entry.pw_uid for entry in pwd.getpwall()} | {entry.gr_gid for entry in grp.getgrall()}
    for offset in range(len(_UNASSIGNED_IDS)):
        number = _UNASSIGNED_IDS[(start + offset) % len(_UNASSIGNED_IDS)]
        if number not in assigned:
            return number
    raise SourceError(
        "Every user id that root could run PostgreSQL under is assigned. Run as an ordinary user."
    )


def _has_account(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _can_run(user: ProcessUser, program: Path, folder: Path) -> bool:
    if user.overrides_permissions and _setpriv() is None:
        return False
    # `subprocess` would change the folder before the user.
    script = 'cd "$1" && exec "$2" --version'
    try:
        subprocess.run(
            user.command("/bin/sh", "-c", script, "sh", str(folder), str(program)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
            timeout=30,
            **user.subprocess_user,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return True
