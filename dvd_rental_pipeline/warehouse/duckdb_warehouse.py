"""A DuckDB file as a warehouse."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dvd_rental_pipeline.core.errors import UnwritableFolderError
from dvd_rental_pipeline.warehouse.duckdb_file import WRITE_WAIT_SECONDS, open_duckdb
from dvd_rental_pipeline.warehouse.errors import WarehouseError
from dvd_rental_pipeline.warehouse.file_lock import hold_file_lock
from dvd_rental_pipeline.warehouse.interface import IncomingRows, Rows, TableName, Warehouse
from dvd_rental_pipeline.warehouse.merge_sql import (
    insert_statement,
    merge_statement,
    require_columns,
    require_unique_key,
)

if TYPE_CHECKING:
    import duckdb

_STAGED = "temp.main.staged_rows"


@dataclass(frozen=True)
class DuckDBWarehouse(Warehouse):
    """The DuckDB file at `path`.

    The file is open only during a call, so writers of different tables take turns call by call. A call that
    finds it open in another process reports that to `on_wait` and waits, see `open_duckdb`.
    """

    path: Path
    wait_seconds: float | None = None
    on_wait: Callable[[str], None] | None = None

    @contextmanager
    def reading(self) -> Iterator["DuckDBReader"]:
        with open_duckdb(
            self.path, read_only=True, wait_seconds=self.wait_seconds, on_wait=self.on_wait
        ) as connection:
            # A read-only connection could still write other files, by COPY ... TO or ATTACH.
            connection.execute("set enable_external_access = false")
            connection.execute("set lock_configuration = true")
            yield DuckDBReader(connection)

    def create_schema(self, name: str) -> None:
        with self.transaction() as session:
            session.execute(f"create schema if not exists {_quote(name)}")

    def export(self, statements: Mapping[Path, str]) -> Mapping[Path, int]:
        # Read-only, but not without access to files as in `query`: the statements are the caller's own.
        with open_duckdb(
            self.path, read_only=True, wait_seconds=self.wait_seconds, on_wait=self.on_wait
        ) as connection:
            session = DuckDBSession(connection)
            return {
                file: int(
                    session.execute(f"copy ({sql}) to {_literal(str(file))} (format parquet)").values[0][0]
                )
                for file, sql in statements.items()
            }

    @contextmanager
    def transaction(self) -> Iterator["DuckDBSession"]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UnwritableFolderError(self.path.parent, error) from error
        with open_duckdb(self.path, wait_seconds=self.wait_seconds, on_wait=self.on_wait) as connection:
            session = DuckDBSession(connection)
            session.execute("begin")
            # An exception closes the connection, which rolls back.
            yield session
            session.execute("commit")

    def load_all(self, incoming: Mapping[TableName, IncomingRows]) -> Mapping[TableName, int]:
        with self.transaction() as session:
            return {table: session.append(table, rows) for table, rows in incoming.items()}

    def merge(self, table: TableName, rows: IncomingRows, key: Sequence[str]) -> int:
        key_columns = [_quote(column) for column in key]
        with self.transaction() as session:
            columns, count = session.stage(table, rows)
            require_unique_key(session, table, _STAGED, key_columns)
            session.execute(merge_statement(_quote_table(table), _STAGED, columns, key_columns))
            return count

    @contextmanager
    def lock(self, schemas: Collection[str], on_wait: Callable[[str], None]) -> Iterator[None]:
        with ExitStack() as locks:
            # In one order, so that two processes never wait for each other.
            for schema in sorted(schemas):
                locks.enter_context(self._lock_schema(schema, on_wait))
            yield

    @contextmanager
    def _lock_schema(self, schema: str, on_wait: Callable[[str], None]) -> Iterator[None]:
        path = self.path.with_name(f"{self.path.stem}.{schema}.lock")
        message = f"waiting for another run that uses the tables of {schema} in the warehouse at {self.path}"
        with ExitStack() as held:
            try:
                held.enter_context(
                    hold_file_lock(path, wait_seconds=WRITE_WAIT_SECONDS, on_wait=lambda: on_wait(message))
                )
            except TimeoutError:
                raise WarehouseError(
                    f"Another run has been using the tables of {schema} in the warehouse at {self.path} for "
                    f"{WRITE_WAIT_SECONDS:.0f} s: terminate it in the Dagster UI, or try again later."
                ) from None
            yield


class DuckDBReader:
    """An open connection to a DuckDB file that can neither write nor change its settings."""

    def __init__(self, connection: "duckdb.DuckDBPyConnection") -> None:
        self._connection = connection

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        """Run one read-only statement, see `Reader.query`."""
        self._require_one_statement(sql)
        return DuckDBSession(self._connection).execute(sql, parameters)

    def _require_one_statement(self, sql: str) -> None:
        import duckdb  # noqa: PLC0415 - the production deployment does not need it

        try:
            count = len(self._connection.extract_statements(sql))
        except duckdb.Error as error:
            raise WarehouseError(f"The warehouse rejected the statement: {error}") from error
        if count != 1:
            found = "There is no statement" if count == 0 else f"There are {count} statements"
            raise WarehouseError(f"{found} in {sql!r}: give one.")


class DuckDBSession:
    """An open connection to a DuckDB file."""

    def __init__(self, connection: "duckdb.DuckDBPyConnection") -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        """Run one statement, see `Session.execute`."""
        import duckdb  # noqa: PLC0415 - the production deployment does not need it

        try:
            cursor = self._connection.execute(sql, list(parameters))
            return Rows([column[0] for column in cursor.description or []], cursor.fetchall())
        except duckdb.Error as error:
            raise WarehouseError(f"The warehouse rejected the statement: {error}") from error

    def append(self, table: TableName, rows: IncomingRows) -> int:
        """Append `rows` to `table`, see `Warehouse.load`."""
        columns, count = self.stage(table, rows)
        self.execute(insert_statement(_quote_table(table), _STAGED, columns))
        self.execute(f"drop table {_STAGED}")
        return count

    def stage(self, table: TableName, rows: IncomingRows) -> tuple[Sequence[str], int]:
        """Copy `rows` into a temporary table, and create `table` like it if missing.

        Returns the quoted column names of `rows`, and their number.

        Raises:
            WarehouseError: `rows` cannot be read, or have a column that `table` lacks.
        """
        if isinstance(rows, Path):
            self.execute(f"create temp table {_STAGED} as select * from read_parquet(?)", [str(rows)])
        else:
            self._connection.register("incoming", rows)
            self.execute(f"create temp table {_STAGED} as select * from incoming")
        names = [str(row[0]) for row in self.execute(f"describe {_STAGED}").values]
        target = _quote_table(table)
        self.execute(f"create table if not exists {target} as select * from {_STAGED} limit 0")
        require_columns(table, [str(row[0]) for row in self.execute(f"describe {target}").values], names)
        ((count,),) = self.execute(f"select count(*) from {_STAGED}").values
        return [_quote(name) for name in names], int(count)


def _quote_table(table: TableName) -> str:
    return f"{_quote(table.schema)}.{_quote(table.name)}"


def _quote(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
