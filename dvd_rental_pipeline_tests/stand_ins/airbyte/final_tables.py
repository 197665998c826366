"""Airbyte's final tables: the columns for those of a source table, and their values as text."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import Enum


class AirbyteType(Enum):
    """Airbyte's types, with the column types in Snowflake and DuckDB."""

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
    """A column of a final table. Values of a binary one are written in base64."""

    name: str
    type: AirbyteType
    is_binary: bool = False


@dataclass(frozen=True)
class FinalTable:
    """A final table: the columns of the source, then those of Airbyte."""

    name: str
    source_columns: tuple[Column, ...]
    key: tuple[str, ...]

    @property
    def columns(self) -> tuple[Column, ...]:
        return (*self.source_columns, *AIRBYTE_COLUMNS)

    def select(self, names: Collection[str] | None) -> "FinalTable":
        """The table with those of its source columns that the connection selects; None selects all.

        The columns of change capture belong to the source as well: a connection that does not select them gets
        rows without positions.
        """
        if names is None:
            return self
        missing = {*self.key, *CAPTURE_COLUMNS} - set(names)
        assert not missing, f"the connection does not select {missing} of {self.name}"
        return replace(self, source_columns=tuple(each for each in self.source_columns if each.name in names))


CAPTURE_COLUMNS = ("_ab_cdc_lsn", "_ab_cdc_updated_at", "_ab_cdc_deleted_at")
AIRBYTE_COLUMNS = (
    Column("_airbyte_raw_id", AirbyteType.STRING),
    Column("_airbyte_extracted_at", AirbyteType.TIMESTAMP_TZ),
    Column("_airbyte_meta", AirbyteType.OBJECT),
    Column("_airbyte_generation_id", AirbyteType.INTEGER),
    Column("_ab_cdc_lsn", AirbyteType.NUMBER),
    Column("_ab_cdc_updated_at", AirbyteType.STRING),
    Column("_ab_cdc_deleted_at", AirbyteType.STRING),
)

_AIRBYTE_TYPES = {
    "smallint": AirbyteType.INTEGER,
    "integer": AirbyteType.INTEGER,
    "bigint": AirbyteType.INTEGER,
    "numeric": AirbyteType.NUMBER,
    "real": AirbyteType.NUMBER,
    "double precision": AirbyteType.NUMBER,
    "boolean": AirbyteType.BOOLEAN,
    "date": AirbyteType.DATE,
    "timestamp without time zone": AirbyteType.TIMESTAMP,
    "timestamp with time zone": AirbyteType.TIMESTAMP_TZ,
}


def final_table(name: str, columns: Sequence[tuple[str, str, bool]]) -> FinalTable:
    """The final table for a source table with `columns`: name, type, whether it is in the primary key."""
    return FinalTable(
        name,
        tuple(Column(column, _airbyte_type(type_), is_binary=type_ == "bytea") for column, type_, _ in columns),
        tuple(column for column, _, in_key in columns if in_key),
    )


def _airbyte_type(type_: str) -> AirbyteType:
    if type_.endswith("[]"):
        return AirbyteType.ARRAY
    # The connector reads an enum, tsvector, uuid, JSON, interval ... as a string.
    return _AIRBYTE_TYPES.get(re.sub(r"\(.*?\)", "", type_), AirbyteType.STRING)


def text_expression(column: Column) -> str:
    """A DuckDB expression for the value of the column as text, named as the column.

    As destination-snowflake loads it: without white space at the edges, and null instead of an empty text.
    """
    name = f'"{column.name}"'
    text = f"{name}::varchar"
    if column.is_binary:
        text = f"base64({name})"
    elif column.type is AirbyteType.ARRAY:
        text = f"to_json({name})::varchar"
    return f"nullif(trim({text}, ' \t\n\r'), '') as {name}"
