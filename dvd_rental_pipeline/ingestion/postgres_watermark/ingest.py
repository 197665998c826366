"""One run of ingestion: the rows that changed since the last run, as new files of the landing zone.

A watermark finds rows by the time that the application wrote into them. A transaction may commit long after
that time, so the watermark never passes the beginning of a transaction that was still open, and an overlap
before it covers the difference between the clocks. Rows that landed before are recognized by their content.

What a watermark cannot see, a complete run finds, which compares whole tables: deleted rows, whose keys are
landed; rows whose time was not changed.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from dvd_rental_pipeline.core.catalog import Domain, Table
from dvd_rental_pipeline.ingestion.files.landing import (
    LandedContent,
    LandedFile,
    LandingZone,
    RunManifest,
    utc_now,
)
from dvd_rental_pipeline.ingestion.files.parquet_session import (
    MEMORY_LIMIT_MB,
    ParquetSession,
    duckdb_type,
    open_parquet_session,
    quote,
)
from dvd_rental_pipeline.ingestion.postgres_watermark.landed_tables import create_live_view, key_columns
from dvd_rental_pipeline.ingestion.postgres_watermark.source_reader import UPDATED, open_source

if TYPE_CHECKING:
    import pyarrow as pa

OVERLAP = timedelta(minutes=10)


@dataclass(frozen=True)
class IngestedTable:
    """What a run found in a table: new versions of rows, and keys of deleted rows; `read` of the source."""

    table: str
    read: int
    rows: int
    deleted: int
    seconds: float


@dataclass(frozen=True)
class IngestionRun:
    """The outcome of a run. `manifest` is None if nothing had changed: nothing was landed."""

    tables: Mapping[str, IngestedTable]
    manifest: RunManifest | None
    sees_other_sessions: bool


def ingest(
    url: str,
    domain: Domain,
    zone: LandingZone,
    *,
    overlap: timedelta = OVERLAP,
    complete: bool = False,
    memory_limit_mb: int = MEMORY_LIMIT_MB,
    on_table: Callable[[IngestedTable], None] = lambda table: None,
) -> IngestionRun:
    """Land what changed in `domain` at `url` since the last visible run of `zone`; at first, all rows.

    All tables are read in one snapshot. With `complete`, whole tables are compared.

    Raises:
        ReplicationError: the source cannot be read. Nothing becomes visible.
        ObjectStoreError: the zone cannot be read or written, or another run became visible meanwhile.
    """
    previous = zone.newest()
    name, started = f"{utc_now():%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}", utc_now()
    draft = RunManifest(
        sequence=1 if previous is None else previous.sequence + 1,
        run=name,
        landed_at=started,
        watermark=started,
        complete=complete or previous is None,
        files=(),
    )
    earlier = zone.manifests() if complete and previous else []
    tables: dict[str, IngestedTable] = {}
    files: list[LandedFile] = []
    with open_source(url, domain) as source, open_parquet_session(memory_limit_mb) as session:
        since = None if previous is None or complete else previous.watermark - overlap
        for table in domain.tables:
            begun = utc_now()
            with source.read(table, since) as rows:
                incoming, read = _stage(session, table, rows)
            if complete:
                create_live_view(session, zone, table, earlier, "known")
            else:
                window = [file for file in previous.window if file.table == table.name] if previous else []
                session.create_view("known", table.columns, zone.store, {file.key: 0 for file in window})
            landed = _land_rows(session, zone, draft, table, incoming)
            deleted = _land_deleted(session, zone, draft, table, incoming) if complete and previous else []
            files += [*landed, *deleted]
            tables[table.name] = IngestedTable(
                table=table.name,
                read=read,
                rows=sum(file.rows for file in landed),
                deleted=sum(file.rows for file in deleted),
                seconds=(utc_now() - begun).total_seconds(),
            )
            on_table(tables[table.name])
            incoming.unlink()
    if not files:
        return IngestionRun(tables, None, source.sees_other_sessions)
    manifest = draft.model_copy(
        update={
            "watermark": source.watermark,
            "files": tuple(files),
            "window": _window(files, previous, source.watermark - overlap),
        }
    )
    zone.publish(manifest)
    return IngestionRun(tables, manifest, source.sees_other_sessions)


def _stage(session: ParquetSession, table: Table, rows: "pa.RecordBatchReader") -> tuple[Path, int]:
    """Stream the rows of the source into a local file, with the exact types of the catalogue."""
    session.connection.register("source_rows", rows)
    selected = ", ".join(
        f"cast({quote(column.name)} as {duckdb_type(column.type)}) as {quote(column.name)}"
        for column in table.columns
    )
    try:
        return session.write(f"select {selected} from source_rows", "incoming.parquet")
    finally:
        session.connection.unregister("source_rows")


def _land_rows(
    session: ParquetSession, zone: LandingZone, draft: RunManifest, table: Table, incoming: Path
) -> Sequence[LandedFile]:
    """Land the rows of `incoming` that the view `known` does not have with the same content."""
    session.rows("set variable incoming = ?", [str(incoming)])
    columns = ", ".join(quote(column.name) for column in table.columns)
    order = ", ".join(map(quote, (UPDATED, *table.primary_key)))
    # EXCEPT compares NULL as equal to NULL.
    query = (
        f"select {columns} from read_parquet(getvariable('incoming')) except all select {columns} from known"
        if session.rows("select 1 from known limit 1")
        else f"select {columns} from read_parquet(getvariable('incoming'))"
    )
    file, count = session.write(f"select * from ({query}) order by {order}", "landed.parquet")
    if count == 0:
        return []
    ((first, last),) = session.rows(
        f"select min({quote(UPDATED)}), max({quote(UPDATED)}) from read_parquet(?)", [str(file)]
    )
    key = zone.file_key(table.name, draft.stem)
    zone.store.put_new(key, file)
    return [
        LandedFile(
            table=table.name,
            content=LandedContent.ROWS,
            key=key,
            rows=count,
            first_updated=first,
            last_updated=last,
        )
    ]


def _land_deleted(
    session: ParquetSession, zone: LandingZone, draft: RunManifest, table: Table, incoming: Path
) -> Sequence[LandedFile]:
    """Land the keys of the view `known`, of live rows, that `incoming` lacks."""
    session.rows("set variable incoming = ?", [str(incoming)])
    key = key_columns(table)
    file, count = session.write(
        f"select {key} from known except select {key} from read_parquet(getvariable('incoming'))"
        f" order by {key}",
        "deleted.parquet",
    )
    if count == 0:
        return []
    name = zone.file_key(table.name, draft.stem, LandedContent.DELETED)
    zone.store.put_new(name, file)
    return [LandedFile(table=table.name, content=LandedContent.DELETED, key=name, rows=count)]


def _window(
    files: Sequence[LandedFile], previous: RunManifest | None, lower_bound: datetime
) -> tuple[LandedFile, ...]:
    """The files that may have rows at or after `lower_bound`, where the next run reads again."""
    candidates = [*(previous.window if previous else ()), *files]
    return tuple(
        file
        for file in candidates
        if file.content is LandedContent.ROWS
        and (file.last_updated is None or file.last_updated >= lower_bound)
    )
