"""Source types to what Airbyte writes: the columns of a final table, and values as text."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """Airbyte's types, with their column types in Snowflake and DuckDB."""

    STRING = ("VARCHAR", "VARCHAR")
    INTEGER = ("NUMBER(38, 0)", "BIGINT")
    NUMBER = ("FLOAT", "DOUBLE")
    BOOLEAN = ("BOOLEAN", "BOOLEAN")
    DATE = ("DATE", "DATE")
    TIMESTAMP = ("TIMESTAMP_NTZ", "TIMESTAMP")
    TIMESTAMP_TZ = ("TIMESTAMP_TZ", "TIMESTAMP WITH TIME ZONE")
    ARRAY = ("ARRAY", "JSON")
    OBJECT = ("VARIANT", "JSON")

    @property
    def snowflake(self) -> str:
        return self.value[0]

    @property
    def duckdb(self) -> str:
        return self.value[1]


@dataclass(frozen=True)
class Column:
    """A column of a final table. `is_binary` ones are written in base 64."""

    name: str
    kind: Kind
    is_binary: bool = False


@dataclass(frozen=True)
class Shape:
    """A final table: the source's columns, then Airbyte's."""

    name: str
    source_columns: tuple[Column, ...]
    key: tuple[str, ...]

    @property
    def columns(self) -> tuple[Column, ...]:
        return (*self.source_columns, *AIRBYTE_COLUMNS)


AIRBYTE_COLUMNS = (
    Column("_airbyte_raw_id", Kind.STRING),
    Column("_airbyte_extracted_at", Kind.TIMESTAMP_TZ),
    Column("_airbyte_meta", Kind.OBJECT),
    Column("_airbyte_generation_id", Kind.INTEGER),
    Column("_ab_cdc_lsn", Kind.NUMBER),
    Column("_ab_cdc_updated_at", Kind.STRING),
    Column("_ab_cdc_deleted_at", Kind.STRING),
)

_KINDS = {
    "smallint": Kind.INTEGER,
    "integer": Kind.INTEGER,
    "bigint": Kind.INTEGER,
    "numeric": Kind.NUMBER,
    "real": Kind.NUMBER,
    "double precision": Kind.NUMBER,
    "boolean": Kind.BOOLEAN,
    "date": Kind.DATE,
    "timestamp without time zone": Kind.TIMESTAMP,
    "timestamp with time zone": Kind.TIMESTAMP_TZ,
}


def shape_of(name: str, columns: Sequence[tuple[str, str, bool]]) -> Shape:
    """The final table of a source table: of each column its name, type, and whether it is in the key."""
    return Shape(
        name,
        tuple(Column(column, _kind(type_), is_binary=type_ == "bytea") for column, type_, _ in columns),
        tuple(column for column, _, in_key in columns if in_key),
    )


def _kind(type_: str) -> Kind:
    if type_.endswith("[]"):
        return Kind.ARRAY
    # An enum, tsvector, uuid, JSON, interval ... is a string to Airbyte's connector.
    return _KINDS.get(re.sub(r"\(.*?\)", "", type_), Kind.STRING)


def text_of(column: Column) -> str:
    """DuckDB's expression for a value of the column as text, under the column's own name."""
    name = f'"{column.name}"'
    if column.is_binary:
        return f"base64({name}) as {name}"
    if column.kind is Kind.ARRAY:
        return f"to_json({name})::varchar as {name}"
    return f"{name}::varchar as {name}"
