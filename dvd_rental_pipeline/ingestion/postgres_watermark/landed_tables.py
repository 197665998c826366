"""Landed tables as views: the rows that are live after some runs."""

from collections.abc import Sequence

from dvd_rental_pipeline.core.catalog import Table
from dvd_rental_pipeline.ingestion.files.landing import LandedContent, LandingZone, RunManifest, landed_files
from dvd_rental_pipeline.ingestion.files.parquet_session import ParquetSession, quote


def key_columns(table: Table, prefix: str = "") -> str:
    """The primary key, quoted, for SQL; each column after `prefix`."""
    return ", ".join(f"{prefix}{quote(column)}" for column in table.primary_key)


def create_live_view(
    session: ParquetSession, zone: LandingZone, table: Table, manifests: Sequence[RunManifest], name: str
) -> None:
    """Create the view `name`: of each key the row that landed last in `manifests`, unless it was deleted later.

    The order is that of the runs, which is the order of commits for one key, also if `last_updated` is not.
    """
    every, gone = f"{name} landed", f"{name} deleted"
    keys = [column for column in table.columns if column.name in table.primary_key]
    session.create_view(every, table.columns, zone.store, landed_files(manifests, table.name))
    session.create_view(gone, keys, zone.store, landed_files(manifests, table.name, LandedContent.DELETED))
    columns = ", ".join(f"landed.{quote(column.name)}" for column in table.columns)
    matches = " and ".join(f"deleted.{quote(key)} = landed.{quote(key)}" for key in table.primary_key)
    session.rows(f"""
        create or replace view {quote(name)} as
        with last as (
            select {key_columns(table)}, max(_sequence) as _sequence from {quote(every)} group by all
        )
        select {columns}, landed._sequence
        from {quote(every)} as landed semi join last using ({key_columns(table)}, _sequence)
        anti join {quote(gone)} as deleted on {matches} and deleted._sequence > landed._sequence
    """)
