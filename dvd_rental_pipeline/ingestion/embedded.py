"""Ingestion without Airbyte: replication of PostgreSQL's snapshot and change stream into DuckDB."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from pydantic import Field

from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.source_facts import read_facts
from dvd_rental_pipeline.ingestion.postgres_cdc.outcome import SyncResult, TableSync
from dvd_rental_pipeline.ingestion.postgres_cdc.replicator import Replicator
from dvd_rental_pipeline.ingestion.postgres_cdc.verify.capture_drift import publication_drift
from dvd_rental_pipeline.ingestion.postgres_cdc.verify.verification import Verifier
from dvd_rental_pipeline.ingestion.resource import Ingestion, Inspection, SyncOutcome, WatchedSlot
from dvd_rental_pipeline.sample.databases import sample_database
from dvd_rental_pipeline.sample.source import Source

# Tables up to this size are compared row by row by an inspection; larger ones by a sample and their row count.
COMPARED_ROWS = 100_000


class EmbeddedIngestion(Ingestion):
    """Replicates an embedded or external PostgreSQL into the local warehouse, for development and tests."""

    postgres_dir: str = Field(description="Folder of the embedded PostgreSQL")
    warehouse_path: str = Field(description="The DuckDB file")
    slot: str = Field(description="Name of the slot and of the publication; each pipeline needs its own")
    source_url: str | None = Field(None, description="An external PostgreSQL instead of the embedded one")
    source_port: int | None = Field(None, description="TCP port of the embedded PostgreSQL; unset: a free one")

    def sync(self, domain: Domain, log: dg.DagsterLogManager, *, full_refresh: bool = False) -> SyncOutcome:
        keys, history = domain.primary_keys(), domain.history()
        notices: list[str] = []
        with self._open_source(domain, log, notices.append) as url:
            replicator = Replicator(
                url,
                Path(self.warehouse_path),
                keys,
                history=history,
                source_schema=domain.source_schema,
                target_schema=domain.name,
                slot=self.slot,
                on_progress=log.info,
            )
            result = replicator.sync(full_refresh=full_refresh)
        return SyncOutcome(
            metadata={name: _metadata(table) for name, table in result.tables.items() if table.error is None},
            failures={name: table.error for name, table in result.tables.items() if table.error is not None},
            notices=[*notices, *([] if full_refresh else _copied_again(result))],
        )

    def inspect(self, domain: Domain, log: dg.DagsterLogManager) -> Inspection:
        with self._open_source(domain, log) as url:
            verifier = Verifier(
                url,
                Path(self.warehouse_path),
                list(domain.primary_keys()),
                source_schema=domain.source_schema,
                target_schema=domain.name,
                slot=self.slot,
                on_progress=log.info,
            )
            return Inspection(
                facts=read_facts(url, domain, self.slot),
                tables=verifier.verify(sample_rows=COMPARED_ROWS),
                deviations=publication_drift(url, domain, self.slot),
            )

    @contextmanager
    def _open_source(
        self, domain: Domain, log: dg.DagsterLogManager, on_notice: Callable[[str], None] = lambda _: None
    ) -> Iterator[str]:
        """Yield the URL of the source, which runs meanwhile."""
        if self.source_url is not None:
            # An external source needs no sample database.
            yield self.source_url
            return
        source = Source(Path(self.postgres_dir), sample_database(domain.name), port=self.source_port)
        with source.open(log.info, on_notice) as url:
            yield url

    def watched_slot(self) -> WatchedSlot | None:
        return None if self.source_url is None else WatchedSlot(self.source_url, self.slot)


def _copied_again(result: SyncResult) -> Sequence[str]:
    """A sentence per reason for which tables that were replicated before were copied in full."""
    tables: dict[str, list[str]] = defaultdict(list)
    for table in result.tables.values():
        if table.reason is not None and table.lsn_from is not None:
            tables[table.reason].append(table.table)
    return [
        f"{_listed(names, len(result.tables))} copied in full instead of by changes: {reason}."
        for reason, names in tables.items()
    ]


def _listed(names: Sequence[str], of: int) -> str:
    if len(names) == of:
        return f"All {of} tables were"
    return f"The table {names[0]} was" if len(names) == 1 else f"The tables {', '.join(names)} were"


def _metadata(table: TableSync) -> Mapping[str, dg.MetadataValue]:
    """The metadata of a raw table's materialization; the UI plots numbers over time."""
    metadata: dict[str, dg.MetadataValue] = {
        "dagster/row_count": dg.IntMetadataValue(table.rows),
        "sync_mode": dg.TextMetadataValue(table.mode),
        "rows_before": dg.IntMetadataValue(table.rows_before),
        "rows_inserted": dg.IntMetadataValue(table.inserted),
        "rows_updated": dg.IntMetadataValue(table.updated),
        "rows_deleted": dg.IntMetadataValue(table.deleted),
        "tombstones": dg.IntMetadataValue(table.tombstones),
        "bytes": dg.IntMetadataValue(table.bytes),
        "lsn_to": dg.TextMetadataValue(table.lsn_to),
        "slot_lag_bytes": dg.IntMetadataValue(table.slot_lag_bytes),
        "seconds": dg.FloatMetadataValue(round(table.seconds, 3)),
    }
    if table.lsn_from is not None:
        metadata["lsn_from"] = dg.TextMetadataValue(table.lsn_from)
    if table.commit_lag_seconds is not None:
        metadata["commit_lag_seconds"] = dg.FloatMetadataValue(round(table.commit_lag_seconds, 3))
    if table.reason is not None:
        metadata["full_refresh_reason"] = dg.TextMetadataValue(table.reason)
    if table.schema_changes:
        metadata["schema_changes"] = dg.TextMetadataValue("\n".join(table.schema_changes))
    return metadata
