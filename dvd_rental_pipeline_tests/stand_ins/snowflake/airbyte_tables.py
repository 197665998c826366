"""Raw tables in Snowflake as Airbyte's destination writes them, with its upper-case names and types."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
from snowflake.connector import SnowflakeConnection

from dvd_rental_pipeline.core.catalog import CHANGE_CAPTURE_COLUMNS, Column, Domain, Table

# Columns that destination-snowflake 4.x adds to each table.
AIRBYTE_COLUMN_TYPES = {
    "_airbyte_raw_id": "VARCHAR",
    "_airbyte_extracted_at": "TIMESTAMP_TZ",
    "_airbyte_meta": "VARIANT",
    "_airbyte_generation_id": "NUMBER",
    "_ab_cdc_lsn": "FLOAT",
    "_ab_cdc_updated_at": "VARCHAR",
    "_ab_cdc_deleted_at": "VARCHAR",
}


def columns_of(table: Table) -> Sequence[tuple[str, str]]:
    """Name in upper case and Snowflake type of each column of the final table."""
    return [(column.name.upper(), _type(column)) for column in (*table.columns, *CHANGE_CAPTURE_COLUMNS)]


def load(connection: SnowflakeConnection, domain: Domain, warehouse: Path) -> Mapping[str, int]:
    """Copy the raw tables of `domain` from the DuckDB file `warehouse` to Snowflake, replacing existing ones.

    Types become those of Airbyte: money a float, for example. Returns the number of rows by table.
    """
    schema = domain.name.upper()
    with (
        connection.cursor() as cursor,
        duckdb.connect(warehouse, read_only=True) as replica,
        tempfile.TemporaryDirectory() as folder,
    ):
        cursor.execute(f"create schema if not exists {schema}")
        cursor.execute(f"create or replace stage {schema}.airbyte")
        rows = {}
        for table in domain.tables:
            file = Path(folder) / f"{table.name}.parquet"
            texts = ", ".join(f'{_text(name, type_)} as "{name}"' for name, type_ in columns_of(table))
            rows[table.name] = _write(replica, domain, table, texts, file)
            defined = ", ".join(f'"{name}" {type_}' for name, type_ in columns_of(table))
            cursor.execute(f'create or replace table {schema}."{table.name.upper()}" ({defined})')
            cursor.execute(f"put file://{file} @{schema}.airbyte overwrite = true auto_compress = false")
            staged = ", ".join(f'"{name}" varchar' for name, _ in columns_of(table))
            cursor.execute(f"create or replace table {schema}.airbyte_staged ({staged})")
            cursor.execute(
                f"copy into {schema}.airbyte_staged from @{schema}.airbyte/{file.name} "
                "file_format = (type = parquet) match_by_column_name = case_insensitive"
            )
            values = ", ".join(_value(name, type_) for name, type_ in columns_of(table))
            cursor.execute(
                f'insert into {schema}."{table.name.upper()}" select {values} from {schema}.airbyte_staged'
            )
            cursor.execute(f"drop table {schema}.airbyte_staged")
    return rows


def _write(replica: duckdb.DuckDBPyConnection, domain: Domain, table: Table, texts: str, file: Path) -> int:
    answer = replica.execute(
        f"copy (select {texts} from {domain.name}.{table.name}) to '{file}' (format parquet)"
    ).fetchone()
    assert answer
    return int(answer[0])


def _type(column: Column) -> str:
    if column.name in AIRBYTE_COLUMN_TYPES:
        return AIRBYTE_COLUMN_TYPES[column.name]
    name = column.type.partition("(")[0]
    if name == "numeric":
        return "FLOAT"
    return {
        "smallint": "NUMBER",
        "integer": "NUMBER",
        "bigint": "NUMBER",
        "boolean": "BOOLEAN",
        "date": "DATE",
        "timestamp without time zone": "TIMESTAMP_NTZ",
        "timestamp with time zone": "TIMESTAMP_TZ",
        "text[]": "ARRAY",
    }.get(name, "VARCHAR")


def _text(name: str, type_: str) -> str:
    """An expression for the value in the replica as text, from which any type can be read."""
    column = f'"{name.lower()}"'
    if type_ == "ARRAY":
        return f"cast(to_json({column}) as varchar)"
    return f"cast({column} as varchar)"


def _value(name: str, type_: str) -> str:
    if type_ in ("ARRAY", "VARIANT"):
        return f'parse_json("{name}")'
    return f'cast("{name}" as {type_})'
