"""Whom PostgreSQL's processes run as, and how a child process becomes that.

PostgreSQL refuses to run as root. An ordinary user runs it as itself. Root hands it to a user id that nobody
has, so that no account has to be made and no other program of the machine shares it. That id may be unable to
reach the programs or the data (both often lie under root's private home); the child then keeps one capability,
CAP_DAC_OVERRIDE, and the folders on the way stay as they are.
"""

import ctypes
import functools
import grp
import hashlib
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from dvd_rental_pipeline.sample.errors import SourceError

_UNASSIGNED_IDS = range(61184, 65520)  # what systemd keeps for dynamic users; other systems leave it free

_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAP_DAC_OVERRIDE = 1
_CAPABILITY_VERSION_3 = 0x20080522

_ON_LINUX = sys.platform == "linux"


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapabilitySets(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


@dataclass(frozen=True)
class Account:
    """The user and group id of a child process, and whether it may, and does, reach past file permissions."""

    uid: int
    gid: int
    may_reach_past_permissions: bool = False
    reaches_past_permissions: bool = False

    @classmethod
    def for_cluster(cls, cluster: Path) -> Self:
        """Who is to run the server of `cluster`, which need not exist yet.

        Raises:
            SourceError: the cluster belongs to somebody else.
        """
        owner = cluster.stat() if cluster.exists() else None
        if os.geteuid() != 0:
            if owner is not None and owner.st_uid != os.geteuid():
                raise SourceError(
                    f"{cluster} belongs to the user with id {owner.st_uid}, not to you: it was made by another "
                    "user or by root. Run as that user, set DVD_RENTAL_HOME to a folder of your own, or give "
                    "the folder to yourself with chown."
                )
            return cls(os.geteuid(), os.getegid())
        home = cluster.parent.stat()
        if owner is None or owner.st_uid == 0:
            owner = home
        # In a home of its own an ordinary user is the database's superuser, which can run programs as the
        # server: there the server must not be able to do more than that user.
        may_reach = _ON_LINUX and home.st_uid == 0
        if owner.st_uid != 0:
            return cls(owner.st_uid, owner.st_gid, may_reach)
        number = _unassigned_id(os.path.realpath(cluster))
        return cls(number, number, may_reach)

    @property
    def is_this_process(self) -> bool:
        return self.uid == os.geteuid()

    def known_to_the_system(self) -> "Account":
        """An account that has a name, which initdb insists on; the group stays, so that it alone gets in.

        Raises:
            SourceError: there is none.
        """
        if _has_name(self.uid):
            return self
        if self.is_this_process:
            raise SourceError(
                f"Your user id {self.uid} has no entry in the system's user list, and PostgreSQL's initdb "
                "insists on one. Run as a named user, or set DVD_RENTAL_SOURCE_URL to a PostgreSQL of your own."
            )
        named = sorted(entry.pw_uid for entry in pwd.getpwall() if entry.pw_uid != 0)
        if not named:
            raise SourceError(
                "The system's user list knows root alone, and PostgreSQL does not run as root. Add an ordinary "
                "user (nobody will do), or set DVD_RENTAL_SOURCE_URL to a PostgreSQL of your own."
            )
        # nobody has the highest number, where there is one.
        return replace(self, uid=named[-1])

    def with_access_to(self, program: Path, folder: Path) -> "Account":
        """This account, with the capability if and only if it cannot run `program` inside `folder` without.

        Raises:
            SourceError: it cannot with the capability either.
        """
        for candidate in (self, replace(self, reaches_past_permissions=True)):
            if _runs(candidate, program, folder):
                return candidate
            if not self.may_reach_past_permissions:
                break
        raise SourceError(
            f"PostgreSQL runs as the user id {self.uid} here, which cannot reach both its programs in "
            f"{program.parent} and its data in {folder}"
            + (
                ", and this machine does not let root hand on the capability CAP_DAC_OVERRIDE. "
                if self.may_reach_past_permissions
                else ". "
            )
            + "Move the Python environment and DVD_RENTAL_HOME to folders that every user may pass through "
            "(not below a private home folder), or run as an ordinary user."
        )

    def become(self, *, dies_with_parent: bool = True) -> Callable[[], None]:
        """What a child process calls between fork and exec to become this account."""
        libc = _libc() if _ON_LINUX else None
        parent = os.getpid()
        switch = not self.is_this_process

        def enter() -> None:
            # The watchdog ignores it, and PostgreSQL has to hear it even before it listens for it.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            if switch:
                if libc and self.reaches_past_permissions:
                    _check(libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0))
                os.setgroups([])
                os.setgid(self.gid)
                os.setuid(self.uid)
                if libc and self.reaches_past_permissions:
                    _keep_only_dac_override(libc)
            if libc and dies_with_parent:
                # After the change of user, which would undo it.
                _check(libc.prctl(_PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0))
                if os.getppid() != parent:
                    os._exit(1)

        return enter

    def take_over(self, folder: Path) -> None:
        """Make `folder` and everything in it this account's own.

        Raises:
            SourceError: root may not give files away here.
        """
        if folder.stat().st_uid == self.uid:
            return
        try:
            for parent, folders, files in os.walk(folder, topdown=False):
                for name in (*folders, *files):
                    os.lchown(Path(parent, name), self.uid, self.gid)
            # Last, so that an interrupted change of owner is seen and done again.
            os.lchown(folder, self.uid, self.gid)
        except OSError as error:
            raise SourceError(
                f"PostgreSQL does not run as root, and {folder} cannot be given to another user id "
                f"({error.strerror}). Run as an ordinary user, or set DVD_RENTAL_SOURCE_URL to a PostgreSQL of "
                "your own."
            ) from error


def _unassigned_id(path: str) -> int:
    # The same for a path each time, and rarely that of another home.
    start = int.from_bytes(hashlib.sha256(path.encode("utf-8", "surrogateescape")).digest()[:4], "big")
    taken = {entry.pw_uid for entry in pwd.getpwall()} | {entry.gr_gid for entry in grp.getgrall()}
    for offset in range(len(_UNASSIGNED_IDS)):
        number = _UNASSIGNED_IDS[(start + offset) % len(_UNASSIGNED_IDS)]
        if number not in taken:
            return number
    raise SourceError("Every user id that root could run PostgreSQL under is taken. Run as an ordinary user.")


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _runs(account: Account, program: Path, folder: Path) -> bool:
    enter = account.become()

    def enter_folder() -> None:
        enter()
        os.chdir(folder)

    try:
        subprocess.run(
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=enter_folder,
            check=True,
            timeout=30,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return True


@functools.cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)
    return libc


def _check(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _keep_only_dac_override(libc: ctypes.CDLL) -> None:
    header = _CapabilityHeader(_CAPABILITY_VERSION_3, 0)
    wanted = 1 << _CAP_DAC_OVERRIDE
    sets = (_CapabilitySets * 2)(_CapabilitySets(wanted, wanted, wanted), _CapabilitySets(0, 0, 0))
    _check(libc.capset(ctypes.byref(header), ctypes.byref(sets)))
    _check(libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0))
