"""The data version of a raw table changes with every change of the table, and with nothing else."""

import json
from pathlib import Path

import duckdb
import pytest

from dvd_rental_pipeline.ingestion.raw_versions import read_raw_versions
from dvd_rental_pipeline.warehouse.duckdb_warehouse import DuckDBWarehouse
from dvd_rental_pipeline_tests.transform.shop_project import CAPTURED, SHOP

FACTS = {"generation": 1, "columns": [{"name": "kind", "labels": {"1": "new"}}], "stopped": None}
ROW = "'1', now(), 1, 100, '2020-01-01T00:00:00Z', null"


def execute(path: Path, *statements: str) -> None:
    with duckdb.connect(path) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.fixture
def warehouse(tmp_path: Path) -> DuckDBWarehouse:
    path = tmp_path / "warehouse.duckdb"
    execute(
        path,
        "create schema shop",
        f"create table shop.item (item_id integer, {CAPTURED})",
        f"create table shop.sale (sale_id integer, {CAPTURED})",
        f"insert into shop.item values (1, {ROW}), (2, {ROW})",
        "create schema _replication",
        "create table _replication.tables (target varchar, table_name varchar, facts json)",
        f"insert into _replication.tables values ('shop', 'item', '{json.dumps(FACTS)}')",
    )
    return DuckDBWarehouse(path)


@pytest.mark.parametrize(
    "change",
    [
        f"insert into shop.item values (3, {ROW})",
        "update shop.item set _ab_cdc_lsn = 101 where item_id = 2",
        "update shop.item set _ab_cdc_updated_at = '2020-01-02T00:00:00Z' where item_id = 2",
        "update shop.item set _ab_cdc_deleted_at = '2020-01-02T00:00:00Z' where item_id = 2",
        "update shop.item set _airbyte_extracted_at = now() where item_id = 1",
        "update shop.item set _airbyte_generation_id = 2",
        "delete from shop.item where item_id = 2",
        "alter table shop.item add column price integer",
        "alter table shop.item alter column item_id type bigint",
        "update _replication.tables set facts = replace(facts, 'new', 'used')",
        "create schema shop_past; create table shop_past.item (item_id integer)",
    ],
)
def test_every_change_gives_its_table_another_version(warehouse: DuckDBWarehouse, change: str) -> None:
    before = read_raw_versions(warehouse, SHOP)
    assert read_raw_versions(warehouse, SHOP) == before
    execute(warehouse.path, change)
    after = read_raw_versions(warehouse, SHOP)
    assert after["item"] != before["item"]
    assert after["sale"] == before["sale"]


def test_what_is_not_part_of_a_table_gives_it_no_other_version(warehouse: DuckDBWarehouse) -> None:
    before = read_raw_versions(warehouse, SHOP)
    stopped = json.dumps({**FACTS, "stopped": "a message"})
    execute(warehouse.path, f"update _replication.tables set facts = '{stopped}'", "drop table shop.sale")
    assert read_raw_versions(warehouse, SHOP) == {"item": before["item"]}
