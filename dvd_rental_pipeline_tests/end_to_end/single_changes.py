"""Traffic in which nothing that has a history changes twice."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL

# Who lives at an address changes with it: both count as changed. The simulator takes the refusal for one by the
# schema itself, and lets something else happen.
_REFUSE_SECOND_CHANGES = """
create schema single_changes;
create table single_changes.changed (what text primary key, transaction xid8 not null);
create function single_changes.note() returns trigger language plpgsql as $$
declare
    thing text;
begin
    for thing in
        select distinct name
        from unnest(array[to_jsonb(old), to_jsonb(new)]) as version,
            unnest(array[tg_table_name || ' ' || (version ->> tg_argv[0]),
                'address ' || (version ->> 'address_id')]) as name
        where name is not null
    loop
        insert into single_changes.changed values (thing, pg_current_xact_id()) on conflict do nothing;
        if exists (
            select from single_changes.changed
            where what = thing and transaction <> pg_current_xact_id()
        ) then
            raise foreign_key_violation using message = thing || ' has changed already';
        end if;
    end loop;
    return null;
end
$$
"""


@contextmanager
def everything_changes_once(url: str) -> Iterator[None]:
    """While the context lasts, refuse the second change of a row of which histories are kept."""
    keys = DVD_RENTAL.primary_keys()
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(_REFUSE_SECOND_CHANGES)
        for table, columns in DVD_RENTAL.history().items():
            admin.execute(
                sql.SQL(
                    "create trigger single_changes after insert or delete or update of {} on {}"
                    " for each row execute function single_changes.note({})"
                ).format(
                    sql.SQL(", ").join(map(sql.Identifier, columns)),
                    sql.Identifier(DVD_RENTAL.source_schema, table),
                    sql.Literal(keys[table][0]),
                )
            )
        yield
        admin.execute("drop schema single_changes cascade")
