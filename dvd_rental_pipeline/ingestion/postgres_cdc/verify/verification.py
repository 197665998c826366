"""Whether the raw tables hold what their source holds: every row compared, at one moment of the source.

The source goes on while it is compared. A temporary slot gives a snapshot of it together with its position in
the log; what was committed between the last sync and that position is read from the replication slot and
applied to a scratch copy of the raw tables it concerns. Then both sides speak of the same moment, and must be
equal. Nothing is changed on either side.
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

from dvd_rental_pipeline.ingestion.postgres_cdc.compact.compact_rows import StreamMismatchError
from dvd_rental_pipeline.ingestion.postgres_cdc.compact.compactor import Compactor
from dvd_rental_pipeline.ingestion.postgres_cdc.connect import publication, slot
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.session import (
    connect,
    format_lsn,
    quoted,
    translate_errors,
)
from dvd_rental_pipeline.ingestion.postgres_cdc.copy import snapshot
from dvd_rental_pipeline.ingestion.postgres_cdc.outcome import TableVerification
from dvd_rental_pipeline.ingestion.postgres_cdc.plan import relations, state
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.continuity import full_refresh_reason
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.drift import Drift, compare
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.relations import Relation
from dvd_rental_pipeline.ingestion.postgres_cdc.stream.change_stream import (
    Followed,
    Stream,
    WalHistoryMismatchError,
    iso,
)
from dvd_rental_pipeline.ingestion.postgres_cdc.write.raw_tables import RawTable, Stamp, UnrepresentableKeyError
from dvd_rental_pipeline.warehouse.duckdb_file import open_beside_duckdb

_SAMPLE_KEYS = 10
# What the warehouse's file is called beside the database in memory.
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
        self._announce = on_progress or (lambda sentence: None)

    def verify(self, *, sample_rows: int | None = None) -> Mapping[str, TableVerification]:
        """Compare every table.

        Of tables with more rows than `sample_rows`, a random sample of about that size is compared by content,
        and the whole by the number of rows.

        Raises:
            ReplicationError: the source cannot be read.
            WarehouseError: the warehouse cannot be opened.
        """
        with (
            open_beside_duckdb(
                self._warehouse, _STORED, wait_seconds=self._wait_seconds, on_wait=self._announce
            ) as warehouse,
            closing(connect(self._url)) as connection,
            translate_errors(self._url),
        ):
            warehouse.execute(f"USE {_STORED}")
            known = state.read(warehouse, self._target)
            # Everything below is made in memory.
            warehouse.execute("USE memory")
            name = f"{self._slot[:40]}_verify_{os.getpid()}_{connection.info.backend_pid}"
            with slot.created(
                self._url, name, temporary=True, wait_seconds=self._wait_seconds, announce=self._announce
            ) as exported:
                return self._compare_all(
                    warehouse,
                    connection,
                    known=known,
                    exported=exported,
                    sample_rows=sample_rows,
                )

    def _compare_all(
        self,
        warehouse: duckdb.DuckDBPyConnection,
        connection: psycopg.Connection,
        *,
        known: state.State,
        exported: slot.ExportedSnapshot,
        sample_rows: int | None,
    ) -> Mapping[str, TableVerification]:
        lsn = format_lsn(exported.lsn)
        found = relations.inspect(connection, self._source_schema, self._tables)
        source = slot.identify(connection, self._url)
        there = slot.find(connection, self._slot)
        published = publication.read(connection, self._slot)[0]
        why_not = full_refresh_reason(known.source, source, there, published, self._slot)
        errors: dict[str, str] = {}
        followed: dict[str, _Followed] = {}
        for table in self._tables:
            relation, before = found.get(table), known.tables.get(table)
            if why_not is not None:
                errors[table] = f"the next sync copies it anew: {why_not}"
            elif relation is None:
                errors[table] = f"the source has no table {self._source_schema}.{table}"
            elif (refusal := relation.refusal()) is not None:
                errors[table] = refusal
            elif before is None or before.stopped is not None:
                errors[table] = (before and before.stopped) or "it was never replicated"
            else:
                drift = compare(before, relation, published.members.get(relation.oid, ""))
                if drift.refresh is not None:
                    errors[table] = f"the next sync copies it anew: {drift.refresh}"
                else:
                    followed[table] = _Followed(relation, before, drift, Compactor(relation, before))
        if known.source is not None and there is not None and followed:
            errors |= self._read_pending(connection, known.source, there, exported.lsn, followed)
        results = {table: TableVerification(table, lsn, error=error) for table, error in errors.items()}
        with snapshot.joined(self._url, exported.name, self._announce) as reader:
            for table, it in followed.items():
                if table not in errors:
                    self._announce(f"comparing {table}")
                    results[table] = self._compare(
                        warehouse, it, reader, lsn=exported.lsn, sample_rows=sample_rows
                    )
        return {table: results[table] for table in self._tables}

    def _read_pending(
        self,
        connection: psycopg.Connection,
        source: state.StoredSource,
        there: slot.Slot,
        target: int,
        followed: Mapping[str, "_Followed"],
    ) -> dict[str, str]:
        """Fold what was committed since the last sync. Why tables cannot be compared, by name."""
        stream = Stream(
            source,
            there.confirmed or 0,
            target,
            {
                it.relation.oid: Followed(it.compactor, max(it.before.lsn, source.lsn))
                for it in followed.values()
            },
            # The fold of each table is kept whole: it is small beside the copy that it is compared with.
            lambda: None,
        )
        try:
            end = stream.read(connection)
        except WalHistoryMismatchError:
            why = "the next sync copies it anew: the source was restored to an earlier moment"
            return dict.fromkeys(followed, why)
        return {table: f"the next sync copies it anew: {why}" for table, why in end.mismatches.items()}

    def _compare(
        self,
        warehouse: duckdb.DuckDBPyConnection,
        it: "_Followed",
        reader: snapshot.SnapshotReader,
        *,
        lsn: int,
        sample_rows: int | None,
    ) -> TableVerification:
        name = it.relation.name
        moment = iso(datetime.now(UTC))
        raw = quoted(_STORED, self._target, name)
        try:
            batch = it.compactor.take()
        except StreamMismatchError as mismatch:
            return TableVerification(name, format_lsn(lsn), error=str(mismatch))
        pending = len(batch)
        since = batch.first_and_last()[0] if pending else None
        if batch or it.drift.added or it.drift.widened:
            warehouse.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted('raw')}")
            warehouse.execute(f"CREATE TABLE {quoted('raw', name)} AS FROM {raw}")
            raw = quoted("memory", "raw", name)
            scratch = self._raw(warehouse, "raw", it)
            scratch.alter(it.drift.added, it.drift.widened)
            try:
                scratch.apply(batch)
            except (StreamMismatchError, UnrepresentableKeyError) as error:
                return TableVerification(name, format_lsn(lsn), pending=pending, error=str(error))
        rows = reader.count(it.relation)
        percent = 100 * sample_rows / rows if sample_rows is not None and rows > sample_rows else None
        copy = self._raw(warehouse, "source", it)
        copy.start_replacement(keep_tombstones=False)
        compared = reader.copy(copy, lsn, moment, percent=percent).rows
        try:
            return self._difference(
                warehouse, it, raw=raw, rows=rows, compared=compared, pending=(pending, since), lsn=lsn
            )
        finally:
            warehouse.execute(f"DROP TABLE {quoted('source', name)}")
            warehouse.execute(f"DROP TABLE IF EXISTS {quoted('memory', 'raw', name)}")

    def _difference(
        self,
        warehouse: duckdb.DuckDBPyConnection,
        it: "_Followed",
        *,
        raw: str,
        rows: int,
        compared: int,
        pending: tuple[int, str | None],
        lsn: int,
    ) -> TableVerification:
        """Compare the copy of the source with `raw`, both as rows of the warehouse's own types."""
        keys = [quoted(key) for key in it.relation.key]
        live = f"(FROM {raw} WHERE _ab_cdc_deleted_at IS NULL)"
        copy = quoted("memory", "source", it.relation.name)
        on = " AND ".join(f"there.{key} = here.{key}" for key in keys)
        unequal = " OR ".join(
            f"there.{quoted(column.name)} IS DISTINCT FROM here.{quoted(column.name)}"
            for column in it.relation.columns
        )
        missing = f"FROM {copy} AS there ANTI JOIN {live} AS here ON {on}"
        differing = f"FROM {copy} AS there JOIN {live} AS here ON {on} WHERE {unequal}"
        surplus = f"FROM {live} AS there ANTI JOIN {copy} AS here ON {on}"
        whole = compared == rows
        (raw_rows,) = self._row(warehouse, f"SELECT count(*) FROM {live}")
        (missing_rows,) = self._row(warehouse, f"SELECT count(*) {missing}")
        (differing_rows,) = self._row(warehouse, f"SELECT count(*) {differing}")
        if whole:
            (surplus_rows,) = self._row(warehouse, f"SELECT count(*) {surplus}")
        else:
            # Of rows outside the sample only the number is known, which tells of missing ones too.
            surplus_rows = max(0, raw_rows - rows)
            missing_rows = max(missing_rows, rows - raw_rows)
        shown = " || ', ' || ".join(f"'{key[1:-1]}=' || coalesce(there.{key}::VARCHAR, 'null')" for key in keys)
        found: list[str] = []
        for which in (missing, differing, *([surplus] if whole else [])):
            query = f"SELECT {shown} {which} ORDER BY ALL LIMIT {_SAMPLE_KEYS}"
            found += [key for (key,) in warehouse.execute(query).fetchall()]
        return TableVerification(
            it.relation.name,
            format_lsn(lsn),
            source_rows=rows,
            raw_rows=raw_rows,
            compared_rows=compared,
            missing=missing_rows,
            surplus=surplus_rows,
            differing=differing_rows,
            keys=tuple(found[:_SAMPLE_KEYS]),
            pending=pending[0],
            pending_since=pending[1],
        )

    def _raw(self, warehouse: duckdb.DuckDBPyConnection, schema: str, it: "_Followed") -> RawTable:
        stamp = Stamp(0, datetime.now(UTC).isoformat(), 0)
        return RawTable(warehouse, schema, it.relation, retired=it.drift.retired, generation=0, stamp=stamp)

    def _row(self, warehouse: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
        return warehouse.execute(query).fetchall()[0]


@dataclass(frozen=True)
class _Followed:
    """A table that can be compared: as it was at the last sync, as it is, and what happened since."""

    relation: Relation
    before: state.StoredTable
    drift: Drift
    compactor: Compactor
