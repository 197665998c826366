"""A Snowflake database as a warehouse."""

import re
import secrets
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dvd_rental_pipeline.warehouse.errors import WarehouseError
from dvd_rental_pipeline.warehouse.interface import IncomingRows, Rows, TableName, Warehouse
from dvd_rental_pipeline.warehouse.merge_sql import (
    insert_statement,
    merge_statement,
    require_columns,
    require_unique_key,
)
from dvd_rental_pipeline.warehouse.snowflake_login import SnowflakeLogin
from dvd_rental_pipeline.warehouse.snowflake_session import SnowflakeSession, open_snowflake
from dvd_rental_pipeline.warehouse.snowflake_stage import LoadStage, TemporaryStage
from dvd_rental_pipeline.warehouse.snowflake_statements import require_read_only, require_transactional

if TYPE_CHECKING:
    import pyarrow as pa

# The type of a column, by a pattern of Arrow's name for its type.
_TYPES = (
    (r"u?int\d+", "number(38, 0)"),
    (r"(half_?)?float|double", "float"),
    (r"decimal(?:32|64|128|256)?\((\d+, -?\d+)\)", r"number(\1)"),
    (r"(large_)?string(_view)?", "varchar"),
    (r"(large_)?binary(_view)?|fixed_size_binary\[\d+\]", "binary"),
    (r"bool", "boolean"),
    (r"date\d+\[\w+\]", "date"),
    (r"time\d+\[\w+\]", "time"),
    (r"timestamp\[\w+\]", "timestamp_ntz"),
    (r"timestamp\[\w+, tz=.+\]", "timestamp_tz"),
)


# Attributed to statements: without idle time, and known after up to eight hours.
_CREDITS_BY_TAG = """
select
    to_date(start_time),
    parse_json(query_tag):asset::varchar,
    parse_json(query_tag):check::varchar,
    sum(credits_attributed_compute)
from snowflake.account_usage.query_attribution_history
where start_time >= ? and query_tag like '{"app": "dvd_rental"%'
group by 1, 2, 3
"""


