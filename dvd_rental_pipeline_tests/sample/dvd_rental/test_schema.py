"""Our schema against the real one's catalogue, and what its triggers and constraints do."""

from typing import LiteralString

import psycopg
import pytest

from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline_tests.sample.queries import rows

_CATALOGUE: dict[str, LiteralString] = {
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


@pytest.mark.parametrize("part", _CATALOGUE)
def test_the_schema_is_that_of_the_real_database(part: str, real_url: str, small_sample_url: str) -> None:
    real = rows(real_url, _CATALOGUE[part])

    assert real
    assert rows(small_sample_url, _CATALOGUE[part]) == real


@pytest.mark.parametrize(
    "view",
    ["customer_list", "sales_by_film_category", "sales_by_store", "staff_list", "film_list", "actor_info"],
)
def test_a_view_shows_of_the_real_data_what_the_real_view_shows(
    view: str, real_url: str, small_sample_url: str
) -> None:
    # Lists are in no particular order, neither there nor here.
    with psycopg.connect(small_sample_url) as connection:
        definition = connection.execute("select pg_get_viewdef(%s::regclass)", [view]).fetchone()
    assert definition is not None
    with psycopg.connect(real_url) as connection:
        ours = connection.execute(definition[0]).fetchall()
        real = connection.execute(
            psycopg.sql.SQL("select * from {}").format(psycopg.sql.Identifier(view))
        ).fetchall()

    assert len(ours) == len(real) > 0
    assert sorted(map(_without_order, ours)) == sorted(map(_without_order, real))


def _without_order(row: tuple[object, ...]) -> list[str]:
    return ["".join(sorted(str(field))) for field in row]


def test_the_catalogue_names_the_tables_columns_and_keys_of_the_schema(small_sample_url: str) -> None:
    columns = rows(small_sample_url, _CATALOGUE["columns of tables"])
    keys = rows(
        small_sample_url,
        "select conrelid::regclass::text, array_agg(attname::text order by ordinality)"
        " from pg_constraint, unnest(conkey) with ordinality as k (number, ordinality), pg_attribute"
        " where contype = 'p' and attrelid = conrelid and attnum = number group by 1",
    )

    for table in DVD_RENTAL.tables:
        ours = {(name, not not_null) for relation, _, name, _, not_null, _ in columns if relation == table.name}
        assert {(column.name, column.nullable) for column in table.columns} == ours
        assert (table.name, list(table.primary_key)) in keys
    assert len(DVD_RENTAL.tables) == 15


def test_an_update_sets_the_time_of_change_except_of_payments(small_sample_url: str) -> None:
    tables = [table.name for table in DVD_RENTAL.tables if table.name != "payment"]
    with psycopg.connect(small_sample_url) as connection:
        for table in tables:
            name = psycopg.sql.Identifier(table)
            connection.execute(psycopg.sql.SQL("update {} set last_update = '2000-01-01'").format(name))
            old = connection.execute(
                psycopg.sql.SQL("select count(*) from {} where last_update < now()").format(name)
            ).fetchone()
            assert old == (0,), table
        connection.rollback()


def test_a_new_description_is_found_by_full_text(small_sample_url: str) -> None:
    with psycopg.connect(small_sample_url) as connection:
        connection.execute("update film set description = 'An armadillo sings' where film_id = 1")
        found = connection.execute("select film_id from film where fulltext @@ to_tsquery('armadillos')")
        assert found.fetchall() == [(1,)]
        connection.rollback()


def test_a_paid_rental_cannot_be_deleted_before_its_payments(small_sample_url: str) -> None:
    with (
        psycopg.connect(small_sample_url) as connection,
        pytest.raises(psycopg.errors.NotNullViolation, match="rental_id"),
    ):
        connection.execute("delete from rental where rental_id = (select rental_id from payment limit 1)")
