"""dbt's unit tests: the logic of the models on given rows."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dvd_rental_pipeline.ingestion.files.drop_zone import DropFolder
from dvd_rental_pipeline.ingestion.files.landing import LandingZone
from dvd_rental_pipeline.ingestion.files.object_store import open_store
from dvd_rental_pipeline.pipelines.sales.loading import load_files
from dvd_rental_pipeline.pipelines.signups.catalog import SIGNUPS
from dvd_rental_pipeline.pipelines.totesys.catalog import TOTESYS
from dvd_rental_pipeline.pipelines.totesys.load import load
from dvd_rental_pipeline.pipelines.totesys.processed import ProcessedZone
from dvd_rental_pipeline.warehouse.duckdb_warehouse import DuckDBWarehouse
from dvd_rental_pipeline_tests.dbt_models.raw_tables import Dbt, RawTables, fill
from dvd_rental_pipeline_tests.parsed_project import ParsedProject


@pytest.mark.slow
def test_every_unit_test_of_the_models_passes(
    tmp_path: Path, parsed_project: ParsedProject, manifest: Mapping[str, Any]
) -> None:
    raw = RawTables(tmp_path)
    fill(raw)
    raw.create(SIGNUPS)
    raw.close()
    # Loading nothing creates the tables of the other pipelines.
    warehouse, nothing = DuckDBWarehouse(tmp_path / "warehouse.duckdb"), str(tmp_path / "none")
    load_files(DropFolder(tmp_path / "none"), warehouse, print)
    load(
        warehouse,
        LandingZone(open_store(nothing), TOTESYS.name),
        ProcessedZone(open_store(nothing), TOTESYS.name),
    )
    printed = Dbt(raw, parsed_project)("build", "--exclude-resource-type", "test")
    count = re.search(r"Finished running .*?(\d+) unit tests", printed)
    assert count, printed
    assert int(count.group(1)) == len(manifest["unit_tests"]) > 0
