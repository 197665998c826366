"""One attempt at a sync: what it is to do, what it has at hand, and what became of each table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import psycopg

from dvd_rental_pipeline.ingestion.postgres_cdc.compact.compactor import Compactor
from dvd_rental_pipeline.ingestion.postgres_cdc.outcome import Step, TableSync
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.drift import Drift
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.relations import Relation
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.state import State, StoredSource, StoredTable
from dvd_rental_pipeline.ingestion.postgres_cdc.stream.change_stream import Followed
from dvd_rental_pipeline.ingestion.postgres_cdc.write.past_states import PastStates
from dvd_rental_pipeline.ingestion.postgres_cdc.write.raw_tables import Counts, RawTable, Stamp


@dataclass(frozen=True)
class Job:
    """What a sync is to do: the arguments of `Replicator`."""

    source_url: str
    warehouse: Path
    tables: Mapping[str, tuple[str, ...]]
    history: Mapping[str, tuple[str, ...]]
    source_schema: str
    target_schema: str
    slot: str
    wait_seconds: float
    announce: Callable[[str], None]
    on_step: Callable[[Step], None]


class TableSyncError(Exception):
    """A table cannot be synced at all: the sync begins anew without it."""

    def __init__(self, table: str, reason: str) -> None:
        super().__init__(reason)
        self.table = table
        self.reason = reason


@dataclass(frozen=True)
class PlannedCopy:
    relation: Relation
    reason: str
    drift: Drift | None


@dataclass
class FollowedTable:
    """A followed table, and what was done to it so far."""

    raw: RawTable
    before: StoredTable
    drift: Drift
    compactor: Compactor
    counts: Counts = field(default_factory=Counts)
    truncated: bool = False
    last_commit_at: str | None = None
    seconds: float = 0.0


@dataclass
class Attempt:
    """What one attempt at a sync has at hand, and what became of each table."""

    warehouse: duckdb.DuckDBPyConnection
    connection: psycopg.Connection
    known: State
    now: StoredSource
    extracted_at: str
    members: Mapping[int, str]
    followed: dict[str, FollowedTable] = field(default_factory=dict)
    streamed: dict[int, Followed] = field(default_factory=dict)
    to_copy: dict[str, PlannedCopy] = field(default_factory=dict)
    tables: dict[str, TableSync] = field(default_factory=dict)
    stored: dict[str, StoredTable] = field(default_factory=dict)

    def give_up(self, name: str, reason: str) -> None:
        """The changes of this table do not suffice: it is copied when the stream has ended."""
        table = self.followed.pop(name)
        self.streamed.pop(table.raw.relation.oid, None)
        self.to_copy[name] = PlannedCopy(table.raw.relation, reason, table.drift)

    def keep(self, name: str, outcome: tuple[TableSync, StoredTable]) -> None:
        """A table is done."""
        self.tables[name], self.stored[name] = outcome


def raw_table(
    job: Job, run: Attempt, relation: Relation, retired: Mapping[str, str], generation: int
) -> RawTable:
    """The raw table of `relation`, which writes rows of this sync."""
    stamp = Stamp(run.now.syncs, run.extracted_at, run.now.lsn_offset)
    kept = job.history.get(relation.name)
    past = PastStates(run.warehouse, job.target_schema, relation, kept, retired) if kept is not None else None
    return RawTable(
        run.warehouse,
        job.target_schema,
        relation,
        retired=retired,
        generation=generation,
        stamp=stamp,
        past=past,
    )


def key_note(job: Job, relation: Relation) -> tuple[str, ...]:
    """What a user is told when the catalogue names another key than the source."""
    declared = job.tables[relation.name]
    if set(declared) == set(relation.key):
        return ()
    return (
        f"the primary key is ({', '.join(relation.key)}) in the source"
        f" and ({', '.join(declared)}) in the catalogue",
    )
