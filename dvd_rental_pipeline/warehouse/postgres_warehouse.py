"""A PostgreSQL database as a warehouse."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dvd_rental_pipeline.warehouse.errors import WarehouseError, WarehouseUnavailableError
from dvd_rental_pipeline.warehouse.interface import IncomingRows, Rows, TableName, Warehouse
from dvd_rental_pipeline.warehouse.merge_sql import (
    insert_statement,
    merge_statement,
    require_columns,
    require_unique_key,
)

if TYPE_CHECKING:
    import psycopg
    import pyarrow as pa

LOCK_WAIT_SECONDS = 3600
EXPORT_ROWS = 50_000
_STAGED = '"pg_temp"."staged_rows"'
_READING = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/|\()*(?:select|with|values|table|show|explain)\b", re.I | re.S
)
# Placeholders, and what may contain a question mark that is none.
_TOKENS = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|/\*.*?\*/|\?|%""", re.S)
# The type of a column, by a pattern of Arrow's name for its type.
_TYPES = (
    (r"u?int(?:8|16)|int32", "integer"),
    (r"int64|uint32", "bigint"),
    (r"uint64", "numeric(20, 0)"),
    (r"(half_?)?float|double", "double precision"),
    (r"decimal(?:32|64|128|256)?\((\d+, -?\d+)\)", r"numeric(\1)"),
    (r"(large_)?string(_view)?", "text"),
    (r"bool", "boolean"),
    (r"date\d+\[\w+\]", "date"),
    (r"time\d+\[\w+\]", "time"),
    (r"timestamp\[\w+\]", "timestamp"),
    (r"timestamp\[\w+, tz=.+\]", "timestamptz"),
)


@dataclass(frozen=True)
class PostgresWarehouse(Warehouse):
    """The database at `url`. Each call is a connection of its own."""

    url: str = field(repr=False)

    @contextmanager
    def reading(self) -> Iterator["PostgresReader"]:
        with self._connect() as connection:
            connection.read_only = True
            yield PostgresReader(connection)

    def export(self, statements: Mapping[Path, str]) -> Mapping[Path, int]:
        """Write the result of each read-only statement as a Parquet file; returns the number of its rows.

        All are executed in one session, and no result has to fit into memory.

        Raises:
            WarehouseError: a statement fails or would write, or the warehouse cannot be reached.
        """
        with self._connect() as connection:
            connection.read_only = True
            session = PostgresSession(connection)
            return {file: session.export(sql, file) for file, sql in statements.items()}

    def create_schema(self, name: str) -> None:
        with self.transaction() as session:
            session.execute(f"create schema if not exists {_quote(name)}")

    @contextmanager
    def transaction(self) -> Iterator["PostgresSession"]:
        # An exception closes the connection, which rolls back.
        with self._connect() as connection:
            yield PostgresSession(connection)
            connection.commit()

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
        import psycopg  # noqa: PLC0415 - other warehouses do not need it

        # Advisory locks, which end with the session.
        with self._connect() as connection:
            connection.autocommit = True
            connection.execute(f"set lock_timeout = '{LOCK_WAIT_SECONDS}s'")
            for schema in sorted(schemas):
                key = [f"dvd_rental schema {schema}"]
                locked = connection.execute(
                    "select pg_try_advisory_lock(hashtextextended(%s, 0))", key
                ).fetchone()
                if locked == (True,):
                    continue
                on_wait(f"waiting for another run that uses the tables of {schema} in the warehouse")
                try:
                    connection.execute("select pg_advisory_lock(hashtextextended(%s, 0))", key)
                except psycopg.errors.LockNotAvailable:
                    raise WarehouseError(
                        f"Another run has been using the tables of {schema} in the warehouse for "
                        f"{LOCK_WAIT_SECONDS} s: terminate it in the Dagster UI, or try again later."
                    ) from None
            yield

    @contextmanager
    def _connect(self) -> Iterator["psycopg.Connection[Any]"]:
        import psycopg  # noqa: PLC0415 - other warehouses do not need it

        try:
            connection = psycopg.connect(self.url, application_name="dvd_rental", connect_timeout=10)
        except psycopg.Error as error:
            raise WarehouseUnavailableError(
                f"Cannot connect to the warehouse: {str(error).strip()}. Check DVD_RENTAL_WAREHOUSE_URL, and "
                "that the server runs."
            ) from None
        try:
            connection.execute("set time zone 'UTC'")
            connection.commit()
            yield connection
        finally:
            connection.close()


