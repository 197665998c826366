"""Differences between what captures a source's changes (publication, primary keys) and the catalogue.

A table that is missing from the publication looks like a table without changes to every reader of the WAL.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

import psycopg

from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.heartbeat import HEARTBEAT_SCHEMA, HEARTBEAT_TABLE
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.publication import Publication, read_publication
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.session import connect, translate_errors

_KEYS_SQL = """
select c.relname::text, array_agg(a.attname::text order by k.position)
from pg_index i
join pg_class c on c.oid = i.indrelid
join pg_namespace n on n.oid = c.relnamespace
cross join lateral unnest(i.indkey::int2[]) with ordinality as k(attnum, position)
join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
where i.indisprimary and k.position <= i.indnkeyatts and n.nspname = %s and c.relname = any(%s)
group by c.relname
"""


@dataclass(frozen=True)
class Deviation:
    """One way in which the capture differs from the catalogue.

    `table` is a table of the domain, or None if the deviation concerns all of them. `is_fault`: changes are
    lost or keys are not unique because of it.
    """

    table: str | None
    description: str
    is_fault: bool


def publication_drift(url: str, domain: Domain, name: str) -> Sequence[Deviation]:
    """Compare the publication `name` and the primary keys of the source at `url` with the catalogue.

    Raises:
        ReplicationError: the source cannot be reached, or a query failed.
    """
    with closing(connect(url)) as connection, translate_errors(url):
        publication = read_publication(connection, name)
        if publication is None:
            description = f"the source has no publication {name}"
            tables = (None, *(table.name for table in domain.tables))
            deviations = [Deviation(table, description, True) for table in tables]
        else:
            deviations = _publication_deviations(publication, domain)
        return [*deviations, *_key_deviations(connection, domain)]


def _publication_deviations(publication: Publication, domain: Domain) -> list[Deviation]:
    name = publication.name
    published = {(table.schema, table.name): table.is_complete for table in publication.tables.values()}
    expected = {(domain.source_schema, table.name) for table in domain.tables}
    deviations = [
        Deviation(table, f"it is not in the publication {name}", True)
        for _, table in sorted(expected - published.keys())
    ]
    deviations += [
        Deviation(table, f"the publication {name} has only some of its rows or columns", True)
        for schema, table in sorted(expected & published.keys())
        if not published[schema, table]
    ]
    if not publication.publishes_all_changes:
        deviations.append(Deviation(None, f"the publication {name} leaves out some kinds of changes", True))
    deviations += [
        Deviation(None, f"unexpected table {schema}.{table} in the publication {name}", False)
        for schema, table in sorted(published.keys() - expected - {(HEARTBEAT_SCHEMA, HEARTBEAT_TABLE)})
    ]
    return deviations


def _key_deviations(connection: psycopg.Connection, domain: Domain) -> list[Deviation]:
    declared = domain.primary_keys()
    keys: dict[str, list[str]] = dict(
        connection.execute(_KEYS_SQL, [domain.source_schema, list(declared)]).fetchall()
    )
    return [
        Deviation(
            table,
            f"its primary key is {_column_list(keys.get(table, ()))} in the source and {_column_list(key)} in "
            "the catalogue",
            # A deletion contains only the source's key: without the declared key in it, the row is unknown.
            not set(key) <= set(keys.get(table, ())),
        )
        for table, key in declared.items()
        if set(keys.get(table, ())) != set(key)
    ]


def _column_list(key: Sequence[str]) -> str:
    return f"({', '.join(key)})" if key else "missing"
