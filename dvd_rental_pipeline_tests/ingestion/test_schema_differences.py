"""Which changes of a source's columns the models can read, and which may have lost values."""

import re
from pathlib import Path

import pytest

from dvd_rental_pipeline.core.catalog import Column, Table
from dvd_rental_pipeline.core.settings import DBT_PROJECT_DIR
from dvd_rental_pipeline.ingestion.schema_differences import holds_every_value, schema_differences
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL

WIDER = [
    ("character varying(45)", "text"),
    ("character varying(50)", "character varying(100)"),
    ("character varying(50)", "character varying"),
    ("character(20)", "text"),
    ("character(20)", "character varying(20)"),
    ("smallint", "integer"),
    ("smallint", "bigint"),
    ("integer", "bigint"),
    ("numeric(5,2)", "numeric(12,2)"),
    ("numeric(5,2)", "numeric(7,4)"),
    ("numeric(5,2)", "numeric"),
    ("timestamp without time zone", "timestamp with time zone"),
    ("timestamp with time zone", "timestamp without time zone"),
    ("timestamp without time zone", "timestamp(3) without time zone"),
    ("date", "timestamp with time zone"),
    ("mpaa_rating", "text"),
    ("mpaa_rating", "other_enum"),
    ("text[]", "character varying[]"),
]
LOSSY = [
    ("character varying(50)", "character varying(20)"),
    ("text", "character varying(50)"),
    ("text", "character"),
    ("integer", "smallint"),
    ("integer", "text"),
    ("integer", "boolean"),
    ("numeric(5,2)", "numeric(5,3)"),
    ("numeric(5,2)", "numeric(4,2)"),
    ("numeric(5,2)", "numeric(5,0)"),
    ("numeric(5,2)", "text"),
    ("numeric(5,2)", "integer"),
    ("timestamp without time zone", "date"),
    ("timestamp without time zone", "text"),
    ("boolean", "integer"),
    ("text[]", "text"),
    ("text", "text[]"),
]


@pytest.mark.parametrize(("declared", "kind"), WIDER)
def test_type_with_more_values_is_not_lossy(declared: str, kind: str) -> None:
    assert holds_every_value(kind, declared)


@pytest.mark.parametrize(("declared", "kind"), LOSSY)
def test_type_with_fewer_or_other_values_is_lossy(declared: str, kind: str) -> None:
    assert not holds_every_value(kind, declared)


@pytest.mark.parametrize("table", DVD_RENTAL.tables, ids=lambda table: table.name)
def test_declared_types_hold_their_own_values(table: Table) -> None:
    assert all(holds_every_value(column.type, column.type) for column in table.columns)
    assert schema_differences(table, {column.name: column.type for column in table.columns}) == []


def test_dropped_column_is_lossy_only_if_a_model_reads_it() -> None:
    table = Table("t", "", ("a",), (Column("a", "integer", ""), Column("b", "text", "", is_read=False)))
    read, unread = schema_differences(table, {})
    assert (read.column, read.present, read.is_lossy) == ("a", None, True)
    assert (unread.column, unread.present, unread.is_lossy) == ("b", None, False)
    assert read.description == "a (integer) was dropped"


def test_catalogue_says_which_columns_the_models_read() -> None:
    for table in DVD_RENTAL.tables:
        models = [path.read_text() for path in Path(DBT_PROJECT_DIR, "models", "staging").glob("*.sql")]
        reading = [
            sql for sql in models if f"source('dvd_rental', '{table.name}')" in sql or f"'{table.name}'" in sql
        ]
        code = "\n".join(re.sub(r"--.*", "", sql) for sql in reading)
        for column in table.columns:
            read = re.search(rf"(?<!as )\b{column.name}\b", code) is not None
            assert read == column.is_read, f"{table.name}.{column.name}"
