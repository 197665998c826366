"""Traffic that changes each row with a history at most once."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL

# A change of an address counts as a change of its customers, staff and stores too. To the simulator the error
# is a foreign key violation, after which it tries another event.
_REFUSE_SECOND_CHANGES = """
create schema one_change;
create table one_change.changed (changed_row text primary key, transaction xid8 not null);
create function one_change.note_change() returns trigger language plpgsql as $$
declare
    row_name text;
begin
    for row_name in
        select distinct name
        from unnest(array[to_jsonb(old), to_jsonb(new)]) as version,
            unnest(array[tg_table_name || ' ' || (version ->> tg_argv[0]),
                'address ' || (version ->> 'address_id')]) as name
        where name is not null
    loop
        insert into one_change.changed values (row_name, pg_current_xact_id()) on conflict do nothing;
        if exists (
            select from one_change.changed
            where changed_row = row_name and transaction <> pg_current_xact_id()
        ) then
            raise foreign_key_violation using message = row_name || ' has changed already';
        end if;
    end loop;
    return null;
end
$$
"""


@contextmanager
def one_change_per_row(url: str) -> Iterator[None]:
    """Refuse the second change of a row of a table with history, until the context ends."""
    keys = DVD_RENTAL.primary_keys()
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(_REFUSE_SECOND_CHANGES)
        for table, columns in DVD_RENTAL.history().items():
            admin.execute(
                sql.SQL(
                    "create trigger one_change after insert or delete or update of {} on {}"
                    " for each row execute function one_change.note_change({})"
                ).format(
                    sql.SQL(", ").join(map(sql.Identifier, columns)),
                    sql.Identifier(DVD_RENTAL.source_schema, table),
                    sql.Literal(keys[table][0]),
                )
            )
        yield
        admin.execute("drop schema one_change cascade")
