"""The star in Snowflake equals the one in DuckDB: loaded through a real connector into the stand-in."""

from dataclasses import replace
from pathlib import Path

import pytest

from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.pipelines.totesys.load import row_counts
from dvd_rental_pipeline.pipelines.totesys.star import STAR
from dvd_rental_pipeline.sample.totesys.traffic import simulate
from dvd_rental_pipeline.warehouse.errors import WarehouseError
from dvd_rental_pipeline.warehouse.snowflake_login import SnowflakeLogin
from dvd_rental_pipeline.warehouse.snowflake_warehouse import SnowflakeWarehouse
from dvd_rental_pipeline_tests.pipelines.totesys.conftest import Steps
from dvd_rental_pipeline_tests.stand_ins.snowflake.stand_in import SnowflakeStandIn, set_up


def test_snowflake_gets_the_same_star_as_duckdb(
    steps: Steps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SnowflakeStandIn(tmp_path / "snowflake") as server:
        set_up(server)
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        login = SnowflakeLogin.from_settings(Settings.load(Path("/none")))
        snowflake = replace(steps, warehouse=SnowflakeWarehouse(login, {"test": "totesys"}))
        steps.run()
        with pytest.raises(WarehouseError, match="lacks the schema"):
            snowflake.load()
        for schema in ("TOTESYS", "TOTESYS_LAKE"):
            server.query(f"create schema DVD_RENTALS.{schema}")
        snowflake.load()
        simulate(steps.url, events=30, seed=6)
        steps.run(complete=True)
        snowflake.load()

        assert row_counts(snowflake.warehouse) == row_counts(steps.warehouse)
        for table in STAR:
            columns = ", ".join(column.name for column in table.warehouse_columns)
            query = f"select {columns} from totesys.{table.name} order by {table.warehouse_columns[0].name}"
            assert [tuple(map(str, row)) for row in snowflake.query(query)] == [
                tuple(map(str, row)) for row in steps.query(query)
            ], table.name
