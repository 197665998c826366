"""The notices of a sync of the embedded ingestion: tables that were copied in full without a request."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import dagster as dg
import duckdb
import psycopg
import pytest

from dvd_rental_pipeline.ingestion.embedded import EmbeddedIngestion
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.sample.dvd_rental.generator.generate import generate

LOG = cast("dg.DagsterLogManager", logging.getLogger(__name__))


@pytest.fixture
def ingestion(database_url: str, tmp_path: Path) -> EmbeddedIngestion:
    """Ingestion of a small generated source, with a slot named as its database."""
    generate(database_url, scale=0.02)
    with psycopg.connect(database_url) as connection:
        slot = connection.info.dbname
    return EmbeddedIngestion(
        postgres_dir=str(tmp_path / "none"),
        warehouse_path=str(tmp_path / "warehouse.duckdb"),
        slot=slot,
        source_url=database_url,
    )


def notices(ingestion: EmbeddedIngestion, *, full_refresh: bool = False) -> Sequence[str]:
    return ingestion.sync(DVD_RENTAL, LOG, full_refresh=full_refresh).notices


def test_a_lost_slot_is_reported_with_what_it_cost(ingestion: EmbeddedIngestion, database_url: str) -> None:
    assert notices(ingestion) == [], "a first copy"
    assert notices(ingestion) == []
    with psycopg.connect(database_url) as connection:
        connection.execute("select pg_drop_replication_slot(%s)", [ingestion.slot])
    assert notices(ingestion) == [
        "All 15 tables were copied in full instead of by changes: the replication slot no longer exists."
    ]
    assert notices(ingestion) == []
    assert notices(ingestion, full_refresh=True) == [], "a requested copy"


def test_one_table_that_had_to_be_copied_is_named(ingestion: EmbeddedIngestion, database_url: str) -> None:
    notices(ingestion)
    with duckdb.connect(ingestion.warehouse_path) as warehouse:
        warehouse.execute("delete from dvd_rental.language where language_id = 1")
    with psycopg.connect(database_url) as connection:
        connection.execute("update language set name = 'Deutsch' where language_id = 1")
    (notice,) = notices(ingestion)
    assert notice.startswith("The table language was copied in full instead of by changes: ")
