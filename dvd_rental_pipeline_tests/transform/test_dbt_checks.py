"""dbt tests as asset checks: described, executable alone, with a sample of failing rows."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import dagster as dg
import duckdb
import pytest

from dvd_rental_pipeline.automation.conditions import LAYER_CONDITIONS
from dvd_rental_pipeline.automation.freshness import LAYER_FRESHNESS
from dvd_rental_pipeline.core.runbook import ERROR, RUNBOOK, SAMPLE, Section
from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.transform.assets import build_dbt_assets
from dvd_rental_pipeline.transform.dbt_resource import build_dbt_resource
from dvd_rental_pipeline.transform.dbt_results import NodeResult
from dvd_rental_pipeline.transform.failing_rows import (
    SAMPLE_ROWS,
    SAMPLED_TESTS,
    describe_failures,
    failed_tests,
)
from dvd_rental_pipeline.transform.manifest import read_manifest
from dvd_rental_pipeline.transform.project import load_dbt_project
from dvd_rental_pipeline.transform.test_descriptions import describe_test, runbook_section
from dvd_rental_pipeline.warehouse.interface import Rows
from dvd_rental_pipeline.warehouse.resource import DuckDBWarehouseResource
from dvd_rental_pipeline_tests.dbt_models.raw_tables import RawTables, fill
from dvd_rental_pipeline_tests.forked_programs import forked_dbt
from dvd_rental_pipeline_tests.parsed_project import ParsedProject
from dvd_rental_pipeline_tests.transform.small_manifests import data_test, manifest_of, model

PAYMENTS = dg.AssetKey(["staging", "stg_dvd_rental__payment"])
CUSTOMERS = dg.AssetKey(["staging", "stg_dvd_rental__customer"])
EMAIL = "mary@example.org"
CUSTOMERS_TEST = "test.small.customers"
MANIFEST = manifest_of(
    model("staging.customers", [], columns=["customer_id", "customer_name", "city"], private=["customer_name"]),
    data_test("customers", ["model.small.customers"]),
)


@pytest.fixture
def warehouse(tmp_path: Path) -> DuckDBWarehouseResource:
    with duckdb.connect(tmp_path / "warehouse.duckdb") as connection:
        connection.execute(
            f"create table customers as select n as customer_id, 'Mary Smith' as customer_name, '{EMAIL}' as "
            "email, 'Lethbridge' as city, 9.90::decimal(18, 2) as spent, date '2026-01-01' as since "
            "from range(20) t(n)"
        )
    return DuckDBWarehouseResource(path=str(tmp_path / "warehouse.duckdb"))


def sample_of(sql: str, warehouse: DuckDBWarehouseResource) -> list[dict[str, Any]]:
    described = describe_failures(
        [NodeResult(CUSTOMERS_TEST, "fail", 1, sql=sql)], MANIFEST, [DVD_RENTAL], warehouse
    )
    table = described.get(CUSTOMERS_TEST, {}).get(SAMPLE)
    return [] if table is None else [dict(row.data) for row in table.value.records]


def test_failing_rows_are_sampled_without_private_columns(warehouse: DuckDBWarehouseResource) -> None:
    rows = sample_of("select * from customers order by customer_id", warehouse)
    assert len(rows) == SAMPLE_ROWS
    assert rows[0] == {"customer_id": 0, "city": "Lethbridge", "spent": "9.90", "since": "2026-01-01"}


@pytest.mark.parametrize(
    "sql",
    [
        "select customer_name as unique_field, count(*) as n_records from customers group by all",
        "select email as from_field, 1 as n_records from customers",
        "select lower(email) as anything, 1 as n_records from customers",
        "select [email] as several, 1 as n_records from customers",
        "select {'email': email} as packed, 1 as n_records from customers",
        "select email::blob as raw_bytes, 1 as n_records from customers",
    ],
)
def test_a_private_value_is_not_shown_under_another_column_name(
    sql: str, warehouse: DuckDBWarehouseResource
) -> None:
    rows = sample_of(sql, warehouse)
    assert rows
    assert all(set(row) == {"n_records"} for row in rows)


def test_a_sample_without_public_columns_is_left_out(warehouse: DuckDBWarehouseResource) -> None:
    assert sample_of("select customer_name from customers", warehouse) == []
    assert sample_of("select null as customer_id from customers", warehouse) == []


def test_a_failure_whose_rows_cannot_be_queried_has_no_sample(warehouse: DuckDBWarehouseResource) -> None:
    assert sample_of("select * from no_such_table", warehouse) == []


def test_the_number_of_sampled_tests_is_limited(warehouse: DuckDBWarehouseResource) -> None:
    failures = [NodeResult(CUSTOMERS_TEST, "fail", 1, sql="select 1 as n")] * (SAMPLED_TESTS * 3)
    queries = []

    class Counting(DuckDBWarehouseResource):
        def query(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
            queries.append(sql)
            return super().query(sql, parameters)

    describe_failures(failures, MANIFEST, [DVD_RENTAL], Counting(path=warehouse.path))
    assert len(queries) == SAMPLED_TESTS


def test_only_tests_that_did_not_pass_are_sampled() -> None:
    results = [
        NodeResult(f"{kind}.{status}", status, 1)
        for kind in ("test", "model")
        for status in ("pass", "fail", "warn", "error", "skipped")
    ]
    assert [test.status for test in failed_tests(results)] == ["fail", "warn", "error"]


def test_a_test_that_could_not_be_executed_reports_the_error(warehouse: DuckDBWarehouseResource) -> None:
    message = f"Conversion Error: Could not convert string '{EMAIL}' to INT32"
    failure = NodeResult(CUSTOMERS_TEST, "error", 0, message)
    (described,) = describe_failures([failure], MANIFEST, [DVD_RENTAL], warehouse).values()
    assert described[ERROR].value == "Conversion Error: Could not convert string '…' to INT32"


@pytest.fixture(scope="module")
def settings(parsed_project: ParsedProject, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A home with raw tables in its warehouse."""
    home = parsed_project.prepare(tmp_path_factory.mktemp("home"))
    with mock.patch.dict(os.environ), forked_dbt():
        raw = RawTables(home)
        fill(raw)
        raw.close()
        yield Settings(home=home)


