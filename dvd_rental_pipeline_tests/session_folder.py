"""A folder that all processes of a test session share, with a pipe that signals the end of the session."""

import atexit
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

_VARIABLE = "TEST_SESSION_FOLDER"
_PIPE = "session"


@cache
def session_folder() -> Path:
    """The folder, which the process that asks for it first creates. With xdist that is the one that starts the
    workers; it is removed when that process ends.
    """
    if inherited := os.environ.get(_VARIABLE):
        return Path(inherited)
    folder = Path(tempfile.mkdtemp(prefix="test-session-"))
    os.environ[_VARIABLE] = str(folder)
    os.mkfifo(folder / _PIPE)
    # Never closed: the pipe has a writer until this process ends, in whatever way.
    os.open(folder / _PIPE, os.O_RDWR)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def session_end(folder: Path) -> int:
    """A file descriptor that becomes readable when the session of `folder` has ended."""
    return os.open(folder / _PIPE, os.O_RDONLY | os.O_NONBLOCK)
