"""Comparing raw tables with their source row by row, as of one moment of the source.

The source keeps changing while it is compared. A temporary slot provides a snapshot of it together with its
LSN. Transactions between the last sync and that LSN are read from the replication slot and applied to a scratch
copy of the raw tables concerned. Both sides then have the state of the same moment and must be equal. Nothing
is changed on either side.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import psycopg

from dvd_rental_pipeline.ingestion.postgres_cdc.compact.compact_batch import compact_batch
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.publication import read_publication
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.relations import read_relations
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.server import identify
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.session import connect, translate_errors
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.slot import (
    ExportedSnapshot,
    ReplicationSlot,
    create_slot,
    read_slot,
)
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.text_forms import (
    format_lsn,
    iso_timestamp,
    literal,
    quoted,
)
from dvd_rental_pipeline.ingestion.postgres_cdc.copy.snapshot import SnapshotReader, open_snapshot
from dvd_rental_pipeline.ingestion.postgres_cdc.outcome import TableVerification
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.drift import SchemaDrift, compare_schema
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.state import StoredSource, StoredState, read_state
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.sync_plan import full_refresh_reason
from dvd_rental_pipeline.ingestion.postgres_cdc.stream.change_stream import (
    ChangeStream,
    WalHistoryMismatchError,
)
from dvd_rental_pipeline.ingestion.postgres_cdc.stream.streamed_table import StreamedTable, StreamMismatchError
from dvd_rental_pipeline.ingestion.postgres_cdc.write.raw_tables import (
    RawTable,
    SyncStamp,
    UnrepresentableKeyError,
)
from dvd_rental_pipeline.warehouse.duckdb_file import open_beside_duckdb

_SAMPLE_KEYS = 10
# The name of the attached warehouse file, beside the in-memory database.
_STORED = "stored"


class Verifier:
    """Compares the raw tables of one warehouse with their source. The arguments are those of `Replicator`."""

    def __init__(
        self,
        source_url: str,
        warehouse: Path,
        tables: Sequence[str],
        *,
        source_schema: str = "public",
        target_schema: str = "dvd_rental",
        slot: str = "dvd_rental",
        wait_seconds: float = 300.0,
        on_progress: Callable[[str], None] | None = None,
    ) -> None:
        self._url = source_url
        self._warehouse = warehouse
        self._tables = tuple(tables)
        self._source_schema = source_schema
        self._target = target_schema
        self._slot = slot
        self._wait_seconds = wait_seconds
        self._on_progress = on_progress or (lambda message: None)

    def verify(self, *, sample_rows: int | None = None) -> Mapping[str, TableVerification]:
        """Compare every table.

        For tables with more rows than `sample_rows`, a random sample of about that size is compared row by row,
        and the whole table by its number of rows.

        Raises:
            ReplicationError: the source cannot be read.
            WarehouseError: the warehouse cannot be opened.
        """
        with (
            open_beside_duckdb(
                self._warehouse, _STORED, wait_seconds=self._wait_seconds, on_wait=self._on_progress
            ) as warehouse,
            closing(connect(self._url)) as connection,
            translate_errors(self._url),
        ):
            warehouse.execute(f"USE {_STORED}")
            state = read_state(warehouse, self._target)
            # Everything below is created in memory.
            warehouse.execute("USE memory")
            name = f"{self._slot[:40]}_verify_{os.getpid()}_{connection.info.backend_pid}"
            with create_slot(
                self._url, name, temporary=True, wait_seconds=self._wait_seconds, on_progress=self._on_progress
            ) as exported:
                return self._verify_at(warehouse, connection, state, exported, sample_rows)

    def _verify_at(
        self,
        warehouse: duckdb.DuckDBPyConnection,
        connection: psycopg.Connection,
        state: StoredState,
        exported: ExportedSnapshot,
        sample_rows: int | None,
    ) -> Mapping[str, TableVerification]:
        """Compare every table as of an exported snapshot."""
        slot = read_slot(connection, self._slot)
        comparable, errors = self._comparable_tables(connection, state, slot)
        if state.source is not None and slot is not None and comparable:
            errors |= self._collect_pending(
                connection, state.source, slot.confirmed or 0, exported.lsn, list(comparable.values())
            )
        lsn = format_lsn(exported.lsn)
        results = {name: TableVerification(name, lsn, error=error) for name, error in errors.items()}
        with open_snapshot(self._url, exported.name, self._on_progress) as reader:
            for name, table in comparable.items():
                if name not in errors:
                    self._on_progress(f"comparing {name}")
                    comparison = _TableComparison(warehouse, self._target, table, exported.lsn)
                    results[name] = comparison.compare(reader, sample_rows)
        return {name: results[name] for name in self._tables}

    def _comparable_tables(
        self, connection: psycopg.Connection, state: StoredState, slot: ReplicationSlot | None
    ) -> tuple[dict[str, "_ComparableTable"], dict[str, str]]:
        """The tables that can be compared, and why the others cannot."""
        relations = read_relations(connection, self._source_schema, self._tables)
        publication = read_publication(connection, self._slot)
        identity = identify(connection, self._url)
        reason = full_refresh_reason(state.source, identity, slot, publication, self._slot)
        comparable: dict[str, _ComparableTable] = {}
        errors: dict[str, str] = {}
        for name in self._tables:
            relation, stored = relations.get(name), state.tables.get(name)
            if reason is not None or publication is None or state.source is None:
                errors[name] = f"the next sync copies it in full: {reason}"
            elif relation is None:
                errors[name] = f"the source has no table {self._source_schema}.{name}"
            elif (refusal := relation.refusal()) is not None:
                errors[name] = refusal
            elif stored is None or stored.stopped is not None:
                errors[name] = (stored and stored.stopped) or "it was never replicated"
            else:
                drift = compare_schema(stored, relation, publication.membership(relation.oid))
                if drift.copy_reason is not None:
                    errors[name] = f"the next sync copies it in full: {drift.copy_reason}"
                else:
                    from_lsn = max(stored.lsn, state.source.lsn)
                    comparable[name] = _ComparableTable(drift, StreamedTable(relation, stored, from_lsn))
        return comparable, errors

    def _collect_pending(
        self,
        connection: psycopg.Connection,
        source: StoredSource,
        confirmed: int,
        target: int,
        tables: Sequence["_ComparableTable"],
    ) -> dict[str, str]:
        """Collect what was committed since the last sync; returns why tables cannot be compared, by name."""
        stream = ChangeStream(source, confirmed, target, [table.streamed for table in tables])
        try:
            with closing(stream.batches(connection)) as batches:
                for _ in batches:
                    # All changes are kept: they are small beside the copy with which the table is compared.
                    pass
        except WalHistoryMismatchError:
            reason = "the next sync copies it in full: the source was restored to an earlier moment"
            return {table.streamed.relation.name: reason for table in tables}
        return {
            table.streamed.relation.name: f"the next sync copies it in full: {table.streamed.mismatch}"
            for table in tables
            if table.streamed.mismatch is not None
        }


@dataclass(frozen=True)
class _ComparableTable:
    """A table that can be compared: its schema drift since the last sync, and its pending changes."""

    drift: SchemaDrift
    streamed: StreamedTable


class _TableComparison:
    """The comparison of one raw table with a snapshot of its source at `lsn`."""

    def __init__(
        self, warehouse: duckdb.DuckDBPyConnection, target: str, table: _ComparableTable, lsn: int
    ) -> None:
        self._warehouse = warehouse
        self._relation = table.streamed.relation
        self._table = table
        self._lsn = lsn
        self._stored = quoted(_STORED, target, self._relation.name)
        self._scratch = quoted("memory", "raw", self._relation.name)
        self._copy = quoted("memory", "source", self._relation.name)

    def compare(self, reader: SnapshotReader, sample_rows: int | None) -> TableVerification:
        """Apply the pending changes to a scratch copy, copy the source's rows, and compare the two."""
        name, lsn = self._relation.name, format_lsn(self._lsn)
        drift = self._table.drift
        try:
            batch = compact_batch(self._relation, self._table.streamed.take_messages(), keep_superseded=False)
        except StreamMismatchError as mismatch:
            return TableVerification(name, lsn, error=str(mismatch))
        raw = self._stored
        if batch or drift.added or drift.widened:
            raw = self._scratch
            self._warehouse.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted('raw')}")
            self._warehouse.execute(f"CREATE TABLE {raw} AS FROM {self._stored}")
            scratch = self._raw_table("raw")
            scratch.alter(drift.added, drift.widened)
            try:
                scratch.apply(batch)
            except (StreamMismatchError, UnrepresentableKeyError) as error:
                return TableVerification(name, lsn, pending=len(batch), error=str(error))
        rows = reader.count(self._relation)
        percent = 100 * sample_rows / rows if sample_rows is not None and rows > sample_rows else None
        copy = self._raw_table("source")
        copy.start_replacement(keep_tombstones=False)
        with reader.read(self._relation, percent=percent) as snapshot:
            compared = copy.insert_snapshot(snapshot.parts, self._lsn, iso_timestamp(datetime.now(UTC)))
        try:
            return TableVerification(
                name,
                lsn,
                source_rows=rows,
                compared_rows=compared,
                pending=len(batch),
                pending_since=batch.first_and_last_commit()[0] if len(batch) else None,
                **self._differences(raw, rows=rows, compared=compared),
            )
        finally:
            self._warehouse.execute(f"DROP TABLE {self._copy}")
            self._warehouse.execute(f"DROP TABLE IF EXISTS {self._scratch}")

    def _differences(self, raw: str, *, rows: int, compared: int) -> dict[str, Any]:
        """Compare the copy of the source with `raw`, both in the warehouse's types: the differing fields."""
        live = f"(FROM {raw} WHERE _ab_cdc_deleted_at IS NULL)"
        same_key = " AND ".join(f"left_row.{key} = right_row.{key}" for key in map(quoted, self._relation.key))
        unequal = " OR ".join(
            f"left_row.{quoted(column.name)} IS DISTINCT FROM right_row.{quoted(column.name)}"
            for column in self._relation.columns
        )
        missing = f"FROM {self._copy} AS left_row ANTI JOIN {live} AS right_row ON {same_key}"
        differing = f"FROM {self._copy} AS left_row JOIN {live} AS right_row ON {same_key} WHERE {unequal}"
        surplus = f"FROM {live} AS left_row ANTI JOIN {self._copy} AS right_row ON {same_key}"
        raw_rows = self._count(f"FROM {live}")
        found = {source: self._count(source) for source in (missing, differing)}
        missing_rows = found[missing]
        if compared == rows:
            surplus_rows = found[surplus] = self._count(surplus)
        else:
            # For rows outside the sample only their number is known, which can show missing rows, too.
            surplus_rows = max(0, raw_rows - rows)
            missing_rows = max(missing_rows, rows - raw_rows)
        label = " || ', ' || ".join(
            f"{literal(f'{name}=')} || coalesce(left_row.{quoted(name)}::VARCHAR, 'null')"
            for name in self._relation.key
        )
        keys: list[str] = []
        for source, count in found.items():
            if count > 0:
                query = f"SELECT {label} {source} ORDER BY ALL LIMIT {_SAMPLE_KEYS}"
                keys += [key for (key,) in self._warehouse.execute(query).fetchall()]
        return {
            "raw_rows": raw_rows,
            "missing": missing_rows,
            "surplus": surplus_rows,
            "differing": found[differing],
            "keys": tuple(keys[:_SAMPLE_KEYS]),
        }

    def _raw_table(self, schema: str) -> RawTable:
        stamp = SyncStamp(0, datetime.now(UTC).isoformat(), 0)
        retired = self._table.drift.retired
        return RawTable(self._warehouse, schema, self._relation, retired=retired, generation=0, stamp=stamp)

    def _count(self, rows: str) -> int:
        return int(self._warehouse.execute(f"SELECT count(*) {rows}").fetchall()[0][0])
