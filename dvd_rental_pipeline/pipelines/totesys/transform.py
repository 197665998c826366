"""From landed runs to processed runs: the star's rows, the quarantine, the deleted keys.

Runs are transformed in the order of landing. A run depends on the landed files up to it, and on the quarantine
after the run before it, whose rows are tried again: a row that refers to a missing one leaves the quarantine
when that arrives.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date

from dvd_rental_pipeline.core.catalog import Column, Table
from dvd_rental_pipeline.ingestion.files.landing import LandedContent, LandingZone, RunManifest, landed_files
from dvd_rental_pipeline.ingestion.files.parquet_session import (
    MEMORY_LIMIT_MB,
    ParquetSession,
    duckdb_type,
    literal,
    open_parquet_session,
    quote,
)
from dvd_rental_pipeline.ingestion.postgres_watermark.landed_tables import create_live_view
from dvd_rental_pipeline.pipelines.totesys.catalog import TOTESYS
from dvd_rental_pipeline.pipelines.totesys.processed import (
    DELETED,
    QUARANTINE,
    ProcessedFile,
    ProcessedRun,
    ProcessedZone,
)
from dvd_rental_pipeline.pipelines.totesys.rules import DIMENSION_FAULTS, DIMENSIONS, FACTS, LIVE_TABLES
from dvd_rental_pipeline.pipelines.totesys.star import STAR, StarTable

_TABLES = {table.name: table for table in TOTESYS.tables}
_REASON = Column("reason", "text", "Why the row is quarantined")


def transform(
    landing: LandingZone,
    processed: ProcessedZone,
    *,
    days: Collection[date] = (),
    everything: bool = False,
    memory_limit_mb: int = MEMORY_LIMIT_MB,
    on_run: Callable[[ProcessedRun], None] = lambda run: None,
) -> Sequence[ProcessedRun]:
    """Transform the runs that are not transformed yet, those that landed on `days`, or `everything` again.

    Returns the runs that were transformed.

    Raises:
        ObjectStoreError: a file cannot be read or written. Runs before it are complete.
    """
    manifests = landing.manifests()
    done = {run.sequence: run for run in processed.runs()}
    transformed = []
    for position, manifest in enumerate(manifests):
        if manifest.sequence in done and manifest.day not in days and not everything:
            continue
        with open_parquet_session(memory_limit_mb) as session:
            run = _Run(session, landing, processed, manifests[: position + 1], done.get(manifest.sequence - 1))
            done[manifest.sequence] = run.transform()
        transformed.append(done[manifest.sequence])
        on_run(done[manifest.sequence])
    return transformed


@dataclass(frozen=True)
class _Run:
    session: ParquetSession
    landing: LandingZone
    processed: ProcessedZone
    manifests: Sequence[RunManifest]
    previous: ProcessedRun | None

    @property
    def manifest(self) -> RunManifest:
        return self.manifests[-1]

    def transform(self) -> ProcessedRun:
        for table in TOTESYS.tables:
            self._create_views(table)
        files: list[ProcessedFile | None] = []
        for star in STAR:
            if star.is_fact:
                files += self._write_fact(star)
            elif star.name != "dim_date" or self.manifest.sequence == 1:
                files.append(self._write(star.name, _contract(star, DIMENSIONS[star.name]), star.key))
        for source, faults in DIMENSION_FAULTS.items():
            files.append(self._write(f"{QUARANTINE}/{source}", faults, "1"))
        files.append(self._write_deleted())
        run = ProcessedRun(
            sequence=self.manifest.sequence,
            run=self.manifest.run,
            day=self.manifest.day,
            files=tuple(file for file in files if file is not None),
        )
        self.processed.publish(run)
        return run

    def _create_views(self, table: Table) -> None:
        store, newest = self.landing.store, self.manifests[-1:]
        key = tuple(column for column in table.columns if column.name in table.primary_key)
        self.session.create_view(f"new {table.name}", table.columns, store, landed_files(newest, table.name))
        gone = landed_files(newest, table.name, LandedContent.DELETED)
        self.session.create_view(f"deleted {table.name}", key, store, gone)
        if table.name in LIVE_TABLES:
            create_live_view(self.session, self.landing, table, self.manifests, f"live {table.name}")
        elif table.name == "transaction":
            files = landed_files(self.manifests, table.name)
            self.session.create_view("landed transaction", table.columns, store, files)

    def _write_fact(self, fact: StarTable) -> Sequence[ProcessedFile | None]:
        source, rule = _TABLES[fact.source], FACTS[fact.name]
        place = f"{QUARANTINE}/{source.name}"
        waiting = self.previous.file(place) if self.previous else None
        self.session.create_view(
            "waiting", source.columns, self.processed.store, {waiting.key: 0} if waiting else {}
        )
        columns = ", ".join(quote(column.name) for column in source.columns)
        new, deleted = quote(f"new {source.name}"), quote(f"deleted {source.name}")
        reasons = ", ".join(rule.reasons(source.name))
        # A row that waits is superseded by a newer version, and by its deletion.
        judged = f"""
            with candidates as (
                select {columns} from {new}
                union all
                select {columns} from waiting
                anti join {new} using ({fact.key}) anti join {deleted} using ({fact.key})
            )
            select *, concat_ws('; ', {reasons}) as reason from candidates
        """
        self.session.rows(f"copy ({judged}) to {literal(self._judged)} (format parquet)")
        rows = f"read_parquet({literal(self._judged)})"
        expressions = ", ".join(
            f"{rule.expression(column.name)} as {quote(column.name)}" for column in fact.columns
        )
        return [
            self._write(
                fact.name,
                _contract(fact, f"select {expressions} from {rows} where reason = ''"),
                ", ".join(fact.version[1:] + fact.version[:1]),
            ),
            self._write(
                place,
                f"select {columns}, {quote(_REASON.name)} from {rows} where reason <> ''",
                f"last_updated, {fact.key}",
            ),
        ]

    @property
    def _judged(self) -> str:
        return str(self.session.folder / "judged.parquet")

    def _write_deleted(self) -> ProcessedFile | None:
        keys = [
            f"select '{table.name}' as table_name, {_TABLES[table.source].primary_key[0]} as row_id"
            f" from {quote(f'deleted {table.source}')}"
            for table in STAR
            if table.source
        ]
        return self._write(DELETED, " union all ".join(keys), "all")

    def _write(self, table: str, query: str, order: str) -> ProcessedFile | None:
        file, rows = self.session.write(f"select * from ({query}) order by {order}", "processed.parquet")
        if rows == 0:
            self.processed.drop(table, self.manifest)
            return None
        return self.processed.put(table, self.manifest, file, rows)


def _contract(table: StarTable, query: str) -> str:
    """`query` with exactly the columns of `table`, in their exact types."""
    columns = ", ".join(
        f"cast({quote(column.name)} as {duckdb_type(column.type)}) as {quote(column.name)}"
        for column in table.columns
    )
    return f"select {columns} from ({query})"
