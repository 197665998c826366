"""What callers may ask of a warehouse, whichever database it is."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    import pyarrow as pa

IncomingRows: TypeAlias = "pa.Table | pa.RecordBatchReader | Path"
"""Rows to load: an Arrow table, a stream of Arrow record batches, or the path of a Parquet file."""


@dataclass(frozen=True)
class Rows:
    """The result of a query: column names, and rows as plain values; decimals and large integers are exact."""

    columns: Sequence[str]
    values: Sequence[Sequence[Any]]

    def records(self) -> list[dict[str, Any]]:
        """Each row as a dictionary by column name."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.values]


@dataclass(frozen=True)
class TableName:
    """A table, by schema and name, in lower case as the models name them."""

    schema: str
    name: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


class Session(Protocol):
    """An open session."""

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        """Run one statement; `parameters` are bound to its `?` placeholders.

        Raises:
            WarehouseError: the statement fails, or the warehouse no longer responds.
        """


class Reader(Protocol):
    """What runs queries: a warehouse, each in a session of its own, or an open session for several."""

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        """Run one read-only statement; `parameters` are bound to its `?` placeholders.

        Raises:
            WarehouseError: the statement fails or would write, or the warehouse cannot be reached.
        """


class Warehouse(ABC):
    """A database that holds raw tables and models."""

    @abstractmethod
    def reading(self) -> AbstractContextManager[Reader]:
        """A session for several queries: each sees what is committed when it starts, and may fail alone.

        Keep it short: writers of a DuckDB file wait for its end.

        Raises:
            WarehouseError: the warehouse cannot be reached.
        """

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        """Run one query in a session of its own, see `Reader.query`."""
        with self.reading() as reader:
            return reader.query(sql, parameters)

    def credits_by_tag(self, since: date) -> Rows | None:
        """What statements of this project have cost since that day; None where nothing is charged.

        Rows of day (a date, UTC), asset, check and credits; asset and check are NULL for other statements.

        Raises:
            WarehouseError: the warehouse cannot be reached, or does not permit it.
        """
        return None

    @abstractmethod
    def create_schema(self, name: str) -> None:
        """Create the schema `name`, in lower case, if it does not exist.

        Raises:
            WarehouseError: the warehouse cannot be reached, or does not permit it.
        """

    @abstractmethod
    def export(self, statements: Mapping[Path, str]) -> Mapping[Path, int]:
        """Write the result of each read-only statement as a Parquet file; returns the number of its rows.

        All are executed in one session, and no result has to fit into memory.

        Raises:
            WarehouseError: a statement fails or would write, or the warehouse cannot be reached. Files of
                earlier statements may remain.
        """

    @abstractmethod
    def transaction(self) -> AbstractContextManager[Session]:
        """A session whose statements are committed together at the end, or rolled back after an exception.

        For queries and DML. Snowflake would commit at the first DDL statement, so it rejects DDL here.

        Raises:
            WarehouseError: the warehouse cannot be reached or written.
        """

    def load(self, table: TableName, rows: IncomingRows) -> int:
        """Append `rows` to `table` by column name, in one transaction, and return their number.

        The table is created if it does not exist; its schema must exist. Columns that `rows` lack are NULL.

        Raises:
            WarehouseError: `rows` have a column that the table lacks, or values that do not fit it. No row is
                added.
        """
        return self.load_all({table: rows})[table]

    @abstractmethod
    def load_all(self, incoming: Mapping[TableName, IncomingRows]) -> Mapping[TableName, int]:
        """Load into several tables, one after the other, in one session; returns the numbers of rows.

        Raises:
            WarehouseError: as `load`. Rows of the tables before may have been added.
        """

    @abstractmethod
    def merge(self, table: TableName, rows: IncomingRows, key: Sequence[str]) -> int:
        """Update the rows of `table` that have the same `key`, insert the others, in one transaction.

        Repeating a merge changes nothing. Columns that `rows` lack keep their values. Otherwise like `load`.

        Raises:
            WarehouseError: as `load`, or the key of `rows` is NULL or not unique. The table is unchanged.
        """

    @abstractmethod
    def lock(self, schemas: Collection[str], on_wait: Callable[[str], None]) -> AbstractContextManager[None]:
        """Lock `schemas` while the context lasts; `on_wait` gets a message if another process has one locked.

        A sync locks the schema that it writes, dbt those that its models read. Writers of others do not wait.

        Raises:
            WarehouseError: a lock was not released within the limit.
        """
