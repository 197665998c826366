"""Reuse by the dbt step, with dbt and DuckDB: after any history the warehouse equals a full build."""

import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import dagster as dg
import pytest

from dvd_rental_pipeline.core.runbook import SAMPLE
from dvd_rental_pipeline.quality.findings import failed_rows
from dvd_rental_pipeline.transform.build_records import BuildRecords
from dvd_rental_pipeline.transform.dbt_resource import InstalledDbt
from dvd_rental_pipeline_tests.forked_programs import forked_dbt
from dvd_rental_pipeline_tests.transform.shop_project import ShopProject, ShopRun

ALL = {
    "stg_item",
    "stg_sale",
    "item_versions",
    "item_prices",
    "dim_item",
    "fct_sale",
    "sold",
    "by_item",
    "items",
}
TESTS = {"unique_dim_item_item_id", "not_null_by_item_item_id", "few_sales"}


@dataclass(frozen=True)
class BuiltShop:
    """A shop after its first run, and a folder with its files as they then were."""

    shop: ShopProject
    first: ShopRun
    saved: Path


@pytest.fixture(scope="module")
def built_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuiltShop]:
    folder = tmp_path_factory.mktemp("shop")
    shop = ShopProject(folder / "shop")
    with forked_dbt():
        first = shop.run()
        assert first.success
        shop.save(folder / "saved")
        yield BuiltShop(shop, first, folder / "saved")


@pytest.fixture
def shop(built_shop: BuiltShop) -> ShopProject:
    """A shop as its first run has left it."""
    built_shop.shop.restore(built_shop.saved)
    return built_shop.shop


def test_what_has_not_changed_is_reused(shop: ShopProject, built_shop: BuiltShop) -> None:
    first = built_shop.first
    assert (first.built, first.tested) == (ALL, TESTS)

    with mock.patch("dvd_rental_pipeline.transform.dbt_resource.InstalledDbt.cli") as dbt:
        again = shop.run()
    assert not dbt.called, "dbt is not started"
    assert again.success
    assert (again.reused, again.reused_tests) == (ALL, TESTS)
    assert again.versions == first.versions
    (dim_item,) = (
        event.materialization
        for event in again.result.get_asset_materialization_events()
        if event.asset_key and event.asset_key.path[-1] == "dim_item"
    )
    assert dim_item.metadata["reused"].value == f"unchanged since run {first.result.run_id[:8]}"
    assert dim_item.metadata["dagster/row_count"].value == 3

    # A late row with an old log position, a deletion, and a quantity of which a test warns.
    shop.put("sale", 5, lsn=7, item_id="1", quantity="200")
    shop.put("sale", 2, deleted=True)
    changed = shop.run()
    assert changed.success
    assert changed.built == {"fct_sale", "by_item"}, "the views show the change by themselves"
    assert changed.reused == ALL - {"fct_sale", "by_item"}
    assert changed.tested == {"not_null_by_item_item_id", "few_sales"}
    assert changed.versions["sold"] != first.versions["sold"]
    assert changed.versions["dim_item"] == first.versions["dim_item"]
    assert shop.differences() == []

    with mock.patch("dvd_rental_pipeline.transform.dbt_resource.InstalledDbt.cli") as dbt:
        warned = shop.run()
    assert not dbt.called
    (warning,) = (each for each in warned.result.get_asset_check_evaluations() if not each.passed)
    assert (warning.check_name, warning.severity) == ("few_sales", dg.AssetCheckSeverity.WARN)
    assert failed_rows(warning) == 1
    assert SAMPLE in warning.metadata, "the rows that the evaluation found"

    shop.replace("tests/few_sales.sql", "severity='warn'", "severity='error'")
    for _ in range(2):
        failed = shop.run()
        assert (failed.built, failed.tested) == (set(), {"few_sales"}), "what failed runs again"
        assert not failed.success


@pytest.mark.slow
def test_edited_code_is_built_with_all_that_reads_it(shop: ShopProject) -> None:
    # No row has changed, so that an incremental build would find nothing to do.
    shop.replace("macros/doubled.sql", "2 *", "3 *")
    edited = shop.run()
    assert edited.built == {"fct_sale", "sold", "by_item"}, "the view, since its columns may have changed"
    assert shop.differences() == []
    shop.replace("dbt_project.yml", "cheap: 5", "cheap: 8")
    assert shop.run().built == {"dim_item", "sold", "by_item", "items"}


@pytest.mark.slow
def test_a_model_that_was_built_by_dbt_alone_is_built_again(shop: ShopProject) -> None:
    edited = "models/reports/items.sql"
    original = (shop.project_dir / edited).read_text()
    shop.write(edited, original.replace("count(*)", "1 + count(*)"))
    shop.run_dbt("build", "--select", "items", "sold")
    shop.write(edited, original)
    # The view is of the same code, but its columns may have changed meanwhile.
    assert {"items", "sold"} <= shop.run().built
    assert shop.differences() == []


@pytest.mark.slow
def test_a_file_that_is_saved_during_a_build_leaves_no_record(shop: ShopProject) -> None:
    edited = "models/reports/items.sql"
    original = (shop.project_dir / edited).read_text()
    start = InstalledDbt.cli

    def save_and_start(*args: Any, **options: Any) -> Any:
        # dbt reads the file again; the run has planned with the text before.
        shop.write(edited, original.replace("count(*)", "5 + count(*)"))
        return start(*args, **options)

    shop.write(edited, original.replace("count(*)", "1 + count(*)"))
    with mock.patch.object(InstalledDbt, "cli", save_and_start):
        assert shop.run().built == {"items"}
    shop.write(edited, original.replace("count(*)", "1 + count(*)"))
    assert shop.run().built == {"items"}
    assert shop.differences() == []


