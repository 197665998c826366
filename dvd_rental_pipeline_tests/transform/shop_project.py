"""A small dbt project with raw tables in DuckDB, built by the real dbt step; tests change its code and data."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import dagster as dg
import duckdb
from dagster_dbt import DbtProject

from dvd_rental_pipeline.automation.conditions import LAYER_CONDITIONS
from dvd_rental_pipeline.automation.freshness import LAYER_FRESHNESS
from dvd_rental_pipeline.core.catalog import Column, Domain, Table
from dvd_rental_pipeline.core.settings import DBT_PROJECT_DIR
from dvd_rental_pipeline.transform.assets import build_dbt_assets
from dvd_rental_pipeline.transform.dbt_resource import build_dbt_resource
from dvd_rental_pipeline.warehouse.resource import DuckDBWarehouseResource
from dvd_rental_pipeline_tests.dbt_runner import run_dbt

MACROS = ("forget_build", "should_full_refresh", "log_row_count", "generate_schema_name", "is_incremental")
SHOP = Domain(
    name="shop",
    source_schema="shop",
    description="A shop.",
    owner="team:shop",
    tables=(
        Table("item", "one row per item", ("item_id",), (Column("item_id", "integer", "Key"),)),
        Table("sale", "one row per sale", ("sale_id",), (Column("sale_id", "integer", "Key"),)),
    ),
)
CAPTURED = (
    "_airbyte_raw_id varchar, _airbyte_extracted_at timestamptz, _airbyte_generation_id bigint,"
    " _ab_cdc_lsn bigint, _ab_cdc_updated_at varchar, _ab_cdc_deleted_at varchar"
)
TARGET_OF_DBT_ALONE = "target_of_dbt_alone"
LIVE = "where _ab_cdc_deleted_at is null"

FILES = {
    "dbt_project.yml": """
name: shop
version: "1.0.0"
profile: shop
model-paths: [models]
macro-paths: [macros]
test-paths: [tests]
snapshot-paths: [snapshots]
flags: {send_anonymous_usage_stats: false}
vars: {cheap: 5}
models:
  shop:
    +pre-hook: ["{{ forget_build() }}"]
    +post-hook: ["{{ log_row_count() }}"]
    staging: {+schema: staging, +materialized: view}
    marts: {+schema: marts, +materialized: table}
    reports: {+schema: reports, +materialized: table}
""",
    "profiles.yml": """
shop:
  target: local
  outputs:
    local: {type: duckdb, path: "{{ env_var('SHOP_WAREHOUSE') }}", schema: main, threads: 1}
""",
    "models/sources.yml": """
version: 2
sources:
  - {name: shop, schema: shop, tables: [{name: item}, {name: sale}]}
snapshots:
  - name: item_versions
    relation: ref('stg_item')
    config: {schema: snapshots, unique_key: item_id, strategy: check, check_cols: [price]}
models:
  - name: dim_item
    columns: [{name: item_id, data_tests: [unique]}]
  - name: by_item
    columns: [{name: item_id, data_tests: [not_null]}]
