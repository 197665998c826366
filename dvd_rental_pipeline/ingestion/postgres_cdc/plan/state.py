"""What the warehouse knows of its source: identity, position, and each table as it was at the last sync.

Kept in the warehouse itself, in the schema `_replication`, so that it is committed with the rows it speaks of.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import duckdb

from dvd_rental_pipeline.ingestion.postgres_cdc.plan.relations import Relation


@dataclass(frozen=True)
class StoredColumn:
    """A column as it was; see `relations.Column`."""

    name: str
    number: int
    type_oid: int
    modifier: int
    type_name: str
    version: str
    labels: Mapping[str, str]
    warehouse: str


@dataclass(frozen=True)
class StoredTable:
    """A table as it was at the last sync that touched it.

    Exactly the transactions whose commit record starts before the later of `lsn` and the source's own `lsn` are
    in the raw table. `retired` are columns that the source dropped, with their DuckDB types. `stopped` says why
    the table was not followed since; None when it was.
    """

    oid: int
    membership: str
    key: tuple[str, ...]
    columns: tuple[StoredColumn, ...]
    last_number: int
    storage: str
    retired: Mapping[str, str]
    lsn: int
    generation: int
    rows: int
    tombstones: int
    stopped: str | None


@dataclass(frozen=True)
class StoredSource:
    """The source as it was at the last sync.

    `last_commit` is the last transaction seen in the stream: position of its commit record, its number and
    time. By it a sync that reads a stretch of log again knows whether that is the history it has seen.
    `lsn_offset` is added to positions in the raw tables, so that they grow even when the source's log begins
    again.
    """

    slot: str
    system_identifier: int
    timeline: str
    database_oid: int
    publication: str
    lsn: int
    last_commit: tuple[int, int, str] | None
    lsn_offset: int
    syncs: int


@dataclass(frozen=True)
class State:
    """All that is known; `source` is None before the first sync."""

    source: StoredSource | None
    tables: Mapping[str, StoredTable]


def stored(
    relation: Relation, *, membership: str, retired: Mapping[str, str], lsn: int, generation: int
) -> StoredTable:
    """`relation` as it will be remembered; its counts are not known yet."""
    return StoredTable(
        oid=relation.oid,
        membership=membership,
        key=relation.key,
        columns=tuple(
            StoredColumn(
                column.name,
                column.number,
                column.type_oid,
                column.modifier,
                column.type_name,
                column.version,
                column.labels,
                column.type.warehouse,
            )
            for column in relation.columns
        ),
        last_number=relation.last_number,
        storage=relation.storage,
        retired=retired,
        lsn=lsn,
        generation=generation,
        rows=0,
        tombstones=0,
        stopped=None,
    )


def read(warehouse: duckdb.DuckDBPyConnection, target: str) -> State:
    """What is known of the source of the schema `target`. Writes nothing."""
    there = warehouse.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE database_name = current_database()"
        " AND schema_name = '_replication' AND table_name IN ('sources', 'tables')"
    ).fetchone()
    if there is None or there[0] < 2:
        return State(source=None, tables={})
    source = warehouse.execute("SELECT facts FROM _replication.sources WHERE target = ?", [target]).fetchone()
    tables = warehouse.execute(
        "SELECT table_name, facts FROM _replication.tables WHERE target = ?", [target]
    ).fetchall()
    return State(
        source=_source(json.loads(source[0])) if source else None,
        tables={name: _table(json.loads(facts)) for name, facts in tables},
    )


def prepare(warehouse: duckdb.DuckDBPyConnection) -> None:
    """Make the tables of this module where they are missing."""
    warehouse.execute(_CREATE_SQL)


def write_source(warehouse: duckdb.DuckDBPyConnection, target: str, source: StoredSource) -> None:
    """Remember the source and its position, within the caller's transaction."""
    warehouse.execute("DELETE FROM _replication.sources WHERE target = ?", [target])
    warehouse.execute(
        "INSERT INTO _replication.sources VALUES (?, ?, now())", [target, json.dumps(asdict(source))]
    )


def write_table(
    warehouse: duckdb.DuckDBPyConnection, target: str, name: str, table: StoredTable | None
) -> None:
    """Remember a table, or with None forget it, within the caller's transaction."""
    warehouse.execute("DELETE FROM _replication.tables WHERE target = ? AND table_name = ?", [target, name])
    if table is not None:
        warehouse.execute(
            "INSERT INTO _replication.tables VALUES (?, ?, ?)", [target, name, json.dumps(asdict(table))]
        )


def _source(facts: dict[str, object]) -> StoredSource:
    source = StoredSource(**facts)  # type: ignore[arg-type]
    last = source.last_commit
    return replace(source, last_commit=(last[0], last[1], last[2]) if last else None)


def _table(facts: dict[str, object]) -> StoredTable:
    table = StoredTable(**facts)  # type: ignore[arg-type]
    columns = tuple(StoredColumn(**column) for column in facts["columns"])  # type: ignore[attr-defined]
    return replace(table, columns=columns, key=tuple(table.key))


_CREATE_SQL = """
CREATE SCHEMA IF NOT EXISTS _replication;
CREATE TABLE IF NOT EXISTS _replication.sources (target VARCHAR, facts JSON, synced_at TIMESTAMPTZ);
CREATE TABLE IF NOT EXISTS _replication.tables (target VARCHAR, table_name VARCHAR, facts JSON);
"""
