"""The publication: which tables' changes the log's readers get. Made for the given tables only, never for all.

Publishing a table that has no replica identity would make the application's own updates of it fail, so only
tables that passed `Relation.refusal` are ever added.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from dvd_rental_pipeline.ingestion.postgres_cdc.connect.session import format_sql
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.relations import Relation


@dataclass(frozen=True)
class Publication:
    """A publication as it is now.

    `version` changes when the publication is made anew or its options change; `members` holds, for each table
    (by oid) that is published whole, a mark that changes when the table is removed and added again.
    """

    version: str
    members: Mapping[int, str]


def ensure(
    connection: psycopg.Connection, name: str, relations: Sequence[Relation], announce: Callable[[str], None]
) -> Publication:
    """Make the publication if need be, and have it hold each of `relations` whole.

    Raises:
        psycopg.Error: the user may not create it, or does not own a table.
    """
    whole = has_every_kind(connection, name)
    if whole is None:
        announce(f"creating the publication {name}")
        connection.execute(
            format_sql("create publication {name} with (publish_via_partition_root = true)", name=name)
        )
    elif not whole:
        announce(f"the publication {name} left out some kinds of changes: mending it")
        connection.execute(
            format_sql(
                "alter publication {name} set (publish = 'insert, update, delete, truncate',"
                " publish_via_partition_root = true)",
                name=name,
            )
        )
    publication, partial = read(connection, name)
    missing = [relation for relation in relations if relation.oid not in publication.members]
    if not missing:
        return publication
    for relation in missing:
        if relation.oid in partial:
            announce(f"the publication {name} held only a part of {relation.name}: mending it")
            connection.execute(
                format_sql("alter publication {name} drop table {table}", name=name, table=_at(relation))
            )
    connection.execute(
        format_sql("alter publication {name} add table ", name=name)
        + sql.SQL(", ").join(
            # A partitioned table is published with its partitions, any other without the tables that inherit.
            format_sql("{table}" if relation.is_partitioned else "only {table}", table=_at(relation))
            for relation in missing
        )
    )
    return read(connection, name)[0]


def _at(relation: Relation) -> tuple[str, str]:
    return (relation.schema, relation.name)


def has_every_kind(connection: psycopg.Connection, name: str) -> bool | None:
    """Whether it has every kind of change, and those of partitions as their root's. None: there is none."""
    found = connection.execute(
        "select pubinsert and pubupdate and pubdelete and pubtruncate and pubviaroot from pg_publication"
        " where pubname = %s",
        [name],
    ).fetchone()
    return found[0] if found else None


def read(connection: psycopg.Connection, name: str) -> tuple[Publication, set[int]]:
    """The publication, and the oids of tables of which it publishes only some rows or columns."""
    version = connection.execute(
        "select oid::text || ':' || xmin::text from pg_publication where pubname = %s", [name]
    ).fetchone()
    rows = connection.execute(_MEMBERS_SQL, [name]).fetchall()
    members = {oid: mark for oid, mark, whole in rows if whole}
    return Publication(version[0] if version else "", members), {oid for oid, _, whole in rows if not whole}


# Row filters and column lists came with PostgreSQL 15; reading the row as JSON works before, too.
_MEMBERS_SQL = """
select
    c.oid::bigint,
    coalesce(r.oid::text || ':' || r.xmin::text, 'by schema'),
    coalesce(to_jsonb(r) ->> 'prqual', to_jsonb(r) ->> 'prattrs') is null
from pg_publication p
join pg_publication_tables t on t.pubname = p.pubname
join pg_namespace n on n.nspname = t.schemaname
join pg_class c on c.relnamespace = n.oid and c.relname = t.tablename
left join pg_publication_rel r on r.prpubid = p.oid and r.prrelid = c.oid
where p.pubname = %s
"""