@pytest.mark.slow
def test_a_run_that_dies_or_fails_leaves_no_false_record(shop: ShopProject) -> None:
    edited = "models/marts/dim_item.sql"
    original = (shop.project_dir / edited).read_text()
    shop.write(edited, original.replace("name, price", "upper(name) as name, price"))
    with mock.patch.object(BuildRecords, "store", side_effect=SystemExit):
        assert not shop.run().success
    # The warehouse has the table of the edit now.
    shop.write(edited, original)
    restored = shop.run()
    assert {"dim_item", "by_item", "items"} <= restored.built
    assert shop.differences() == []

    shop.write(edited, original.replace("name, price", "cast(error(name) as varchar) as name, price"))
    failed = shop.run()
    assert not failed.success
    assert failed.built == set()
    shop.write(edited, original)
    assert shop.run().built == {"dim_item", "sold", "by_item", "items"}
    assert shop.differences() == []


@pytest.mark.slow
def test_a_restored_or_damaged_warehouse_is_noticed(shop: ShopProject) -> None:
    backup = shop.folder / "backup.duckdb"
    shutil.copy(shop.warehouse, backup)
    shop.replace("models/reports/items.sql", "count(*)", "1 + count(*)")
    assert shop.run().built == {"items"}
    shutil.copy(backup, shop.warehouse)
    assert shop.run().built == {"items"}, "the copy has the table of the old code"
    shop.sql("drop table marts.dim_item")
    lost = shop.run()
    assert "dim_item" in lost.built
    shop.sql(
        "insert into marts.fct_sale from marts.fct_sale", "create or replace view marts.sold as select 1 as one"
    )
    assert {"fct_sale", "sold"} <= shop.run().built, "its rows and columns differ from what was built"
    assert shop.differences() == []
    assert shop.run("items", reuse=False).built == {"items"}


class Changes:
    """Random changes of the shop."""

    def __init__(self, shop: ShopProject, seed: int) -> None:
        self.shop, self.random = shop, random.Random(seed)
        self.backup = shop.folder / "random_backup.duckdb"
        self.all: tuple[Callable[[], object], ...] = (
            *(self.sell, self.sell, self.change_price, self.delete, self.add_column, self.edit_staging),
            *(self.edit_mart, self.edit_macro, self.edit_variable, self.build_some, self.die, self.fail),
            *(self.back_up, self.restore, self.drop, self.duplicate),
        )

    def sell(self) -> None:
        lsn = self.random.choice([None, 50])
        quantity = str(self.random.randint(1, 120))
        self.shop.put("sale", self.random.randint(1, 9), lsn=lsn, item_id="2", quantity=quantity)

    def change_price(self) -> None:
        item = self.random.randint(1, 4)
        self.shop.put("item", item, name=f"'item {item}'", price=str(self.random.randint(1, 9)))

    def delete(self) -> None:
        self.shop.put("sale", self.random.randint(1, 9), deleted=True)

    def add_column(self) -> None:
        self.shop.sql(f"alter table shop.sale add column extra_{self.shop.lsn} integer")
        self.shop.lsn += 1

    def edit_staging(self) -> None:
        factor = self.random.randint(1, 3)
        self.shop.write(
            "models/staging/stg_sale.sql",
            f"select sale_id, item_id, {factor} * quantity as quantity, _ab_cdc_lsn as change_lsn"
            " from {{ source('shop', 'sale') }} where _ab_cdc_deleted_at is null",
        )

    def edit_mart(self) -> None:
        self.shop.write(
            "models/reports/items.sql",
            f"select {self.random.randint(0, 2)} + count(*) as items from {{{{ ref('dim_item') }}}}",
        )

    def edit_macro(self) -> None:
        factor = self.random.randint(1, 3)
        self.shop.write("macros/doubled.sql", f"{{% macro doubled(c) %}}{factor} * {{{{ c }}}}{{% endmacro %}}")

    def edit_variable(self) -> None:
        self.shop.replace("dbt_project.yml", "vars: {cheap: ", f"vars: {{cheap: {self.random.randint(1, 9)}")

    def build_some(self) -> None:
        self.shop.run(*self.random.sample(sorted(ALL), 3))

    def die(self) -> None:
        self.random.choice([self.sell, self.edit_macro, self.edit_mart])()
        with mock.patch.object(BuildRecords, "store", side_effect=SystemExit):
            self.shop.run()

    def fail(self) -> None:
        file = self.shop.project_dir / "models/marts/dim_item.sql"
        original = file.read_text()
        file.write_text("select error('broken') as item_id from {{ ref('stg_item') }}")
        self.sell()
        assert not self.shop.run().success
        file.write_text(original)

    def back_up(self) -> None:
        shutil.copy(self.shop.warehouse, self.backup)

    def restore(self) -> None:
        if self.backup.exists():
            shutil.copy(self.backup, self.shop.warehouse)

    def duplicate(self) -> None:
        self.shop.sql("insert into marts.fct_sale from marts.fct_sale limit 1")

    def drop(self) -> None:
        self.shop.sql("drop table if exists reports.by_item")


@pytest.mark.heavy
@pytest.mark.parametrize("seed", range(6))
def test_after_any_history_reuse_equals_a_full_build(shop: ShopProject, seed: int) -> None:
    changes = Changes(shop, seed)
    for step in range(8):
        names = []
        for _ in range(changes.random.randint(1, 3)):
            change = changes.random.choice(changes.all)
            change()
            names.append(getattr(change, "__name__", ""))
        assert shop.run().success
        assert shop.differences() == [], f"step {step}: {names}"
