"""The publication and the replication slot from which changes are captured."""

from collections.abc import Iterable

import psycopg
from psycopg import sql

from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.heartbeat import HEARTBEAT_SCHEMA, HEARTBEAT_TABLE
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.publication import publish_all_changes, read_publication
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.slot import read_slot
from dvd_rental_pipeline.ingestion.postgres_cdc.setup.step import CaptureRole, SetupStep, sql_step

TableName = tuple[str, str]
"""Schema and name of a table."""


def publication_step(connection: psycopg.Connection, domain: Domain, reader: CaptureRole) -> SetupStep:
    """Whether the publication has exactly the domain's tables and the heartbeat, with all kinds of changes."""
    name = reader.publication
    expected: set[TableName] = {
        *((domain.source_schema, table) for table in domain.primary_keys()),
        (HEARTBEAT_SCHEMA, HEARTBEAT_TABLE),
    }
    publication = read_publication(connection, name)
    if publication is None:
        return sql_step(
            "publication",
            f"the publication {name} does not exist",
            sql.SQL("create publication {} for table {} with (publish_via_partition_root = true)").format(
                sql.Identifier(name), _identifiers(expected)
            ),
        )
    if publication.for_all_tables:
        return SetupStep(
            "publication",
            f"{name} publishes all tables, including those without a key, whose updates then fail",
            manual_step=f"drop publication {name}, then set up again; the next sync copies every table",
        )
    published = {(table.schema, table.name) for table in publication.tables.values()}
    missing, unexpected = expected - published, published - expected
    statements, problems = [], []
    if not publication.publishes_all_changes:
        statements.append(publish_all_changes(name))
        problems.append("leaves out some kinds of changes")
    if missing:
        statements.append(
            sql.SQL("alter publication {} add table {}").format(sql.Identifier(name), _identifiers(missing))
        )
        problems.append(f"lacks {_names(missing)}")
    if unexpected:
        statements.append(
            sql.SQL("alter publication {} drop table {}").format(sql.Identifier(name), _identifiers(unexpected))
        )
        problems.append(f"has unexpected tables: {_names(unexpected)}")
    if not statements:
        return sql_step("publication", f"{name} has exactly the {len(expected)} tables")
    return sql_step("publication", f"{name} {', '.join(problems)}", *statements)


def slot_step(connection: psycopg.Connection, reader: CaptureRole) -> SetupStep:
    """Whether the slot exists, and its changes can be read."""
    name = reader.slot
    create = sql.SQL("select pg_create_logical_replication_slot({}, 'pgoutput')").format(sql.Literal(name))
    slot = read_slot(connection, name)
    if slot is None:
        return sql_step("slot", f"the slot {name} does not exist", create)
    if not slot.streams_this_database:
        return SetupStep(
            "slot",
            f"{name} is used for something else (a {slot.kind} slot, plugin {slot.plugin}, database "
            f"{slot.database})",
            manual_step="choose another name, DVD_RENTAL_REPLICATION_SLOT",
        )
    state = f"{name} retains {slot.retained_bytes / 1e6:.1f} MB of WAL, status {slot.status}"
    if slot.status == "lost":
        return sql_step(
            "slot",
            f"{state}: its changes are lost; a full refresh in Airbyte must follow",
            sql.SQL("select pg_drop_replication_slot({})").format(sql.Literal(name)),
            create,
        )
    if slot.status == "unreserved":
        return SetupStep(
            "slot", f"{state}: about to be lost", manual_step="sync now, and raise max_slot_wal_keep_size"
        )
    return sql_step("slot", f"{state}{', in use' if slot.active else ''}")


def _identifiers(tables: Iterable[TableName]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(*table) for table in sorted(tables))


def _names(tables: Iterable[TableName]) -> str:
    return ", ".join(".".join(table) for table in sorted(tables))
