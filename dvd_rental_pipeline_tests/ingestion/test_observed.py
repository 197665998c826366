"""Observed ingestion: a branch deployment reports the raw tables that production syncs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.ingestion.observed import ObservedIngestion
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.warehouse.resource import DuckDBWarehouseResource
from dvd_rental_pipeline_tests.recorded_log import RecordedLog

DOMAIN = replace(DVD_RENTAL, tables=DVD_RENTAL.tables[:2])


@pytest.fixture
def ingestion(tmp_path: Path) -> ObservedIngestion:
    path = tmp_path / "warehouse.duckdb"
    with duckdb.connect(path) as database:
        database.execute("create schema dvd_rental")
        database.execute(
            "create table dvd_rental.actor as select 1 as actor_id, now() as _airbyte_extracted_at,"
            " '2026-01-02' as _ab_cdc_updated_at, null::varchar as _ab_cdc_deleted_at"
        )
    return ObservedIngestion(warehouse=DuckDBWarehouseResource(path=str(path)))


def test_a_sync_counts_the_tables_and_logs_that_it_syncs_nothing(
    ingestion: ObservedIngestion, log: RecordedLog
) -> None:
    recorder: Any = log
    outcome = ingestion.sync(DOMAIN, recorder)
    actor = {name: value.value for name, value in outcome.metadata["actor"].items()}
    assert actor["dagster/row_count"] == 1
    assert actor["sync_mode"] == "observed: production syncs this table"
    assert "syncs nothing" in log.text


def test_a_table_that_production_does_not_have_is_a_failure(
    ingestion: ObservedIngestion, log: RecordedLog
) -> None:
    recorder: Any = log
    outcome = ingestion.sync(DOMAIN, recorder)
    assert set(outcome.failures) == {DOMAIN.tables[1].name}
    assert "cannot be read in the warehouse" in outcome.failures[DOMAIN.tables[1].name]


def test_a_full_refresh_is_refused(ingestion: ObservedIngestion, log: RecordedLog) -> None:
    recorder: Any = log
    with pytest.raises(PipelineError, match="refresh them in production"):
        ingestion.sync(DOMAIN, recorder, full_refresh=True)
