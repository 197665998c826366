"""A password column that reaches a model fails a check, which names the column and never its content."""

from pathlib import Path

import dagster as dg
import duckdb
import pytest

from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.quality.secret_columns import build_secret_columns_check
from dvd_rental_pipeline.warehouse.resource import DuckDBWarehouseResource

STAFF = dg.AssetKey(["staging", "stg_dvd_rental__staff"])


def outcome(path: Path) -> dg.AssetCheckEvaluation:
    result = dg.materialize(
        [build_secret_columns_check(DVD_RENTAL, STAFF, raw_schemas=["dvd_rental"])],
        resources={"warehouse": DuckDBWarehouseResource(path=str(path))},
        selection=dg.AssetSelection.all_asset_checks(),
        raise_on_error=False,
    )
    (evaluation,) = result.get_asset_check_evaluations()
    return evaluation


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    path = tmp_path / "warehouse.duckdb"
    with duckdb.connect(path) as connection:
        connection.execute("create schema dvd_rental; create schema staging; create schema reports")
        connection.execute("create table dvd_rental.staff as select 1 as staff_id, 'hash' as password")
        connection.execute("create view staging.stg_dvd_rental__staff as select staff_id from dvd_rental.staff")
    return path


def test_secrets_in_the_raw_layer_alone_pass(warehouse: Path) -> None:
    assert outcome(warehouse).passed


@pytest.mark.parametrize(
    "leak",
    [
        "create or replace view staging.stg_dvd_rental__staff as select * from dvd_rental.staff",
        'create table reports.staff as select staff_id, password as "Password" from dvd_rental.staff',
    ],
)
def test_a_password_in_a_model_fails(warehouse: Path, leak: str) -> None:
    with duckdb.connect(warehouse) as connection:
        connection.execute(leak)
    found = outcome(warehouse)
    assert (found.passed, found.severity, found.blocking) == (False, dg.AssetCheckSeverity.ERROR, True)
    assert ".password" in str(found.description)
    assert "hash" not in str(found)
