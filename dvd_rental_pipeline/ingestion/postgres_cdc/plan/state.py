"""The stored state of a pipeline: its source, stream position, and each table as of the last sync.

It is kept in the warehouse, in the schema `_replication`, so that it is committed together with the raw tables.
Rows are stored per target schema, the schema of a pipeline's raw tables; the fields of `StoredSource`,
`StoredTable` and `StoredColumn` are the stored JSON.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Self

import duckdb

from dvd_rental_pipeline.ingestion.postgres_cdc.connect.relations import SourceRelation


@dataclass(frozen=True)
class StoredColumn:
    """A column as of the last sync; see `SourceColumn`. `warehouse` is its DuckDB type."""

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
    """A table as of the last sync that changed it.

    The raw table contains exactly the transactions whose commit record starts before the later of `lsn` and the
    source's `lsn`.

    Attributes:
        retired: columns that the source dropped, with their DuckDB types.
        stopped: why the table has not been replicated since; None while it is.
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

    @classmethod
    def of_relation(
        cls,
        relation: SourceRelation,
        *,
        membership: str,
        retired: Mapping[str, str],
        lsn: int,
        generation: int,
        rows: int,
        tombstones: int,
    ) -> Self:
        """The state to store for `relation` after a sync."""
        return cls(
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
            rows=rows,
            tombstones=tombstones,
            stopped=None,
        )


@dataclass(frozen=True)
class StoredSource:
    """The source as of the last sync.

    Attributes:
        last_commit: the last transaction seen in the stream: the LSN of its commit record, its xid and its
            time. A sync that reads the same WAL again checks by it that the history has not changed.
        lsn_offset: what is added to LSNs in the raw tables, so that they keep growing when the source's WAL
            starts at a lower LSN again.
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
class StoredState:
    """The state of one pipeline; `source` is None before its first sync.

    `other_sources` are those of the other pipelines of the warehouse, by target schema.
    """

    source: StoredSource | None
    tables: Mapping[str, StoredTable]
    other_sources: Mapping[str, StoredSource] = field(default_factory=dict)


def read_state(warehouse: duckdb.DuckDBPyConnection, target: str) -> StoredState:
    """The stored state of the pipeline whose raw tables are in the schema `target`. Writes nothing."""
    existing = warehouse.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE database_name = current_database()"
        " AND schema_name = '_replication' AND table_name IN ('sources', 'tables')"
    ).fetchone()
    if existing is None or existing[0] < 2:
        return StoredState(source=None, tables={})
    sources = {
        name: _parse_source(facts)
        for name, facts in warehouse.execute("SELECT target, facts FROM _replication.sources").fetchall()
    }
    tables = warehouse.execute(
        "SELECT table_name, facts FROM _replication.tables WHERE target = ?", [target]
    ).fetchall()
    return StoredState(
        source=sources.pop(target, None),
        tables={name: _parse_table(facts) for name, facts in tables},
        other_sources=sources,
    )


def write_state(
    warehouse: duckdb.DuckDBPyConnection,
    target: str,
    *,
    before: StoredState,
    source: StoredSource,
    tables: Mapping[str, StoredTable],
    errors: Mapping[str, str],
) -> None:
    """Store the state after a sync, within the caller's transaction.

    Only tables that differ from `before` are written, so that a sync without changes is cheap. A table of
    `before` that is not among `tables` is stored as stopped, with its error.
    """
    warehouse.execute(_CREATE_SQL)
    changed = {name: table for name, table in tables.items() if before.tables.get(name) != table}
    for name, stored in before.tables.items():
        reason = errors.get(name, "it was not among the tables of a sync")
        if name not in tables and stored.stopped != reason:
            changed[name] = replace(stored, stopped=reason)
    for name, table in changed.items():
        warehouse.execute("DELETE FROM _replication.tables WHERE target = ? AND table_name = ?", [target, name])
        warehouse.execute(
            "INSERT INTO _replication.tables VALUES (?, ?, ?)", [target, name, json.dumps(asdict(table))]
        )
    warehouse.execute("DELETE FROM _replication.sources WHERE target = ?", [target])
    warehouse.execute(
        "INSERT INTO _replication.sources VALUES (?, ?, now())", [target, json.dumps(asdict(source))]
    )


def _parse_source(facts: str) -> StoredSource:
    source = StoredSource(**json.loads(facts))
    last = source.last_commit
    return replace(source, last_commit=(last[0], last[1], last[2]) if last else None)


def _parse_table(facts: str) -> StoredTable:
    table = StoredTable(**json.loads(facts))
    columns = tuple(StoredColumn(**column) for column in json.loads(facts)["columns"])
    return replace(table, columns=columns, key=tuple(table.key))


_CREATE_SQL = """
CREATE SCHEMA IF NOT EXISTS _replication;
CREATE TABLE IF NOT EXISTS _replication.sources (target VARCHAR, facts JSON, synced_at TIMESTAMPTZ);
CREATE TABLE IF NOT EXISTS _replication.tables (target VARCHAR, table_name VARCHAR, facts JSON);
"""