class PostgresReader:
    """An open connection for queries alone."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self._connection = connection

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        """Run one read-only statement, see `Reader.query`."""
        # A read-only transaction still permits COPY to a program or file, and ends with a COMMIT in the text.
        if not _READING.match(sql):
            raise WarehouseError(
                "The warehouse rejected the statement: only SELECT, WITH, VALUES, TABLE, SHOW and EXPLAIN are "
                "accepted."
            )
        try:
            return PostgresSession(self._connection).execute(sql, parameters)
        finally:
            # The next query is in a transaction of its own, also after one that failed.
            if not self._connection.broken:
                self._connection.rollback()


class PostgresSession:
    """An open connection, inside a transaction."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        """Run one statement, see `Session.execute`."""
        import psycopg  # noqa: PLC0415 - other warehouses do not need it

        statement = _with_placeholders(sql) if parameters else sql
        try:
            # Prepared: the server accepts only one statement, not one after a COMMIT.
            cursor = self._connection.execute(statement, list(parameters) or None, prepare=True)
            if cursor.description is None:
                return Rows([], [])
            return Rows([column.name for column in cursor.description], cursor.fetchall())
        except psycopg.OperationalError as error:
            if self._connection.broken:
                raise WarehouseUnavailableError(f"The warehouse no longer responds: {error}") from error
            raise WarehouseError(f"The warehouse rejected the statement: {error}") from error
        except psycopg.Error as error:
            raise WarehouseError(f"The warehouse rejected the statement: {error}") from error

    def export(self, sql: str, file: Path) -> int:
        """Write the result of a query as a Parquet file, chunk by chunk; returns the number of its rows.

        Raises:
            WarehouseError: the statement fails.
        """
        import psycopg  # noqa: PLC0415 - other warehouses do not need it
        import pyarrow as pa  # noqa: PLC0415 - only exports need it
        import pyarrow.parquet as pq  # noqa: PLC0415 - only exports need it

        rows = 0
        try:
            # A cursor of the server: it accepts one query, and nothing that writes.
            with self._connection.cursor("export") as cursor:
                cursor.execute(sql)
                chunk = cursor.fetchmany(EXPORT_ROWS)
                columns = cursor.description or []
                schema = pa.schema([pa.field(column.name, _arrow_type(column)) for column in columns])
                with pq.ParquetWriter(file, schema) as writer:
                    while chunk:
                        values = zip(*chunk, strict=True)
                        arrays = [
                            pa.array(each, field.type) for each, field in zip(values, schema, strict=True)
                        ]
                        writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
                        rows += len(chunk)
                        chunk = cursor.fetchmany(EXPORT_ROWS)
        except psycopg.Error as error:
            raise WarehouseError(f"The warehouse rejected the statement: {error}") from error
        return rows

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
            WarehouseError: `rows` have a column that `table` lacks, or a value that PostgreSQL cannot store.
        """
        import psycopg  # noqa: PLC0415 - other warehouses do not need it
        import pyarrow.csv as pa_csv  # noqa: PLC0415 - only loading needs Arrow

        schema, batches = _batches(rows)
        definition = ", ".join(f"{_quote(column.name)} {_type(table, column)}" for column in schema)
        target = _quote_table(table)
        self.execute(f"create table if not exists {target} ({definition})")
        existing = self.execute(
            "select column_name from information_schema.columns where table_schema = ? and table_name = ?",
            [table.schema, table.name],
        )
        require_columns(table, [str(row[0]) for row in existing.values], schema.names)
        self.execute(f'create temporary table "staged_rows" ({definition}) on commit drop')
        columns = [_quote(name) for name in schema.names]
        statement = f"copy {_STAGED} ({', '.join(columns)}) from stdin (format csv)"
        options = pa_csv.WriteOptions(include_header=False)
        count = 0
        try:
            with self._connection.cursor().copy(statement) as copy:
                for batch in batches:
                    # A text is quoted, a null is not: COPY tells an empty text from a null.
                    pa_csv.write_csv(batch, _CopyFile(copy), options)
                    count += batch.num_rows
        except psycopg.Error as error:
            raise WarehouseError(f"Cannot load into {table}: {error}") from error
        return columns, count


class _CopyFile:
    """A COPY as a file that Arrow writes to."""

    closed = False

    def __init__(self, copy: "psycopg.Copy") -> None:
        self._copy = copy

    def write(self, piece: Any) -> int:
        content = bytes(piece)
        self._copy.write(content)
        return len(content)

    def flush(self) -> None: ...

    def close(self) -> None: ...


def _batches(rows: IncomingRows) -> tuple["pa.Schema", Iterator["pa.RecordBatch"]]:
    import pyarrow.parquet as pq  # noqa: PLC0415 - only loading needs Arrow

    if isinstance(rows, Path):
        file = pq.ParquetFile(rows)
        return file.schema_arrow, file.iter_batches()
    return rows.schema, iter(rows.to_batches() if hasattr(rows, "to_batches") else rows)


def _arrow_type(column: "psycopg.Column") -> "pa.DataType":
    """The type of Arrow for the values of a column; text for what has none."""
    import pyarrow as pa  # noqa: PLC0415 - only exports need it

    name = column.type_display.partition("(")[0]
    if name == "numeric":
        # A calculated value has no declared scale.
        return pa.decimal128(38, 10 if column.scale is None else column.scale)
    types = {
        **dict.fromkeys(("int2", "int4", "int8"), pa.int64()),
        **dict.fromkeys(("float4", "float8"), pa.float64()),
        "bool": pa.bool_(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us"),
        "timestamptz": pa.timestamp("us", tz="UTC"),
    }
    return types.get(name, pa.string())


def _with_placeholders(sql: str) -> str:
    """`sql` with psycopg's placeholders instead of `?`."""

    def replace(found: re.Match[str]) -> str:
        return "%s" if found[0] == "?" else found[0].replace("%", "%%")

    return _TOKENS.sub(replace, sql)


def _type(table: TableName, column: "pa.Field") -> str:
    """PostgreSQL's type for values of an Arrow column."""
    for pattern, name in _TYPES:
        if found := re.fullmatch(pattern, str(column.type)):
            return found.expand(name)
    raise WarehouseError(f"Cannot load into {table}: column {column.name} has the type {column.type}.")


def _quote_table(table: TableName) -> str:
    return f"{_quote(table.schema)}.{_quote(table.name)}"


def _quote(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'
