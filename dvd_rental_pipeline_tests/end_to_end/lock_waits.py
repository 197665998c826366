"""How long the processes of runs waited for the warehouse: for its file, and for the locks of its schemas."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from dvd_rental_pipeline.warehouse import duckdb_file, duckdb_warehouse


class LockWaits:
    """Waits for a lock, in seconds, of this process and of those that are forked from it."""

    def __init__(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._file = file
        wait_for_file, hold_file_lock = duckdb_file._wait_for_file, duckdb_warehouse.hold_file_lock

        def timed_wait_for_file(*arguments: Any, **options: Any) -> Any:
            with self._timed("the file"):
                return wait_for_file(*arguments, **options)

        @contextmanager
        def timed_hold_file_lock(
            path: Path, *, wait_seconds: float, on_wait: Callable[[], None]
        ) -> Iterator[None]:
            held: AbstractContextManager[None] = hold_file_lock(
                path, wait_seconds=wait_seconds, on_wait=on_wait
            )
            with self._timed(path.name):
                held.__enter__()
            try:
                yield
            finally:
                held.__exit__(None, None, None)

        monkeypatch.setattr(duckdb_file, "_wait_for_file", timed_wait_for_file)
        monkeypatch.setattr(duckdb_warehouse, "hold_file_lock", timed_hold_file_lock)

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        try:
            yield
        finally:
            line = f"{time.monotonic() - started:.3f} {name}\n"
            descriptor = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(descriptor, line.encode())
            os.close(descriptor)

    def all(self) -> list[tuple[float, str]]:
        """Each wait, and what was waited for; the longest first."""
        lines = self._file.read_text(encoding="utf-8").splitlines()
        waits = [line.partition(" ") for line in lines]
        return sorted(((float(seconds), name) for seconds, _, name in waits), reverse=True)
