"""Opening the local warehouse, a DuckDB file that one process at a time may write.

DuckDB locks the file for as long as a connection is open, against readers too. So connections are short, and
whoever finds the file taken waits for it, with a message and a limit.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dvd_rental_pipeline.core.errors import PipelineError

if TYPE_CHECKING:
    import duckdb

DEFAULT_WAIT_SECONDS = 300.0

BUGGY_OPTIMIZERS = "join_filter_pushdown"
"""What DuckDB 2.0 must not use: with it, joins with rows that the same transaction has written find too few of
them, or crash; and grouped joins may lose rows when run in parallel (duckdb/duckdb#22075)."""


class WarehouseError(PipelineError):
    """The warehouse cannot be opened or read, or refuses a statement."""


class WarehouseUnavailableError(WarehouseError):
    """The warehouse cannot be reached or lets nobody in: no other statement would fare better."""


@dataclass(frozen=True)
class Rows:
    """An answer: the names of its columns, and its rows as plain values, decimals and big integers exact."""

    columns: Sequence[str]
    values: Sequence[Sequence[Any]]

    def records(self) -> list[dict[str, Any]]:
        """Each row as a value by column."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.values]


def query_duckdb(path: Path, sql: str, on_wait: Callable[[str], None] | None = None) -> Rows:
    """Answer one read-only statement from the DuckDB file at `path`.

    Raises:
        WarehouseError: the statement fails or would write, or the file cannot be opened.
    """
    import duckdb  # noqa: PLC0415 - production never pays for it

    with open_duckdb(path, read_only=True, on_wait=on_wait) as connection:
        # Opening read-only does not stop COPY ... TO or ATTACH from touching other files.
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
        try:
            answer = connection.execute(sql)
            return Rows([column[0] for column in answer.description or []], answer.fetchall())
        except duckdb.Error as error:
            raise WarehouseError(f"The warehouse refused the statement: {error}") from error


@contextmanager
def open_duckdb(
    path: Path,
    *,
    read_only: bool = False,
    wait_seconds: float = DEFAULT_WAIT_SECONDS,
    on_wait: Callable[[str], None] | None = None,
) -> Iterator["duckdb.DuckDBPyConnection"]:
    """Connect to the DuckDB file at `path`, waiting while another process holds it.

    `on_wait` is called once, with a sentence, when the file is found taken.

    Raises:
        WarehouseError: the file is missing (read-only), is no DuckDB file, or stayed taken for `wait_seconds`.
        KeyboardInterrupt: an interrupt came while DuckDB was at work.
    """
    import duckdb  # noqa: PLC0415

    if read_only and not path.exists():
        raise WarehouseError(f"There is no warehouse at {path} yet: `dvd-rental run` fills it.")
    connection = _patiently(
        lambda: duckdb.connect(path, read_only=read_only), path, wait_seconds=wait_seconds, on_wait=on_wait
    )
    try:
        with _interruptible():
            _disable_buggy_optimizers(connection)
            yield connection
    finally:
        connection.close()


@contextmanager
def open_beside_duckdb(
    path: Path,
    name: str,
    *,
    wait_seconds: float = DEFAULT_WAIT_SECONDS,
    on_wait: Callable[[str], None] | None = None,
) -> Iterator["duckdb.DuckDBPyConnection"]:
    """Connect to an empty database in memory, with the DuckDB file at `path` attached as `name` for reading.

    Raises:
        WarehouseError: as `open_duckdb`.
    """
    import duckdb  # noqa: PLC0415

    if not path.exists():
        raise WarehouseError(f"There is no warehouse at {path} yet: `dvd-rental run` fills it.")
    place = "'" + str(path).replace("'", "''") + "'"
    with duckdb.connect(":memory:") as connection:
        _patiently(
            lambda: connection.execute(f"ATTACH {place} AS {name} (READ_ONLY)"),
            path,
            wait_seconds=wait_seconds,
            on_wait=on_wait,
        )
        with _interruptible():
            _disable_buggy_optimizers(connection)
            yield connection


def _disable_buggy_optimizers(connection: "duckdb.DuckDBPyConnection") -> None:
    connection.execute(f"set disabled_optimizers = '{BUGGY_OPTIMIZERS}'")


@contextmanager
def _interruptible() -> Iterator[None]:
    """An interrupt that comes while DuckDB works remains one; DuckDB makes an error of its own of it."""
    try:
        yield
    except RuntimeError as error:
        if str(error) == "Query interrupted":
            raise KeyboardInterrupt from error
        raise


def _patiently(
    connect: Callable[[], "duckdb.DuckDBPyConnection"],
    path: Path,
    *,
    wait_seconds: float,
    on_wait: Callable[[str], None] | None,
) -> "duckdb.DuckDBPyConnection":
    import duckdb  # noqa: PLC0415

    deadline = time.monotonic() + wait_seconds
    pause = 0.05
    announced = False
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
            if on_wait and not announced:
                on_wait(f"waiting for the warehouse at {path}, which another process is using")
                announced = True
            time.sleep(pause)
            pause = min(pause * 1.5, 1.0)
