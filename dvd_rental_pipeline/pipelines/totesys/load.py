"""From processed runs into the warehouse: each table in one transaction, with the record of what it contains.

A run is loaded again if its processed files have changed, and with it every run after it, in order: loading is
a replay, so that a dimension never goes back to an older version, and a fact keeps its surrogate keys.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from dvd_rental_pipeline.core.catalog import Column
from dvd_rental_pipeline.ingestion.files.landing import LandingZone, RunManifest, utc_now
from dvd_rental_pipeline.ingestion.files.parquet_session import (
    MEMORY_LIMIT_MB,
    ParquetSession,
    no_values,
    open_parquet_session,
    quote,
)
from dvd_rental_pipeline.pipelines.totesys.catalog import TOTESYS
from dvd_rental_pipeline.pipelines.totesys.processed import DELETED, QUARANTINE, ProcessedRun, ProcessedZone
from dvd_rental_pipeline.pipelines.totesys.star import DELETED_ROW, SCHEMA, STAR, StarTable
from dvd_rental_pipeline.warehouse.errors import WarehouseError
from dvd_rental_pipeline.warehouse.interface import Reader, Session, TableName, Warehouse

LAKE_SCHEMA = "totesys_lake"
LOADED_RUN = TableName(LAKE_SCHEMA, "loaded_run")
DELETED_ROWS = TableName(LAKE_SCHEMA, DELETED)
_SOURCES = {table.name: table for table in TOTESYS.tables}
_LOADED_COLUMNS = (
    Column("table_name", "text", "Table of the warehouse"),
    Column("sequence", "integer", "Number of the landed run"),
    Column("digest", "text", "Hash of the processed files that were loaded"),
    Column("row_count", "integer", "Rows of the run"),
    Column("loaded_at", "timestamp without time zone", "When the run was first loaded, in UTC"),
    Column("latency_seconds", "numeric(18,3)", "Time from the oldest change of the run to its loading", True),
)
_STAGED = "staged_"
_CHUNK = 500


@dataclass(frozen=True)
class LoadedTable:
    """What was loaded into a table.

    Attributes:
        runs: the number of runs; 0 if the table was up to date.
        rows: rows added or changed.
        latency_seconds: the longest time from a change in the source to its loading, among runs that were new
            and not complete comparisons; None if there is none.
    """

    table: str
    runs: int
    rows: int
    latency_seconds: float | None
    seconds: float


def load(
    warehouse: Warehouse,
    landing: LandingZone,
    processed: ProcessedZone,
    *,
    everything: bool = False,
    memory_limit_mb: int = MEMORY_LIMIT_MB,
    on_table: Callable[[LoadedTable], None] = lambda table: None,
) -> Mapping[str, LoadedTable]:
    """Load what the warehouse lacks, or, with `everything`, all runs from the first; the outcome by table.

    Raises:
        ObjectStoreError: a processed file cannot be read.
        WarehouseError: the warehouse cannot be written. The tables before are loaded completely.
    """
    runs = processed.runs()
    manifests = {manifest.sequence: manifest for manifest in landing.manifests()}
    outcome = {}
    with open_parquet_session(memory_limit_mb) as session:
        _create_tables(warehouse, session)
        loaded = _read_loaded(warehouse)
        loads = [
            _TableLoad(warehouse, session, processed, manifests, table, loaded.get(table.name, {}))
            for table in STAR
        ]
        changed = {each.table.name: each.first_changed(runs, everything=everything) for each in loads}
        staged = {
            each.staged: each.stage(runs, first)
            for each in loads
            if (first := changed[each.table.name]) is not None
        }
        if staged:
            warehouse.load_all(staged)
        for each in loads:
            name = each.table.name
            outcome[name] = each.load(runs, changed[name], everything=everything)
            on_table(outcome[name])
    return outcome


@dataclass(frozen=True)
class _Loaded:
    digest: str
    loaded_at: datetime
    latency_seconds: Any


@dataclass(frozen=True)
class _TableLoad:
    warehouse: Warehouse
    session: ParquetSession
    processed: ProcessedZone
    manifests: Mapping[int, RunManifest]
    table: StarTable
    loaded: Mapping[int, _Loaded]

    @property
    def staged(self) -> TableName:
        """The table into which rows are loaded before they replace earlier ones."""
        return TableName(LAKE_SCHEMA, f"{_STAGED}{self.table.name}")

    def first_changed(self, runs: Sequence[ProcessedRun], *, everything: bool) -> int | None:
        """The number of the first run to load; None if the table is up to date."""
        changed = [run.sequence for run in runs if everything or self._is_changed(run)]
        # Runs that the warehouse has and the zone lacks were removed by hand: they are replayed, too.
        changed += self.loaded.keys() - {run.sequence for run in runs}
        return min(changed, default=None)

    def load(self, runs: Sequence[ProcessedRun], first: int | None, *, everything: bool) -> LoadedTable:
        """Apply what is staged of the runs from the run `first` on."""
        started = utc_now()
        pending = _since(first, runs)
        rows = 0
        if first is not None:
            with self.warehouse.transaction() as transaction:
                rows = self._apply(transaction, str(self.staged), everything=everything)
                self._record(transaction, pending, first, started)
                transaction.execute(f"delete from {self.staged}")
        new = [self._latency(run, started) for run in pending if run.sequence not in self.loaded]
        latencies = [latency for latency in new if latency is not None]
        return LoadedTable(
            table=self.table.name,
            runs=len(pending),
            rows=rows,
            latency_seconds=max(latencies, default=None),
            seconds=(utc_now() - started).total_seconds(),
        )

    @property
    def _name(self) -> str:
        return f"{SCHEMA}.{self.table.name}"

    @property
    def _quarantine(self) -> str:
        return f"{QUARANTINE}/{self.table.source}"

    def _is_changed(self, run: ProcessedRun) -> bool:
        loaded = self.loaded.get(run.sequence)
        return (loaded.digest if loaded else "") != self._digest(run)

    def _digest(self, run: ProcessedRun) -> str:
        """A hash of all files of `run` that the table depends on; empty if there are none."""
        names = (self.table.name, self._quarantine, DELETED)
        files = [run.file(name) for name in names]
        if not any(files):
            return ""
        text = " ".join(file.sha256 if file else "-" for file in files)
        return hashlib.sha256(text.encode()).hexdigest()

    def stage(self, runs: Sequence[ProcessedRun], first: int) -> Path:
        """A file with what the runs from `first` on make of each row: its columns, `action` (`row`, `invalid`
        for a version that was quarantined, `deleted`), and `ordinal`, the order of landing.
        """
        pending = _since(first, runs)
        table, key = self.table, quote(self.table.key)
        self._create_view("rows", table.columns, table.name, pending)
        self._create_view("gone", DELETED_ROW.columns, DELETED, pending)
        columns = ", ".join(quote(column.name) for column in table.columns)
        states = [f"select {columns}, _sequence, 'row' as action from \"rows\""]
        if table.is_fact:
            source = [
                column
                for column in _SOURCES[table.source].columns
                if column.name in (table.key, "last_updated")
            ]
            self._create_view("quarantined", source, self._quarantine, pending)
            version = ", ".join(
                f"cast(last_updated as {kind}) as last_updated_{kind}" for kind in ("date", "time")
            )
            states.append(f"select {key}, {version}, _sequence, 'invalid' as action from quarantined")
        identity = ", ".join(map(quote, table.version))
        gone = (
            f"select row_id as {key}, _sequence, 'deleted' as action from gone"
            f" where table_name = '{table.name}'"
        )
        if table.is_fact:
            # The history stays: a deletion is a state of its own, which a later row cancels.
            last = f'select {key}, max(_sequence) as newest from "rows" group by all'
            states.append(
                f"select {key}, max(_sequence) as _sequence, 'deleted' as action from ({gone})"
                f" left join ({last}) using ({key}) where newest is null or newest < _sequence group by {key}"
            )
        else:
            states.append(gone)
        # A fact's deletion has no version: it must not replace one.
        partition = f"{identity}, action = 'deleted'" if table.is_fact else identity
        order = ", ".join(map(quote, (*table.version[1:], table.key)))
        query = f"""
            with states as ({" union all by name ".join(states)}),
            final as (
                select * from states
                qualify row_number() over (partition by {partition} order by _sequence desc) = 1
            )
            select
                {columns}, action,
                row_number() over (order by action <> 'row', _sequence, {order}) as ordinal
            from final order by ordinal
        """
        file, _ = self.session.write(query, f"{self.staged.name}.parquet")
        return file

    def _create_view(
        self, view: str, columns: Sequence[Column], table: str, pending: Sequence[ProcessedRun]
    ) -> None:
        files = {file.key: run.sequence for run in pending if (file := run.file(table)) is not None}
        self.session.create_view(view, columns, self.processed.store, files)

    def _apply(self, transaction: Session, staged: str, *, everything: bool) -> int:
        table = self.table
        columns = ", ".join(column.name for column in table.columns)
        matches = " and ".join(f"staged.{column} = target.{column}" for column in table.version)
        if everything:
            transaction.execute(f"delete from {self._name}")
        else:
            transaction.execute(
                f"delete from {self._name} as target"
                f" where exists (select 1 from {staged} as staged where {matches})"
            )
        if table.is_fact:
            ((last,),) = transaction.execute(
                f"select coalesce(max({table.record_id}), 0) from {self._name}"
            ).values
            transaction.execute(
                f"insert into {self._name} ({table.record_id}, {columns})"
                f" select cast({int(last)} + ordinal as integer), {columns} from {staged} where action = 'row'"
            )
            transaction.execute(
                f"delete from {DELETED_ROWS} where table_name = ?"
                + ("" if everything else f" and row_id in (select {table.key} from {staged})"),
                [table.name],
            )
            transaction.execute(
                f"insert into {DELETED_ROWS} (table_name, row_id)"
                f" select '{table.name}', {table.key} from {staged} where action = 'deleted'"
            )
        else:
            transaction.execute(
                f"insert into {self._name} ({columns}) select {columns} from {staged} where action = 'row'"
            )
        ((rows,),) = transaction.execute(f"select count(*) from {staged} where action = 'row'").values
        return int(rows)

    def _record(
        self, transaction: Session, pending: Sequence[ProcessedRun], first: int, loaded_at: datetime
    ) -> None:
        """Record that the table contains `pending`, from the run `first` on."""
        transaction.execute(
            f"delete from {LOADED_RUN} where table_name = ? and sequence >= ?", [self.table.name, first]
        )
        names = ", ".join(column.name for column in _LOADED_COLUMNS)
        recorded = [run for run in pending if self._digest(run)]
        for start in range(0, len(recorded), _CHUNK):
            chunk = recorded[start : start + _CHUNK]
            values = ", ".join([f"({', '.join(['?'] * len(_LOADED_COLUMNS))})"] * len(chunk))
            parameters: list[Any] = []
            for run in chunk:
                before = self.loaded.get(run.sequence)
                parameters += [
                    self.table.name,
                    run.sequence,
                    self._digest(run),
                    run.rows(self.table.name),
                    before.loaded_at if before else loaded_at,
                    before.latency_seconds if before else self._latency(run, loaded_at),
                ]
            transaction.execute(f"insert into {LOADED_RUN} ({names}) values {values}", parameters)

    def _latency(self, run: ProcessedRun, loaded_at: datetime) -> float | None:
        manifest = self.manifests.get(run.sequence)
        if manifest is None or manifest.complete or not self.table.source:
            return None
        times = [file.first_updated for file in manifest.of(self.table.source) if file.first_updated]
        return (loaded_at - min(times)).total_seconds() if times else None


def _since(first: int | None, runs: Sequence[ProcessedRun]) -> Sequence[ProcessedRun]:
    return [] if first is None else [run for run in runs if run.sequence >= first]


def _create_tables(warehouse: Warehouse, session: ParquetSession) -> None:
    """Create the schemas and tables that do not exist."""
    with warehouse.transaction() as transaction:
        schemas = transaction.execute("select lower(schema_name) from information_schema.schemata").values
        for schema in {SCHEMA, LAKE_SCHEMA} - {str(name) for (name,) in schemas}:
            try:
                transaction.execute(f"create schema {schema}")
            except WarehouseError as error:
                raise WarehouseError(
                    f"The warehouse lacks the schema {schema}. In Snowflake, `dvd-rental snowflake apply` "
                    f"creates it. {error}"
                ) from None
        existing = {
            (str(schema), str(name))
            for schema, name in transaction.execute(
                "select lower(table_schema), lower(table_name) from information_schema.tables"
            ).values
        }
        for schema, name in existing:
            if schema == LAKE_SCHEMA and name.startswith(_STAGED):
                # What an interrupted load has left.
                transaction.execute(f"delete from {schema}.{name}")
    tables = {
        **{TableName(SCHEMA, table.name): table.warehouse_columns for table in STAR},
        DELETED_ROWS: DELETED_ROW.columns,
        LOADED_RUN: _LOADED_COLUMNS,
    }
    missing = {table: it for table, it in tables.items() if (table.schema, table.name) not in existing}
    if missing:
        # Loading no rows creates a table.
        warehouse.load_all({table: _empty_file(session, table, columns) for table, columns in missing.items()})


def _empty_file(session: ParquetSession, table: TableName, columns: Sequence[Column]) -> Path:
    file, _ = session.write(f"select {no_values(columns)} where false", f"empty_{table.name}.parquet")
    return file


def _read_loaded(warehouse: Warehouse) -> Mapping[str, Mapping[int, _Loaded]]:
    rows = warehouse.query(
        f"select table_name, sequence, digest, loaded_at, latency_seconds from {LOADED_RUN}"
    ).values
    loaded: dict[str, dict[int, _Loaded]] = {}
    for table, sequence, digest, loaded_at, latency in rows:
        loaded.setdefault(str(table), {})[int(sequence)] = _Loaded(str(digest), loaded_at, latency)
    return loaded


def row_counts(reader: Reader) -> Mapping[str, int]:
    """The number of rows of each table of the star, in the warehouse."""
    counts = " union all ".join(f"select '{table.name}', count(*) from {SCHEMA}.{table.name}" for table in STAR)
    return {str(name): int(count) for name, count in reader.query(counts).values}
