"""Where a sync delivers: Snowflake as Airbyte's connector fills it, or a DuckDB file in the same form."""

import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import duckdb
import pyarrow as pa

from dvd_rental_pipeline_tests.stand_ins.airbyte.shapes import Kind, Shape

_BATCH = 1_000


class Destination(Protocol):
    """Takes the rows of a sync."""

    def write(self, schema: str, shape: Shape, rows: pa.Table, *, anew: bool) -> None:
        """Merge `rows`, whose values are all text, by the key of `shape`; with `anew` replace the table."""


class DuckDBDestination:
    """A DuckDB file with the tables as Airbyte would write them in Snowflake, types and all."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, schema: str, shape: Shape, rows: pa.Table, *, anew: bool) -> None:
        table = f'{schema.lower()}."{shape.name}"'
        names = [f'"{column.name}"' for column in shape.columns]
        with duckdb.connect(self.path) as connection:
            connection.execute("set timezone = 'UTC'")
            connection.execute(f"create schema if not exists {schema.lower()}")
            declared = ", ".join(
                f"{name} {column.kind.duckdb}" for name, column in zip(names, shape.columns, strict=True)
            )
            connection.execute(
                f"create {'or replace table' if anew else 'table if not exists'} {table} ({declared})"
            )
            for name, column in zip(names, shape.columns, strict=True):
                connection.execute(f"alter table {table} add column if not exists {name} {column.kind.duckdb}")
            connection.register("staged", rows)
            cast = ", ".join(
                f"{name}::{column.kind.duckdb}" for name, column in zip(names, shape.columns, strict=True)
            )
            connection.execute("begin")
            connection.execute(f"delete from {table} t using staged s where {_same_key(shape, str)}")
            connection.execute(f"insert into {table} ({', '.join(names)}) select {cast} from staged")
            connection.execute("commit")


class SnowflakeDestination:
    """Snowflake, through its own connector: names in upper case, one final table a stream.

    `connection` holds the arguments of `snowflake.connector.connect`: account, host, port, protocol, user,
    private key and so on, for any server that speaks its protocol.
    """

    def __init__(self, connection: Mapping[str, Any], database: str) -> None:
        self._arguments = dict(connection)
        self._database = database

    def write(self, schema: str, shape: Shape, rows: pa.Table, *, anew: bool) -> None:
        # Slow to import, and not needed by the tests that deliver elsewhere.
        from snowflake.connector import connect  # noqa: PLC0415

        database = self._database
        table = f'{database}.{schema}."{shape.name.upper()}"'
        stage = f'{database}.{schema}."_AIRBYTE_STAGE_{shape.name.upper()}"'
        names = [f'"{column.name.upper()}"' for column in shape.columns]
        declared = ", ".join(
            f"{name} {column.kind.snowflake}" for name, column in zip(names, shape.columns, strict=True)
        )
        with closing(connect(**self._arguments)) as connection, closing(connection.cursor()) as cursor:
            cursor.execute(f"create database if not exists {database}")
            cursor.execute(f"create schema if not exists {database}.{schema}")
            cursor.execute(
                f"create {'or replace table' if anew else 'table if not exists'} {table} ({declared})"
            )
            there = {row[0] for row in cursor.execute(f"describe table {table}").fetchall()}
            for name, column in zip(names, shape.columns, strict=True):
                # Nothing told means a server that cannot describe: then the table is as it was made.
                if there and name.strip('"') not in there:
                    cursor.execute(f"alter table {table} add column {name} {column.kind.snowflake}")
            if rows.num_rows == 0:
                return
            cursor.execute(
                f"create or replace table {stage} ({', '.join(f'{name} VARCHAR' for name in names)})"
            )
            values = list(zip(*(column.to_pylist() for column in rows.columns), strict=True))
            # One JSON text a statement: row by row takes a server that parses each value minutes.
            fields = ", ".join(f"value[{position}]::varchar" for position in range(len(names)))
            for start in range(0, len(values), _BATCH):
                cursor.execute(
                    f"insert into {stage} select {fields} from table(flatten(input => parse_json(%s)))",
                    [json.dumps(values[start : start + _BATCH])],
                )
            cast = ", ".join(
                _from_text(name, column.kind) for name, column in zip(names, shape.columns, strict=True)
            )
            if not anew:
                cursor.execute(f"delete from {table} t using {stage} s where {_same_key(shape, str.upper)}")
            cursor.execute(f"insert into {table} ({', '.join(names)}) select {cast} from {stage}")
            cursor.execute(f"drop table {stage}")


def _same_key(shape: Shape, spelt: Any) -> str:
    kinds = {column.name: column.kind for column in shape.columns}
    return " and ".join(
        f't."{spelt(name)}" = s."{spelt(name)}"' + ("::bigint" if kinds[name] is Kind.INTEGER else "")
        for name in shape.key
    )


def _from_text(name: str, kind: Kind) -> str:
    match kind:
        case Kind.STRING:
            return name
        case Kind.ARRAY:
            return f"parse_json({name})::array"
        case Kind.OBJECT:
            return f"parse_json({name})"
        case _:
            return f"cast({name} as {kind.snowflake})"
