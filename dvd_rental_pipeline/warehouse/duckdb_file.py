"""Connections to a DuckDB file, which one process at a time may open for writing.

DuckDB locks the file for as long as a connection is open, against readers in other processes too, so
connections are short. A process that finds the file locked takes a place in a queue (a lock file beside it) and
polls; one that opens the file often, as dbt does, lets the head of the queue in first (see `dbt_plugin`).
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dvd_rental_pipeline.core.errors import UnwritableFolderError
from dvd_rental_pipeline.warehouse.errors import WarehouseError
from dvd_rental_pipeline.warehouse.file_lock import hold_file_lock, is_locked

if TYPE_CHECKING:
    import duckdb

READ_WAIT_SECONDS = 300.0
WRITE_WAIT_SECONDS = 3600.0
"""Limits of waiting for the file. A writer comes from a run, and may wait for another one."""
POLL_SECONDS = 0.05

BUGGY_OPTIMIZERS = "join_filter_pushdown"
"""Optimizers that are disabled in DuckDB 2.0: with this one, joins with rows that the same transaction wrote
return too few rows, or crash; and grouped joins may lose rows when run in parallel (duckdb/duckdb#22075)."""

MEMORY_LIMIT = "2GB"
"""More is written to a folder beside the file. Without a limit DuckDB takes four fifths of the machine: with 16
million rentals a run took 21 GB, and was no faster."""


@contextmanager
def open_duckdb(
    path: Path,
    *,
    read_only: bool = False,
    wait_seconds: float | None = None,
    on_wait: Callable[[str], None] | None = None,
) -> Iterator["duckdb.DuckDBPyConnection"]:
    """Connect to the DuckDB file at `path`, waiting while another process has it open.

    `on_wait` is called once, with a message, if the file is locked. The limit `wait_seconds` is by default
    READ_WAIT_SECONDS or WRITE_WAIT_SECONDS.

    Raises:
        WarehouseError: the file is missing (read-only), is not a DuckDB file, or stayed locked until the limit.
        KeyboardInterrupt: the process was interrupted during a query.
    """
    import duckdb  # noqa: PLC0415 - the production deployment does not need it

    if read_only:
        _require_file(path)
    if wait_seconds is None:
        wait_seconds = READ_WAIT_SECONDS if read_only else WRITE_WAIT_SECONDS
    connection = _wait_for_file(
        lambda: duckdb.connect(path, read_only=read_only), path, wait_seconds=wait_seconds, on_wait=on_wait
    )
    try:
        with _interruptible():
            _configure(connection)
            yield connection
    finally:
        connection.close()


@contextmanager
def open_beside_duckdb(
    path: Path,
    name: str,
    *,
    wait_seconds: float = READ_WAIT_SECONDS,
    on_wait: Callable[[str], None] | None = None,
) -> Iterator["duckdb.DuckDBPyConnection"]:
    """Connect to an empty in-memory database, with the DuckDB file at `path` attached read-only as `name`.

    Raises:
        WarehouseError: as `open_duckdb`.
    """
    import duckdb  # noqa: PLC0415 - the production deployment does not need it

    _require_file(path)
    literal = "'" + str(path).replace("'", "''") + "'"
    with duckdb.connect(":memory:") as connection:
        _wait_for_file(
            lambda: connection.execute(f"ATTACH {literal} AS {name} (READ_ONLY)"),
            path,
            wait_seconds=wait_seconds,
            on_wait=on_wait,
        )
        with _interruptible():
            _configure(connection)
            yield connection


def hold_duckdb(
    path: Path,
    *,
    yield_first: bool = False,
    wait_seconds: float = WRITE_WAIT_SECONDS,
    on_wait: Callable[[str], None] | None = None,
) -> "duckdb.DuckDBPyConnection":
    """A connection that keeps the file open for this process until it is closed; waits as `open_duckdb`.

    With `yield_first`, a process that already waits for the file opens it first. Without it, whoever closes the
    file and opens it again is quicker than one that polls.

    Raises:
        WarehouseError: as `open_duckdb`.
    """
    import duckdb  # noqa: PLC0415 - the production deployment does not need it

    return _wait_for_file(
        lambda: duckdb.connect(path),
        path,
        yield_first=yield_first,
        wait_seconds=wait_seconds,
        on_wait=on_wait,
    )


def is_awaited(path: Path) -> bool:
    """Whether another process waits for the DuckDB file at `path`."""
    return is_locked(_queue(path))


def _queue(path: Path) -> Path:
    """The lock file whose holder is next to open the DuckDB file."""
    return path.with_name(f"{path.name}.queue")


def _require_file(path: Path) -> None:
    if not path.exists():
        raise WarehouseError(f"There is no warehouse at {path} yet: `dvd-rental run` creates it.")


def _configure(connection: "duckdb.DuckDBPyConnection") -> None:
    connection.execute(f"set disabled_optimizers = '{BUGGY_OPTIMIZERS}'")
    connection.execute(f"set memory_limit = '{MEMORY_LIMIT}'")


@contextmanager
def _interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt for an interrupt during a query, for which DuckDB raises an error of its own."""
    try:
        yield
    except RuntimeError as error:
        if str(error) == "Query interrupted":
            raise KeyboardInterrupt from error
        raise


def _wait_for_file(
    connect: Callable[[], "duckdb.DuckDBPyConnection"],
    path: Path,
    *,
    yield_first: bool = False,
    wait_seconds: float,
    on_wait: Callable[[str], None] | None,
) -> "duckdb.DuckDBPyConnection":
    """Call `connect` until the file is not locked: at once unless `yield_first`, then from the head of the
    queue.
    """
    import duckdb  # noqa: PLC0415 - the production deployment does not need it

    deadline = time.monotonic() + wait_seconds
    is_queued = False
    with ExitStack() as queue:
        if yield_first:
            is_queued = True
            with suppress(TimeoutError, UnwritableFolderError):
                queue.enter_context(
                    hold_file_lock(_queue(path), wait_seconds=wait_seconds, on_wait=lambda: None)
                )
        while True:
            try:
                return connect()
            except duckdb.IOException as error:
                if "Could not set lock on file" not in str(error):
                    raise WarehouseError(
                        f"Cannot open the warehouse at {path}: {error}. Check the folder's space and "
                        "permissions, or move the file away and run again to rebuild it from the source."
                    ) from error
                if time.monotonic() > deadline:
                    raise WarehouseError(
                        f"The warehouse at {path} was in use by another process for {wait_seconds:.0f} s: "
                        f"{error}. Close that process (a run, or a DuckDB shell) and try again."
                    ) from error
            if is_queued:
                time.sleep(POLL_SECONDS)
                continue
            is_queued = True
            if on_wait:
                on_wait(f"waiting for the warehouse at {path}, which another process is using")
            try:
                queue.enter_context(
                    hold_file_lock(_queue(path), wait_seconds=deadline - time.monotonic(), on_wait=lambda: None)
                )
            except (TimeoutError, UnwritableFolderError):
                # Past the limit the next attempt is the last one. A reader without write access to the folder
                # polls outside the queue.
                continue
