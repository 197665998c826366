"""The role of the warehouse: read-only questions, and the right to write for a while."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import dagster as dg
from filelock import FileLock, Timeout

from dvd_rental_pipeline.core.errors import UnwritableFolderError
from dvd_rental_pipeline.warehouse.duckdb_file import Rows, WarehouseError, query_duckdb

WRITE_WAIT_SECONDS = 3600.0


class Warehouse(dg.ConfigurableResource, ABC):  # type: ignore[type-arg]
    """Where the raw tables and the models stand."""

    @abstractmethod
    def query(self, sql: str) -> Rows:
        """Answer one read-only statement.

        Raises:
            WarehouseError: the statement fails or would write, or the warehouse cannot be reached.
        """

    @abstractmethod
    def writing(self, on_wait: Callable[[str], None]) -> AbstractContextManager[None]:
        """Hold the right to write for as long as the context lasts; `on_wait` is told when others hold it."""


class DuckDBWarehouse(Warehouse):
    """A DuckDB file.

    Writers take turns through a lock file beside it: the kernel frees the lock when its holder dies, so that a
    killed run never blocks the next one (a slot of a Dagster pool would stay taken).
    """

    path: str

    def query(self, sql: str) -> Rows:
        return query_duckdb(Path(self.path), sql)

    @contextmanager
    def writing(self, on_wait: Callable[[str], None]) -> Iterator[None]:
        path = Path(self.path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path.with_suffix(".lock"))
            try:
                lock.acquire(timeout=0)
            except Timeout:
                on_wait(f"another run is writing to the warehouse at {path}: waiting for it to finish")
                lock.acquire(timeout=WRITE_WAIT_SECONDS)
        except Timeout:
            raise WarehouseError(
                f"Another run has been writing to the warehouse at {path} for {WRITE_WAIT_SECONDS:.0f} s: "
                "look for it among the runs in the Dagster UI and terminate it, or try again later."
            ) from None
        except OSError as error:
            raise UnwritableFolderError(path.parent, error) from error
        try:
            yield
        finally:
            lock.release()
