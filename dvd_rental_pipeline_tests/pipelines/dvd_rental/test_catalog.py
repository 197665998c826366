"""The catalogue matches the source, and the declaration for dbt matches the catalogue."""

from importlib.resources import files

import psycopg

from dvd_rental_pipeline.core.catalog import Privacy
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.transform.sources import render_sources, sources_file

COLUMNS = """
    select c.relname, a.attname, format_type(coalesce(nullif(t.typbasetype, 0), a.atttypid), a.atttypmod),
        not a.attnotnull
    from pg_attribute a
    join pg_class c on c.oid = a.attrelid
    join pg_type t on t.oid = a.atttypid
    where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped
    order by c.relname, a.attnum
"""
PRIMARY_KEYS = """
    select c.relname, array_agg(a.attname::text order by array_position(i.indkey::int2[], a.attnum))
    from pg_index i
    join pg_class c on c.oid = i.indrelid
    join pg_attribute a on a.attrelid = c.oid and a.attnum = any(i.indkey)
    where c.relnamespace = 'public'::regnamespace and i.indisprimary
    group by c.relname
"""


def test_tables_columns_types_and_keys_are_those_of_the_schema(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(files("dvd_rental_pipeline.sample.dvd_rental").joinpath("schema.sql").read_bytes())
        columns = connection.execute(COLUMNS).fetchall()
        keys = dict(connection.execute(PRIMARY_KEYS).fetchall())
    assert columns == [
        (table.name, column.name, column.type, column.nullable)
        for table in sorted(DVD_RENTAL.tables, key=lambda table: table.name)
        for column in table.columns
    ]
    assert {table: tuple(key) for table, key in keys.items()} == DVD_RENTAL.primary_keys()


def test_dbt_declares_the_sources_as_the_catalogue_does() -> None:
    assert sources_file(DVD_RENTAL).read_text(encoding="utf-8") == render_sources(DVD_RENTAL), (
        "run `python -m dvd_rental_pipeline.pipelines.render`"
    )


def test_passwords_and_pictures_of_staff_are_secret() -> None:
    secret = {
        (table.name, column.name)
        for table in DVD_RENTAL.tables
        for column in table.columns
        if column.privacy is Privacy.SECRET
    }
    assert secret == {("staff", "password"), ("staff", "picture")}
