"""DuckDB as a reader and writer of Parquet files, within a memory limit: what exceeds it spills to disk."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dvd_rental_pipeline.core.catalog import Column
from dvd_rental_pipeline.ingestion.files.object_store import ObjectStore, ObjectStoreError

if TYPE_CHECKING:
    import duckdb

MEMORY_LIMIT_MB = 512


@dataclass(frozen=True)
class ParquetSession:
    """A DuckDB connection without a database, and a folder for files that end with it."""

    connection: "duckdb.DuckDBPyConnection"
    folder: Path

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Execute a statement and return its rows.

        Raises:
            ObjectStoreError: the statement fails: a file is missing or damaged, or the disk is full.
        """
        import duckdb  # noqa: PLC0415 - slow to import

        try:
            return self.connection.execute(sql, list(parameters)).fetchall()
        except duckdb.Error as error:
            raise ObjectStoreError(f"Cannot read or write Parquet files: {error}") from error

    def write(self, query: str, name: str) -> tuple[Path, int]:
        """Write the rows of `query` to a file of this session; return it and the number of rows.

        The same rows in the same order give the same bytes.
        """
        file = self.folder / name
        ((count,),) = self.rows(
            f"copy ({query}) to {literal(str(file))} (format parquet, compression zstd, row_group_size 122880)"
        )
        return file, int(count)

    def create_view(
        self, name: str, columns: Sequence[Column], store: ObjectStore, files: Mapping[str, int]
    ) -> None:
        """Create a view of `files` of `store`, by key: their columns, and `_sequence`, the number given."""
        selected = ", ".join(quote(column.name) for column in columns)
        if not files:
            nothing = no_values(columns)
            self.rows(f"create or replace view {quote(name)} as select {nothing}, 0 as _sequence where false")
            return
        store.connect(self.connection)
        addresses = {store.address(key): sequence for key, sequence in files.items()}
        # A view cannot have parameters.
        paths = ", ".join(map(literal, addresses))
        numbers = quote(f"{name} files")
        self.rows(f"create or replace temp table {numbers} (path varchar, _sequence integer)")
        self.connection.executemany(f"insert into {numbers} values (?, ?)", list(addresses.items()))
        self.rows(
            f"create or replace view {quote(name)} as select {selected}, _sequence"
            f" from read_parquet([{paths}], filename = '_path') join {numbers} on path = _path"
        )


@contextmanager
def open_parquet_session(memory_limit_mb: int = MEMORY_LIMIT_MB) -> Iterator[ParquetSession]:
    """A session, with a temporary folder for what exceeds `memory_limit_mb`."""
    import duckdb  # noqa: PLC0415 - slow to import

    with tempfile.TemporaryDirectory(prefix="parquet-") as folder:
        settings: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": f"{memory_limit_mb}MB",
            "temp_directory": str(Path(folder, "spilled")),
            # The order of rows in a file, and so its bytes, must not depend on the number of processors.
            "threads": 2,
            "preserve_insertion_order": True,
            "TimeZone": "UTC",
            "autoinstall_known_extensions": False,
        }
        with duckdb.connect(config=settings) as connection:
            yield ParquetSession(connection, Path(folder))


def duckdb_type(postgres_type: str) -> str:
    """The type of a PostgreSQL column in Parquet: exact, and text for what has no type of its own."""
    name, _, arguments = postgres_type.partition("(")
    match name:
        case "integer" | "bigint" | "smallint" | "boolean" | "date":
            return name
        case "numeric":
            return f"decimal({arguments}"
        case _ if postgres_type.startswith("timestamp") and postgres_type.endswith("without time zone"):
            return "timestamp"
        case _ if postgres_type.startswith("time") and postgres_type.endswith("without time zone"):
            return "time"
        case _:
            return "varchar"


def no_values(columns: Sequence[Column]) -> str:
    """NULL as each of `columns`, in its type, for SELECT."""
    return ", ".join(f"cast(null as {duckdb_type(column.type)}) as {quote(column.name)}" for column in columns)


def quote(identifier: str) -> str:
    """The identifier in double quotes."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """The text in single quotes."""
    return "'" + text.replace("'", "''") + "'"
