"""A small database in the shape of Pagila, the maintained edition of the DVD rental database.

It differs from the original as Pagila does: text instead of varchar, integer instead of smallint keys,
timestamps with a time zone, `film.original_language_id`, and payments partitioned by date with a composite
primary key.
"""

from typing import LiteralString

import psycopg
from psycopg import sql

_COLUMNS: LiteralString = """
select c.relname, a.attname, format_type(a.atttypid, a.atttypmod)
from pg_attribute a
join pg_class c on c.oid = a.attrelid
where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped
order by c.relname, a.attnum
"""
_PAYMENTS: LiteralString = """
alter table payment rename to payment_rows;
create table payment (
    payment_id integer not null,
    customer_id integer not null references customer,
    staff_id integer not null references staff,
    rental_id integer not null references rental,
    amount numeric(5, 2) not null,
    payment_date timestamptz not null,
    primary key (payment_date, payment_id)
) partition by range (payment_date);
create table payment_early partition of payment for values from (minvalue) to ('2026-01-01');
create table payment_late partition of payment for values from ('2026-01-01') to (maxvalue);
insert into payment select payment_id, customer_id, staff_id, rental_id, amount, payment_date from payment_rows;
drop table payment_rows cascade;
"""


def convert_to_pagila(url: str, zone: str = "UTC") -> None:
    """Change the sample database at `url`, whose times are those of `zone`, to the shape of Pagila."""
    with psycopg.connect(url) as connection:
        for (view,) in connection.execute(
            "select table_name from information_schema.views where table_schema = 'public'"
        ).fetchall():
            connection.execute(sql.SQL("drop view if exists {} cascade").format(sql.Identifier(view)))
        for table, column, kind in connection.execute(_COLUMNS).fetchall():
            names = {
                "table": sql.Identifier(table),
                "column": sql.Identifier(column),
                "zone": sql.Literal(zone),
            }
            if kind.startswith("character varying"):
                statement = "alter table {table} alter column {column} type text"
            elif kind == "smallint" and column.endswith("_id"):
                statement = "alter table {table} alter column {column} type integer"
            elif kind == "timestamp without time zone":
                statement = (
                    "alter table {table} alter column {column} type timestamptz"
                    " using {column} at time zone {zone}"
                )
            else:
                continue
            connection.execute(sql.SQL(statement).format(**names))
        connection.execute("alter table film add original_language_id integer references language")
        connection.execute(_PAYMENTS)
