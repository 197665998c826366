"""How what captures the changes of a source differs from the catalogue: publication and keys.

A table that left the publication looks as if nothing happened in it, whoever reads the log.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

import psycopg

from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.ingestion.postgres_cdc.connect import publication
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.session import connect, translate_errors
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.setup import HEARTBEAT_SCHEMA, HEARTBEAT_TABLE

_NAMES_SQL = """
select c.oid::bigint, n.nspname::text, c.relname::text
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where c.oid = any(%s)
"""
_KEYS_SQL = """
select c.relname::text, array_agg(a.attname::text order by k.position)
from pg_index i
join pg_class c on c.oid = i.indrelid
cross join lateral unnest(i.indkey::int2[]) with ordinality as k(attnum, position)
join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
where i.indisprimary and k.position <= i.indnkeyatts
    and c.relnamespace = to_regnamespace(%s) and c.relname = any(%s)
group by c.relname
"""


@dataclass(frozen=True)
class Deviation:
    """One way in which the capture is not as the catalogue declares, in words.

    `table` is None for what concerns all of them. With `is_fault`, changes are lost or keys doubled.
    """

    table: str | None
    told: str
    is_fault: bool


def publication_drift(url: str, domain: Domain, name: str) -> Sequence[Deviation]:
    """Compare the publication of that name and the primary keys of the source at `url` with the catalogue.

    Raises:
        ReplicationError: the source cannot be reached, or refuses.
    """
    with closing(connect(url)) as connection, translate_errors(url):
        return [*_of_publication(connection, domain, name), *_of_keys(connection, domain)]


def _of_publication(connection: psycopg.Connection, domain: Domain, name: str) -> list[Deviation]:
    has_every_kind = publication.has_every_kind(connection, name)
    if has_every_kind is None:
        told = f"the source has no publication {name}"
        return [Deviation(None, told, True), *(Deviation(table.name, told, True) for table in domain.tables)]
    published, partial = publication.read(connection, name)
    members = {
        (schema, table): oid not in partial
        for oid, schema, table in connection.execute(_NAMES_SQL, [[*published.members, *partial]]).fetchall()
    }
    wanted = {(domain.source_schema, table.name) for table in domain.tables}
    found = [
        Deviation(table, f"the publication {name} does not have it", True)
        for schema, table in sorted(wanted - members.keys())
    ]
    found += [
        Deviation(table, f"the publication {name} has only some of its rows or columns", True)
        for schema, table in sorted(wanted & members.keys())
        if not members[schema, table]
    ]
    if not has_every_kind:
        found.append(Deviation(None, f"the publication {name} leaves out some kinds of changes", True))
    found += [
        Deviation(None, f"the publication {name} has {schema}.{table} too much", False)
        for schema, table in sorted(members.keys() - wanted - {(HEARTBEAT_SCHEMA, HEARTBEAT_TABLE)})
    ]
    return found


def _of_keys(connection: psycopg.Connection, domain: Domain) -> list[Deviation]:
    wanted = domain.primary_keys()
    keys: dict[str, list[str]] = dict(
        connection.execute(_KEYS_SQL, [domain.source_schema, list(wanted)]).fetchall()
    )
    return [
        Deviation(
            table,
            f"its primary key in the source is {_columns(keys.get(table, ()))}, "
            f"in the catalogue {_columns(key)}",
            # A deleted row bears the source's key alone: without ours in it, nobody knows which one went.
            not set(key) <= set(keys.get(table, ())),
        )
        for table, key in wanted.items()
        if set(keys.get(table, ())) != set(key)
    ]


def _columns(key: Sequence[str]) -> str:
    return f"({', '.join(key)})" if key else "missing"
