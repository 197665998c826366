"""Locks between processes, as files. The kernel releases them when their holder dies, even by SIGKILL."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from dvd_rental_pipeline.core.errors import UnwritableFolderError


@contextmanager
def hold_file_lock(path: Path, *, wait_seconds: float, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the lock file `path` while the context lasts; `on_wait` is called once if it is taken.

    Raises:
        TimeoutError: it was not released within `wait_seconds`.
        UnwritableFolderError: the file cannot be created.
    """
    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            on_wait()
            lock.acquire(timeout=max(wait_seconds, 0))
    except Timeout:
        raise TimeoutError(f"{path} is locked") from None
    except OSError as error:
        raise UnwritableFolderError(path.parent, error) from error
    try:
        yield
    finally:
        lock.release()


def is_locked(path: Path) -> bool:
    """Whether another process holds the lock file `path`."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False