@dataclass(frozen=True)
class SnowflakeWarehouse(Warehouse):
    """The database of `login`. Each call is a session of its own, with `tags` in the query history.

    Rows are loaded through `stage`.
    Names in lower case are those that Snowflake stores in upper case, as if written without quotes.
    """

    login: SnowflakeLogin
    tags: Mapping[str, str] = field(default_factory=dict)
    stage: LoadStage = field(default_factory=TemporaryStage)

    @contextmanager
    def reading(self) -> Iterator["SnowflakeReader"]:
        with open_snowflake(self.login, self.tags) as session:
            yield SnowflakeReader(session)

    def credits_by_tag(self, since: date) -> Rows | None:
        return self.query(_CREDITS_BY_TAG, [since.isoformat()])

    def create_schema(self, name: str) -> None:
        with open_snowflake(self.login, self.tags) as session:
            session.execute(f"create schema if not exists {_quote(str(self.login.database))}.{_quote(name)}")

    def export(self, statements: Mapping[Path, str]) -> Mapping[Path, int]:
        for sql in statements.values():
            require_read_only(sql)
        with open_snowflake(self.login, self.tags) as session:
            return {file: session.export(sql, file) for file, sql in statements.items()}

    @contextmanager
    def transaction(self) -> Iterator["TransactionSession"]:
        with open_snowflake(self.login, self.tags) as session:
            session.execute("begin")
            # An exception closes the session, which rolls back.
            yield TransactionSession(session)
            session.execute("commit")

    def load_all(self, incoming: Mapping[TableName, IncomingRows]) -> Mapping[TableName, int]:
        loaded = {}
        with open_snowflake(self.login, self.tags) as session:
            for table, rows in incoming.items():
                with self._staged(session, table, rows) as staged:
                    session.execute(insert_statement(self._quote(table), staged.name, staged.columns))
                    loaded[table] = staged.rows
        return loaded

    def merge(self, table: TableName, rows: IncomingRows, key: Sequence[str]) -> int:
        key_columns = [_quote(column) for column in key]
        with open_snowflake(self.login, self.tags) as session, self._staged(session, table, rows) as staged:
            require_unique_key(session, table, staged.name, key_columns)
            session.execute(merge_statement(self._quote(table), staged.name, staged.columns, key_columns))
            return staged.rows

    def lock(self, schemas: Collection[str], on_wait: Callable[[str], None]) -> AbstractContextManager[None]:
        """No lock is needed: a statement takes effect as a whole, and readers never wait.

        Steps that must not run at once, across tasks and machines, share a Dagster pool.
        """
        return nullcontext()

    @contextmanager
    def _staged(
        self, session: SnowflakeSession, table: TableName, rows: IncomingRows
    ) -> Iterator["StagedTable"]:
        """Copy `rows` into a temporary table, and create `table` like it if missing.

        DDL commits by itself: it comes before the one statement that changes `table`.
        """
        import pyarrow.parquet as pq  # noqa: PLC0415 - only loading needs Arrow

        with _parquet_file(rows) as file:
            schema: pa.Schema = pq.read_schema(file)
            count: int = pq.read_metadata(file).num_rows
            definition = ", ".join(f"{_quote(column.name)} {_type(table, column)}" for column in schema)
            target, staged = self._quote(table), TableName(table.schema, f"staged_{secrets.token_hex(6)}")
            session.execute(f"create table if not exists {target} ({definition})")
            existing = session.execute(f"describe table {target}").records()
            require_columns(table, [str(column["name"]) for column in existing], schema.names)
            name = self._quote(staged)
            session.execute(f"create temporary table {name} ({definition})")
            try:
                with self.stage.hold(session, file, name) as source:
                    session.execute(
                        f"copy into {name} from {source} file_format = (type = parquet use_logical_type = true)"
                        " match_by_column_name = case_insensitive"
                    )
                yield StagedTable(name, [_quote(column) for column in schema.names], count)
            finally:
                session.execute(f"drop table if exists {name}")

    def _quote(self, table: TableName) -> str:
        return ".".join(_quote(part) for part in (str(self.login.database), table.schema, table.name))


@dataclass(frozen=True)
class StagedTable:
    """A temporary table: its quoted name and columns, and its number of rows."""

    name: str
    columns: Sequence[str]
    rows: int


@dataclass(frozen=True)
class SnowflakeReader:
    """A session for queries alone."""

    session: SnowflakeSession

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        """Run one read-only statement, see `Reader.query`."""
        require_read_only(sql)
        return self.session.execute(sql, parameters)


@dataclass(frozen=True)
class TransactionSession:
    """A session inside a transaction, which a DDL statement would commit."""

    session: SnowflakeSession

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        """Run one query or DML statement, see `Session.execute`."""
        require_transactional(sql)
        return self.session.execute(sql, parameters)


@contextmanager
def _parquet_file(rows: IncomingRows) -> Iterator[Path]:
    """`rows` as a Parquet file whose name has no character that PUT would interpret."""
    import pyarrow.parquet as pq  # noqa: PLC0415 - only loading needs Arrow

    with tempfile.TemporaryDirectory(prefix="load-") as folder:
        file = Path(folder, "rows.parquet")
        if isinstance(rows, Path):
            file.symlink_to(rows.absolute())
            yield file
            return
        with pq.ParquetWriter(file, rows.schema) as writer:
            for batch in rows.to_batches() if hasattr(rows, "to_batches") else rows:
                writer.write_batch(batch)
        yield file


def _type(table: TableName, column: "pa.Field") -> str:
    """Snowflake's type for values of an Arrow column."""
    for pattern, name in _TYPES:
        if found := re.fullmatch(pattern, str(column.type)):
            return found.expand(name)
    raise WarehouseError(f"Cannot load into {table}: column {column.name} has the type {column.type}.")


def _quote(identifier: str) -> str:
    """The identifier with quotes; one that needs none is stored in upper case."""
    if re.fullmatch(r"[a-z_][a-z0-9_$]*", identifier):
        identifier = identifier.upper()
    return '"' + identifier.replace('"', '""') + '"'
