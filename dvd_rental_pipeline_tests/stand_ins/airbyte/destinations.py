"""Destinations of a sync: Snowflake as Airbyte's connector writes it, or a DuckDB file with the same tables."""

import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from dvd_rental_pipeline_tests.duckdb_files import open_file
from dvd_rental_pipeline_tests.stand_ins.airbyte.final_tables import AirbyteType, FinalTable

_BATCH = 1_000


class Destination(Protocol):
    """Receives the rows of a sync."""

    def write(self, schema: str, table: FinalTable, rows: pa.Table, *, replace: bool) -> None:
        """Merge `rows`, all values as text, into `table` by its key, or replace it."""


class DuckDBDestination:
    """A DuckDB file with the tables and types that Airbyte writes in Snowflake."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, schema: str, table: FinalTable, rows: pa.Table, *, replace: bool) -> None:
        target = f'{schema.lower()}."{table.name}"'
        names = [f'"{column.name}"' for column in table.columns]
        with open_file(self.path) as connection:
            connection.execute("set timezone = 'UTC'")
            # Otherwise each statement is a write to the disk.
            connection.execute("begin")
            connection.execute(f"create schema if not exists {schema.lower()}")
            declared = ", ".join(
                f"{name} {column.type.duckdb}" for name, column in zip(names, table.columns, strict=True)
            )
            connection.execute(
                f"create {'or replace table' if replace else 'table if not exists'} {target} ({declared})"
            )
            for name, column in zip(names, table.columns, strict=True):
                connection.execute(f"alter table {target} add column if not exists {name} {column.type.duckdb}")
            connection.register("staged", rows)
            cast = ", ".join(
                f"{name}::{column.type.duckdb}" for name, column in zip(names, table.columns, strict=True)
            )
            connection.execute(f"delete from {target} t using staged s where {_same_key(table, str)}")
            connection.execute(f"insert into {target} ({', '.join(names)}) select {cast} from staged")
            connection.execute("commit")


class SnowflakeDestination:
    """Snowflake, through its connector: names in upper case, one final table per stream.

    Args:
        connection: arguments of `snowflake.connector.connect`.
        database: created if it does not exist.
        version: of the connector. Below 4.0.47, a table that is replaced is built in another schema and swapped
            in, without the grants of its schema.
    """

    def __init__(self, connection: Mapping[str, Any], database: str, version: str = "4.0.51") -> None:
        self._arguments = dict(connection)
        self._database = database
        self._swaps = tuple(map(int, version.split("."))) < (4, 0, 47)

    def write(self, schema: str, table: FinalTable, rows: pa.Table, *, replace: bool) -> None:
        # Slow to import, and most tests use another destination.
        from snowflake.connector import connect  # noqa: PLC0415

        database = self._database
        target = f'{database}.{schema}."{table.name.upper()}"'
        stage = f'{database}.{schema}."_AIRBYTE_STAGE_{table.name.upper()}"'
        names = [f'"{column.name.upper()}"' for column in table.columns]
        declared = ", ".join(
            f"{name} {column.type.snowflake}" for name, column in zip(names, table.columns, strict=True)
        )
        with closing(connect(**self._arguments)) as connection, closing(connection.cursor()) as cursor:
            cursor.execute(f"create database if not exists {database}")
            cursor.execute(f"create schema if not exists {database}.{schema}")
            if replace and self._swaps:
                built = f'{database}.AIRBYTE_INTERNAL."{table.name.upper()}"'
                cursor.execute(f"create schema if not exists {database}.AIRBYTE_INTERNAL")
                cursor.execute(f"create or replace table {built} ({declared})")
                cursor.execute(f"create table if not exists {target} ({declared})")
                cursor.execute(f"alter table {target} swap with {built}")
            else:
                cursor.execute(
                    f"create {'or replace table' if replace else 'table if not exists'} {target} ({declared})"
                )
            existing = {row[0] for row in cursor.execute(f"describe table {target}").fetchall()}
            for name, column in zip(names, table.columns, strict=True):
                # An empty description: plain fakesnow does not describe tables of another database.
                if existing and name.strip('"') not in existing:
                    cursor.execute(f"alter table {target} add column {name} {column.type.snowflake}")
            if rows.num_rows == 0:
                return
            cursor.execute(
                f"create or replace table {stage} ({', '.join(f'{name} VARCHAR' for name in names)})"
            )
            values = list(zip(*(column.to_pylist() for column in rows.columns), strict=True))
            # One JSON text per batch: fakesnow takes minutes to parse a statement with a value per field.
            fields = ", ".join(f"value[{position}]::varchar" for position in range(len(names)))
            for start in range(0, len(values), _BATCH):
                cursor.execute(
                    f"insert into {stage} select {fields} from table(flatten(input => parse_json(%s)))",
                    [json.dumps(values[start : start + _BATCH])],
                )
            cast = ", ".join(
                _from_text(name, column.type) for name, column in zip(names, table.columns, strict=True)
            )
            if not replace:
                cursor.execute(f"delete from {target} t using {stage} s where {_same_key(table, str.upper)}")
            cursor.execute(f"insert into {target} ({', '.join(names)}) select {cast} from {stage}")
            cursor.execute(f"drop table {stage}")


def _same_key(table: FinalTable, spell: Any) -> str:
    types = {column.name: column.type for column in table.columns}
    return " and ".join(
        f't."{spell(name)}" = s."{spell(name)}"' + ("::bigint" if types[name] is AirbyteType.INTEGER else "")
        for name in table.key
    )


def _from_text(name: str, type_: AirbyteType) -> str:
    match type_:
        case AirbyteType.STRING:
            return name
        case AirbyteType.ARRAY:
            return f"parse_json({name})::array"
        case AirbyteType.OBJECT:
            return f"parse_json({name})"
        case _:
            return f"cast({name} as {type_.snowflake})"
