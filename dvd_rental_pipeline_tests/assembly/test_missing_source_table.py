"""A table that the catalogue declares but the source lacks: one message, and the others are replicated."""

from dataclasses import replace
from pathlib import Path

import dagster as dg
import psycopg

from dvd_rental_pipeline.assembly.raw_assets import build_raw_assets
from dvd_rental_pipeline.core.catalog import Column, Table
from dvd_rental_pipeline.ingestion.embedded import EmbeddedIngestion
from dvd_rental_pipeline.pipelines.dvd_rental.pipeline import DVD_RENTAL_PIPELINE
from dvd_rental_pipeline.sample.dvd_rental.database import DVD_RENTAL_DATABASE
from dvd_rental_pipeline.sample.dvd_rental.generator.generate import generate
from dvd_rental_pipeline.sample.dvd_rental.simulator import simulate
from dvd_rental_pipeline.sample.dvd_rental.tables import DVD_RENTAL_TABLES
from dvd_rental_pipeline.sample.source import Source
from dvd_rental_pipeline.warehouse.resource import DuckDBWarehouseResource

PROMOTION = Table(
    "promotion",
    "one row per promotion",
    ("promotion_id",),
    (Column("promotion_id", "integer", "Key of the promotion"),),
)
DOMAIN = replace(DVD_RENTAL_PIPELINE.domain, tables=(*DVD_RENTAL_PIPELINE.domain.tables, PROMOTION))
ASSETS = build_raw_assets(replace(DVD_RENTAL_PIPELINE, domain=DOMAIN))


def test_other_tables_are_replicated_and_one_message_names_the_missing_one(
    database_url: str, tmp_path: Path
) -> None:
    counts = generate(database_url, scale=0.02)
    warehouse = str(tmp_path / "warehouse.duckdb")
    with psycopg.connect(database_url) as connection:
        slot = connection.info.dbname
    resources = {
        "ingestion": EmbeddedIngestion(
            postgres_dir=str(tmp_path / "none"), warehouse_path=warehouse, slot=slot, source_url=database_url
        ),
        "warehouse": DuckDBWarehouseResource(path=warehouse),
    }
    for _ in range(2):
        result = dg.materialize([ASSETS], resources=resources, raise_on_error=False)
        events = result.get_asset_materialization_events()
        rows = {
            event.materialization.asset_key.path[-1]: event.materialization.metadata["dagster/row_count"].value
            for event in events
        }
        assert rows == counts
        (failure,) = [event for event in result.all_events if event.is_step_failure]
        error = failure.step_failure_data.user_failure_data
        assert error is not None
        heading, *lines = (error.description or "").splitlines()
        assert heading == (
            f"1 of {len(DOMAIN.tables)} tables could not be replicated; the others are up to date."
        )
        (line,) = lines
        assert line.startswith("promotion: The source has no table public.promotion at ")

        # The sample database does not depend on the catalogue.
        simulate(database_url, events=20, seed=1)
        counts = DVD_RENTAL_TABLES.row_counts(database_url)
        source = Source(tmp_path / "none", DVD_RENTAL_DATABASE, external_url=database_url)
        assert source.status().row_counts == counts
