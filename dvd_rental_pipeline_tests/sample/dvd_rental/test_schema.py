"""The schema compared with the real one, and the effects of its triggers and constraints."""

from typing import LiteralString

import psycopg
import pytest

from dvd_rental_pipeline.sample.dvd_rental.tables import DVD_RENTAL_TABLES
from dvd_rental_pipeline_tests.sample.queries import rows

_SYSTEM_CATALOG: dict[str, LiteralString] = {
    "columns of tables": """
        select c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
            pg_get_expr(d.adbin, d.adrelid)
        from pg_class c join pg_attribute a on a.attrelid = c.oid left join pg_attrdef d
            on d.adrelid = c.oid and d.adnum = a.attnum
        where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'
            and a.attnum > 0 and not a.attisdropped
        order by 1, 2
    """,
    "columns of views": """
        select c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod)
        from pg_class c join pg_attribute a on a.attrelid = c.oid
        where c.relnamespace = 'public'::regnamespace and c.relkind = 'v' and a.attnum > 0
        order by 1, 2
    """,
    "constraints": """
        select conrelid::regclass::text, contypid::regtype::text, conname, pg_get_constraintdef(oid)
        from pg_constraint where connamespace = 'public'::regnamespace and contype in ('p', 'f', 'u', 'c')
        order by 1, 2, 3
    """,
    "indexes": "select indexdef from pg_indexes where schemaname = 'public' order by 1",
    "triggers": "select pg_get_triggerdef(oid) from pg_trigger where not tgisinternal order by 1",
    "sequences": "select sequencename from pg_sequences where schemaname = 'public' order by 1",
    "enum": "select enumlabel from pg_enum where enumtypid = 'mpaa_rating'::regtype order by enumsortorder",
    "replica identity": """
        select relname, relreplident::text from pg_class
        where relnamespace = 'public'::regnamespace and relkind = 'r' order by 1
    """,
}


@pytest.mark.parametrize("part", _SYSTEM_CATALOG)
def test_schema_equals_that_of_the_real_database(part: str, real_url: str, small_sample_url: str) -> None:
    real = rows(real_url, _SYSTEM_CATALOG[part])

    assert real
    assert rows(small_sample_url, _SYSTEM_CATALOG[part]) == real


@pytest.mark.parametrize(
    "view",
    ["customer_list", "sales_by_film_category", "sales_by_store", "staff_list", "film_list", "actor_info"],
)
def test_views_on_the_real_data_equal_the_real_views(view: str, real_url: str, small_sample_url: str) -> None:
    # Lists within a value have no defined order.
    with psycopg.connect(small_sample_url) as connection:
        definition = connection.execute("select pg_get_viewdef(%s::regclass)", [view]).fetchone()
    assert definition is not None
    with psycopg.connect(real_url) as connection:
        generated = connection.execute(definition[0]).fetchall()
        real = connection.execute(
            psycopg.sql.SQL("select * from {}").format(psycopg.sql.Identifier(view))
        ).fetchall()

    assert len(generated) == len(real) > 0
    assert sorted(map(_without_order, generated)) == sorted(map(_without_order, real))


def _without_order(row: tuple[object, ...]) -> list[str]:
    return ["".join(sorted(str(field))) for field in row]


def test_declared_tables_and_keys_are_those_of_the_schema(small_sample_url: str) -> None:
    keys = rows(
        small_sample_url,
        "select conrelid::regclass::text, array_agg(attname::text order by ordinality)"
        " from pg_constraint, unnest(conkey) with ordinality as k (number, ordinality), pg_attribute"
        " where contype = 'p' and connamespace = 'public'::regnamespace"
        " and attrelid = conrelid and attnum = number group by 1",
    )

    assert {table: tuple(key) for table, key in keys} == DVD_RENTAL_TABLES.primary_keys


def test_update_sets_last_update_except_for_payments(small_sample_url: str) -> None:
    tables = [table for table in DVD_RENTAL_TABLES.primary_keys if table != "payment"]
    with psycopg.connect(small_sample_url) as connection:
        for table in tables:
            name = psycopg.sql.Identifier(table)
            connection.execute(psycopg.sql.SQL("update {} set last_update = '2000-01-01'").format(name))
            old = connection.execute(
                psycopg.sql.SQL("select count(*) from {} where last_update < now()").format(name)
            ).fetchone()
            assert old == (0,), table
        connection.rollback()


def test_full_text_search_finds_a_new_description(small_sample_url: str) -> None:
    with psycopg.connect(small_sample_url) as connection:
        connection.execute("update film set description = 'An armadillo sings' where film_id = 1")
        found = connection.execute("select film_id from film where fulltext @@ to_tsquery('armadillos')")
        assert found.fetchall() == [(1,)]
        connection.rollback()


def test_paid_rental_cannot_be_deleted_before_its_payments(small_sample_url: str) -> None:
    with (
        psycopg.connect(small_sample_url) as connection,
        pytest.raises(psycopg.errors.NotNullViolation, match="rental_id"),
    ):
        connection.execute("delete from rental where rental_id = (select rental_id from payment limit 1)")