@pytest.fixture(scope="module")
def graph(settings: Settings) -> dg.Definitions:
    project = load_dbt_project(settings)
    return dg.Definitions(
        assets=[build_dbt_assets(project, [DVD_RENTAL], LAYER_FRESHNESS, LAYER_CONDITIONS)],
        resources={
            "dbt": build_dbt_resource(project),
            "warehouse": DuckDBWarehouseResource(path=str(settings.warehouse_path)),
        },
    )


def test_every_dbt_test_has_a_description_and_a_runbook_section(
    graph: dg.Definitions, settings: Settings
) -> None:
    nodes = list(graph.resolve_asset_graph().asset_check_nodes)
    assert len(nodes) == len(read_manifest(load_dbt_project(settings).manifest_path).tests)
    assert [node.key.to_user_string() for node in nodes if not node.description] == []
    assert [node.key.to_user_string() for node in nodes if RUNBOOK not in node.metadata] == []


@pytest.mark.parametrize(
    ("kind", "arguments", "sentence", "section"),
    [
        ("not_null", {"column_name": "a"}, "Every row has a value in `a`", Section.DBT_TESTS),
        ("unique", {"column_name": "a"}, "No two rows share a value of `a`", Section.DBT_TESTS),
        ("not_negative", {"column_name": "a"}, "`a` is never below zero", Section.DBT_TESTS),
        ("accepted_values", {"column_name": "a", "values": [1, 2]}, "`a` is one of 1, 2", Section.DBT_TESTS),
        ("primary_key", {"columns": ["a", "b"]}, "Every row has its own `a`, `b`", Section.PRIMARY_KEY),
        (
            "relationships",
            {"column_name": "a", "to": "ref('dim_b')", "field": "c"},
            "Every `a` is a `c` of `dim_b`",
            Section.DBT_TESTS,
        ),
        ("conserves_totals", {}, "my test", Section.CONSERVATION),
        ("validity_is_sound", {}, "my test", Section.HISTORY_GAPS),
        ("does_not_overlap", {}, "my test", Section.OVERLAPPING_RENTALS),
    ],
)
def test_a_test_without_a_description_gets_a_sentence(
    kind: str, arguments: Mapping[str, Any], sentence: str, section: Section
) -> None:
    manifest = manifest_of(data_test("my_test", [], kind=kind, arguments=arguments))
    (test,) = manifest.tests.values()
    assert describe_test(test) == sentence
    assert runbook_section(test) is section


@pytest.mark.slow
def test_selected_checks_are_evaluated_without_building_models(
    graph: dg.Definitions, settings: Settings
) -> None:
    settings.export()  # dbt reads them, and a test starts without them in its environment
    job = graph.resolve_implicit_global_asset_job_def()
    instance = dg.DagsterInstance.ephemeral()
    built = job.execute_in_process(
        instance=instance, asset_selection=[PAYMENTS, CUSTOMERS], raise_on_error=False
    )
    assert built.success
    with duckdb.connect(settings.warehouse_path) as connection:
        connection.execute(
            "insert into dvd_rental.customer from dvd_rental.customer order by customer_id limit 1"
        )
    checks = {
        key
        for key in graph.resolve_asset_graph().asset_check_keys
        if key.asset_key in {PAYMENTS, CUSTOMERS} and "conserves" not in key.name and "relation" not in key.name
    }
    alone = job.get_subset(asset_selection=set(), asset_check_selection=checks).execute_in_process(
        instance=instance, raise_on_error=False
    )

    assert alone.get_asset_materialization_events() == []
    evaluations = {evaluation.asset_check_key: evaluation for evaluation in alone.get_asset_check_evaluations()}
    assert set(evaluations) == checks, "exactly the selected ones"
    failed = [evaluation for evaluation in evaluations.values() if not evaluation.passed]
    assert {evaluation.asset_key for evaluation in failed} == {CUSTOMERS}
    keys = next(evaluation for evaluation in failed if "primary_key" in evaluation.check_name)
    assert keys.metadata["dagster_dbt/failed_row_count"].value == 1
    (row,) = keys.metadata[SAMPLE].value.records
    assert set(row.data) == {"customer_id", "key_rows"}
    assert row.data["key_rows"] == 2
    assert [path for path in settings.dbt_target_dir.iterdir() if path.is_dir()] == [], (
        "artifacts were not removed"
    )