""",
    "models/staging/stg_item.sql": f"select item_id, name, price from {{{{ source('shop', 'item') }}}} {LIVE}",
    "models/staging/stg_sale.sql": (
        "select sale_id, item_id, quantity, _ab_cdc_lsn as change_lsn"
        f" from {{{{ source('shop', 'sale') }}}} {LIVE}"
    ),
    "models/marts/dim_item.sql": (
        "select item_id, name, price, price < {{ var('cheap') }} as is_cheap from {{ ref('stg_item') }}"
    ),
    "models/marts/item_prices.sql": (
        "select item_id, count(*) as prices from {{ ref('item_versions') }} group by item_id"
    ),
    "models/marts/fct_sale.sql": """
{{ config(materialized='incremental', incremental_strategy='delete+insert', unique_key='sale_id',
          post_hook=["{% if is_incremental() %}delete from {{ this }} where sale_id not in
                      (select sale_id from {{ ref('stg_sale') }}){% endif %}"]) }}
select sale_id, item_id, {{ doubled('quantity') }} as quantity, change_lsn from {{ ref('stg_sale') }}
{% if is_incremental() %}
where not exists (
    select 1 from {{ this }} as stored
    where stored.sale_id = stg_sale.sale_id and stored.change_lsn = stg_sale.change_lsn
)
{% endif %}
""",
    "models/marts/sold.sql": (
        "{{ config(materialized='view') }}"
        " select * from {{ ref('fct_sale') }} join {{ ref('dim_item') }} using (item_id)"
    ),
    "models/reports/by_item.sql": (
        "select item_id, sum(quantity) as sold from {{ ref('sold') }} group by item_id"
    ),
    "models/reports/items.sql": "select count(*) as items from {{ ref('dim_item') }}",
    "macros/doubled.sql": "{% macro doubled(column) %}2 * {{ column }}{% endmacro %}",
    "tests/few_sales.sql": (
        "{{ config(severity='warn', meta={'dagster': {'ref': {'name': 'fct_sale'}}}) }}"
        " select * from {{ ref('fct_sale') }} where quantity > 100"
    ),
}


class ShopProject:
    """The project and its warehouse in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.project_dir = folder / "project"
        self.warehouse = folder / "warehouse.duckdb"
        self.instance = dg.DagsterInstance.ephemeral()
        self.lsn = 100
        for name, text in FILES.items():
            self.write(name, text)
        for macro in MACROS:
            shutil.copy(DBT_PROJECT_DIR / "macros" / f"{macro}.sql", self.project_dir / "macros")
        self.sql(
            "create schema shop",
            f"create table shop.item (item_id integer, name varchar, price integer, {CAPTURED})",
            f"create table shop.sale (sale_id integer, item_id integer, quantity integer, {CAPTURED})",
        )
        for item in (1, 2, 3):
            self.put("item", item, name=f"'item {item}'", price=str(item * 3))
        for sale in (1, 2, 3, 4):
            self.put("sale", sale, item_id=str(1 + sale % 3), quantity=str(sale))

    def write(self, name: str, text: str) -> None:
        file = self.project_dir / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def replace(self, name: str, old: str, new: str) -> None:
        """Edit a file of the project."""
        text = (self.project_dir / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new))

    def sql(self, *statements: str) -> list[Any]:
        with duckdb.connect(self.warehouse) as connection:
            return [connection.execute(statement).fetchall() for statement in statements]

    def put(
        self, table: str, key: int, *, lsn: int | None = None, deleted: bool = False, **values: str
    ) -> None:
        """Insert or replace a row, as a sync does; `values` are SQL."""
        self.lsn += 1
        at = f"'2020-01-01T00:00:00.{self.lsn:06}Z'"
        row = {
            f"{table}_id": str(key),
            **values,
            "_airbyte_generation_id": "1",
            "_ab_cdc_lsn": str(lsn or self.lsn),
            "_ab_cdc_updated_at": at,
            **({"_ab_cdc_deleted_at": at} if deleted else {}),
        }
        self.sql(
            f"delete from shop.{table} where {table}_id = {key}",
            f"insert into shop.{table} ({', '.join(row)}) values ({', '.join(row.values())})",
        )

    def run(self, *names: str, **config: Any) -> "ShopRun":
        """Build the models `names`, or all, with their tests, by the dbt step."""
        variables = {
            "SHOP_WAREHOUSE": str(self.warehouse),
            "DBT_PROFILES_DIR": str(self.project_dir),
            "DBT_TARGET_PATH": str(self.folder / "target"),
            "DBT_LOG_PATH": str(self.folder / "logs"),
        }
        with mock.patch.dict(os.environ, variables):
            return self._run(names, config)

    def save(self, folder: Path) -> None:
        """Copy the project and its warehouse to `folder`."""
        shutil.copytree(self.folder, folder)

    def restore(self, folder: Path) -> None:
        """Start again with what was saved in `folder`, and an empty instance."""
        shutil.rmtree(self.folder)
        # At the same path, for which dbt has parsed the project.
        shutil.copytree(folder, self.folder)
        self.instance = dg.DagsterInstance.ephemeral()

    def full_build(self) -> Path:
        """A copy of the warehouse in which dbt alone has built everything from scratch."""
        full, kept = self.folder / "full.duckdb", self.folder / "kept.duckdb"
        # dbt parses the whole project again for a warehouse at another path.
        shutil.copy(self.warehouse, kept)
        self.run_dbt("build", "--full-refresh", "--exclude-resource-type", "test")
        self.warehouse.rename(full)
        kept.rename(self.warehouse)
        return full

    def differences(self) -> list[str]:
        """Tables and views that differ from a full build."""
        full = self.full_build()
        with duckdb.connect() as connection:
            connection.execute(f"attach '{self.warehouse}' as reused (read_only)")
            connection.execute(f"attach '{full}' as built (read_only)")
            # A model that does not exist in one of them differs, too.
            return [name for name in self._models() if not _is_equal(connection, name)]

    def _models(self) -> list[str]:
        files = (self.project_dir / "models").rglob("*.sql")
        return ["snapshots.item_versions", *sorted(f"{file.parent.name}.{file.stem}" for file in files)]

    def _run(self, names: Sequence[str], config: dict[str, Any]) -> "ShopRun":
        project = self._parsed_project()
        definitions = dg.Definitions(
            assets=[build_dbt_assets(project, [SHOP], LAYER_FRESHNESS, LAYER_CONDITIONS)],
            resources={
                "dbt": build_dbt_resource(project),
                "warehouse": DuckDBWarehouseResource(path=str(self.warehouse)),
            },
        )
        job = definitions.resolve_implicit_global_asset_job_def()
        graph = definitions.resolve_asset_graph()
        keys = {key for key in graph.executable_asset_keys if not names or key.path[-1] in names}
        result = job.get_subset(asset_selection=keys).execute_in_process(
            instance=self.instance,
            run_config={"ops": {"dbt_models": {"config": config}}},
            raise_on_error=False,
        )
        return ShopRun(result)

    def _parsed_project(self) -> DbtProject:
        project = DbtProject(
            project_dir=self.project_dir,
            target_path=self.folder / "target",
            profiles_dir=self.project_dir,
            target="local",
        )
        newest = max(path.stat().st_mtime_ns for path in self.project_dir.rglob("*"))
        if not project.manifest_path.exists() or project.manifest_path.stat().st_mtime_ns < newest:
            self.run_dbt("parse", "--quiet", target="target")
            alone = self.folder / TARGET_OF_DBT_ALONE
            alone.mkdir(exist_ok=True)
            shutil.copy(self.folder / "target" / "partial_parse.msgpack", alone)
        return project

    def run_dbt(self, *arguments: str, target: str = TARGET_OF_DBT_ALONE) -> None:
        """Run a dbt command as a person does, outside of a run."""
        done = run_dbt(
            *arguments,
            # As the runs call it: dbt parses everything again if the option differs.
            *("--target", "local"),
            target_path=self.folder / target,
            environment={"SHOP_WAREHOUSE": str(self.warehouse), "DAGSTER_DBT_RUN_ID": ""},
            project_dir=self.project_dir,
        )
        assert done.succeeded, done.stdout


class ShopRun:
    """What a run did: names of the models that were `built` and `reused`, of tests that ran and were reused."""

    def __init__(self, result: dg.ExecuteInProcessResult) -> None:
        self.result = result
        self.success = result.success
        events = result.get_asset_materialization_events()
        materialized = {
            str(event.asset_key and event.asset_key.path[-1]): event.materialization for event in events
        }
        self.reused = {name for name, each in materialized.items() if "reused" in each.metadata}
        self.built = materialized.keys() - self.reused
        checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
        self.reused_tests = {name for name, check in checks.items() if "reused" in check.metadata}
        self.tested = checks.keys() - self.reused_tests
        self.versions = {
            name: each.tags["dagster/data_version"] for name, each in materialized.items() if each.tags
        }


def _is_equal(connection: duckdb.DuckDBPyConnection, name: str) -> bool:
    try:
        return not any(
            connection.execute(f"from {one}.{name} except all from {other}.{name}").fetchall()
            for one, other in (("reused", "built"), ("built", "reused"))
        )
    except duckdb.CatalogException:
        return False
