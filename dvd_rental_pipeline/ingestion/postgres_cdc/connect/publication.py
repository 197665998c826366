"""The publication: reading it, and making it contain the replicated tables, and only them.

Publishing a table without a replica identity would make the application's own updates of it fail, so only
tables that passed `SourceRelation.refusal` are ever added.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from dvd_rental_pipeline.ingestion.postgres_cdc.connect.relations import SourceRelation

_PUBLISH_ALL_CHANGES = sql.SQL(
    "alter publication {} set (publish = 'insert, update, delete, truncate', publish_via_partition_root = true)"
)


@dataclass(frozen=True)
class PublishedTable:
    """A table in a publication.

    `membership` changes when the table is removed and added again. `is_complete` is False if a row filter or a
    column list restricts what is published.
    """

    schema: str
    name: str
    membership: str
    is_complete: bool


@dataclass(frozen=True)
class Publication:
    """A publication as the catalogue has it; `tables` is by oid.

    `version` changes when it is created again or its options change. `publishes_all_changes` says that it has
    inserts, updates, deletes and truncates, and those of partitions as changes of their root.
    """

    name: str
    version: str
    for_all_tables: bool
    publishes_all_changes: bool
    tables: Mapping[int, PublishedTable]

    def membership(self, oid: int) -> str:
        """The membership of a completely published table; empty for any other table."""
        table = self.tables.get(oid)
        return table.membership if table is not None and table.is_complete else ""


def read_publication(connection: psycopg.Connection, name: str) -> Publication | None:
    """The publication called `name`; None if the database has no such publication.

    Raises:
        psycopg.Error: a query failed.
    """
    found = connection.execute(
        "select oid::text || ':' || xmin::text, puballtables,"
        " pubinsert and pubupdate and pubdelete and pubtruncate and pubviaroot"
        " from pg_publication where pubname = %s",
        [name],
    ).fetchone()
    if found is None:
        return None
    version, for_all_tables, publishes_all_changes = found
    rows = connection.execute(_TABLES_SQL, [name]).fetchall()
    tables = {oid: PublishedTable(*columns) for oid, *columns in rows}
    return Publication(name, version, for_all_tables, publishes_all_changes, tables)


def publish_all_changes(name: str) -> sql.Composed:
    """The statement that makes a publication publish every kind of change."""
    return _PUBLISH_ALL_CHANGES.format(sql.Identifier(name))


def ensure_publication(
    connection: psycopg.Connection,
    name: str,
    relations: Sequence[SourceRelation],
    on_progress: Callable[[str], None],
) -> Publication:
    """Create the publication if it is missing, and make it publish each of `relations` completely.

    Raises:
        psycopg.Error: the user may not create it, or does not own a table.
    """
    publication = read_publication(connection, name)
    quoted_name = sql.Identifier(name)
    statements: list[sql.Composed] = []
    if publication is None:
        on_progress(f"creating the publication {name}")
        statements.append(
            sql.SQL("create publication {} with (publish_via_partition_root = true)").format(quoted_name)
        )
    elif not publication.publishes_all_changes:
        on_progress(f"the publication {name} left out some kinds of changes: adding them")
        statements.append(publish_all_changes(name))
    published = publication.tables if publication is not None else {}
    missing = []
    for relation in relations:
        table = published.get(relation.oid)
        identifier = sql.Identifier(relation.schema, relation.name)
        if table is not None and table.is_complete:
            continue
        if table is not None:
            on_progress(f"the publication {name} had only a part of {relation.name}: adding all of it")
            statements.append(sql.SQL("alter publication {} drop table {}").format(quoted_name, identifier))
        # A partitioned table is published with its partitions, any other without inheriting tables.
        missing.append(sql.SQL("{}" if relation.is_partitioned else "only {}").format(identifier))
    if missing:
        statements.append(
            sql.SQL("alter publication {} add table {}").format(quoted_name, sql.SQL(", ").join(missing))
        )
    for statement in statements:
        connection.execute(statement)
    ensured = read_publication(connection, name) if statements else publication
    if ensured is None:
        raise AssertionError("the publication was just created")
    return ensured


# Row filters and column lists exist since PostgreSQL 15; reading the row as JSON works in older versions.
_TABLES_SQL = """
select
    c.oid::bigint,
    t.schemaname::text,
    t.tablename::text,
    coalesce(r.oid::text || ':' || r.xmin::text, 'by schema'),
    coalesce(to_jsonb(r) ->> 'prqual', to_jsonb(r) ->> 'prattrs') is null
from pg_publication p
join pg_publication_tables t on t.pubname = p.pubname
join pg_namespace n on n.nspname = t.schemaname
join pg_class c on c.relnamespace = n.oid and c.relname = t.tablename
left join pg_publication_rel r on r.prpubid = p.oid and r.prrelid = c.oid
where p.pubname = %s
"""
