"""Comparisons between the zones: landing with its source, processed files with landing."""

from collections.abc import Sequence
from dataclasses import dataclass

from dvd_rental_pipeline.core.catalog import Table
from dvd_rental_pipeline.ingestion.files.landing import LandingZone, RunManifest, landed_files
from dvd_rental_pipeline.ingestion.files.parquet_session import ParquetSession, open_parquet_session, quote
from dvd_rental_pipeline.ingestion.postgres_watermark.landed_tables import create_live_view
from dvd_rental_pipeline.ingestion.postgres_watermark.source_reader import UPDATED, open_source
from dvd_rental_pipeline.pipelines.totesys.catalog import TOTESYS
from dvd_rental_pipeline.pipelines.totesys.processed import QUARANTINE, ProcessedZone
from dvd_rental_pipeline.pipelines.totesys.star import STAR, StarTable


@dataclass(frozen=True)
class LandingComparison:
    """Rows of a table up to the watermark, and the time of the newest, in both places, as text."""

    table: str
    source_rows: int
    landed_rows: int
    source_newest: str
    landed_newest: str

    @property
    def agrees(self) -> bool:
        """Whether the two agree."""
        return (self.source_rows, self.source_newest) == (self.landed_rows, self.landed_newest)


def compare_landing(url: str, zone: LandingZone) -> Sequence[LandingComparison]:
    """Compare each table by count and newest time, without rows that changed after the last watermark.

    Empty if nothing has landed.

    Raises:
        ReplicationError: the source cannot be read.
    """
    manifests = zone.manifests()
    if not manifests:
        return []
    watermark = manifests[-1].watermark
    compared = []
    with open_source(url, TOTESYS) as source, open_parquet_session() as session:
        for table in TOTESYS.tables:
            key, updated = quote(table.primary_key[0]), quote(UPDATED)
            with source.read(table, watermark) as rows:
                session.connection.register("changed_rows", rows)
                session.rows(f"create or replace temp table changed as select {key} from changed_rows")
                session.connection.unregister("changed_rows")
            create_live_view(session, zone, table, manifests, "live")
            ((count, newest),) = session.rows(
                f"select count(*), max({updated}) from live anti join changed using ({key})"
                f" where {updated} < ?",
                [watermark],
            )
            source_count, source_newest = source.count_before(table, watermark)
            compared.append(
                LandingComparison(table.name, source_count, int(count), str(source_newest), str(newest))
            )
    return compared


@dataclass(frozen=True)
class ProcessedComparison:
    """Landed rows of a table that are neither processed nor in quarantine, and processed ones never landed."""

    table: str
    missing: int
    unexpected: int


def compare_processed(landing: LandingZone, processed: ProcessedZone) -> Sequence[ProcessedComparison]:
    """Compare the versions of facts, and the keys of dimensions, in all runs of both zones."""
    manifests = landing.manifests()
    tables = {table.name: table for table in TOTESYS.tables}
    with open_parquet_session() as session:
        return [
            _compare_table(session, landing, processed, manifests, table, tables[table.source])
            for table in STAR
            if table.source
        ]


def _compare_table(  # noqa: PLR0917 - the two zones and the two ends of one table
    session: ParquetSession,
    landing: LandingZone,
    processed: ProcessedZone,
    manifests: Sequence[RunManifest],
    table: StarTable,
    source: Table,
) -> ProcessedComparison:
    runs = processed.runs()
    landed_columns = [column for column in source.columns if column.name in (*source.primary_key, UPDATED)]
    session.create_view("landed", landed_columns, landing.store, landed_files(manifests, source.name))
    done = [column for column in table.columns if column.name in table.version]
    session.create_view("done", done, processed.store, {
        file.key: run.sequence for run in runs if (file := run.file(table.name))
    })  # fmt: skip
    place = f"{QUARANTINE}/{source.name}"
    quarantined = [column for column in landed_columns if table.is_fact or column.name != UPDATED]
    session.create_view("quarantined", quarantined, processed.store, {
        file.key: run.sequence for run in runs if (file := run.file(place))
    })  # fmt: skip
    key = quote(source.primary_key[0])
    landed = f"{key}, cast({UPDATED} as date), cast({UPDATED} as time)" if table.is_fact else key
    counted = [
        session.rows(f"select count(*) from ({query})")[0][0]
        for query in (
            f"select {landed} from landed except (select {', '.join(table.version)} from done"
            f" union select {landed} from quarantined)",
            f"select {', '.join(table.version)} from done except select {landed} from landed",
        )
    ]
    return ProcessedComparison(table.name, int(counted[0]), int(counted[1]))
