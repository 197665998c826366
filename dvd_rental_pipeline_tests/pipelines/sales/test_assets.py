"""The sensor, the run that it starts, and the checks."""

import json
from pathlib import Path

import dagster as dg
import pytest
import yaml

from dvd_rental_pipeline.core.catalog import Privacy
from dvd_rental_pipeline.core.settings import DBT_PROJECT_DIR, Settings
from dvd_rental_pipeline.ingestion.files.drop_zone import SETTLE_SECONDS
from dvd_rental_pipeline.pipelines.sales.assets import (
    FILES_SENSOR,
    SalesFilesResource,
    build_sales_definitions,
)
from dvd_rental_pipeline.pipelines.sales.columns import SALES
from dvd_rental_pipeline.warehouse.duckdb_warehouse import DuckDBWarehouse
from dvd_rental_pipeline.warehouse.resource import DuckDBWarehouseResource
from dvd_rental_pipeline_tests.pipelines.sales.sales_files import csv_text, drop, order_line


class Pipeline:
    """The definitions of sales alone, on a folder and a DuckDB file."""

    def __init__(self, folder: Path) -> None:
        self.files = folder / "files"
        self.warehouse = DuckDBWarehouse(folder / "warehouse.duckdb")
        self.definitions = dg.Definitions.merge(
            build_sales_definitions(Settings(home=folder)),
            dg.Definitions(
                resources={
                    "sales_files": SalesFilesResource(location=str(self.files)),
                    "warehouse": DuckDBWarehouseResource(path=str(folder / "warehouse.duckdb")),
                }
            ),
        )

    def tick(self, cursor: str | None) -> tuple[list[dg.RunRequest], str | None]:
        resources = {"sales_files": SalesFilesResource(location=str(self.files))}
        context = dg.build_sensor_context(cursor=cursor, resources=resources)
        result = self.definitions.resolve_sensor_def(FILES_SENSOR).evaluate_tick(context)
        return list(result.run_requests or []), result.cursor

    def run(self) -> dg.ExecuteInProcessResult:
        return self.definitions.resolve_implicit_global_asset_job_def().execute_in_process(raise_on_error=False)

    def checks(self, result: dg.ExecuteInProcessResult) -> dict[str, tuple[bool, str | None]]:
        return {
            each.check_name: (each.passed, each.description) for each in result.get_asset_check_evaluations()
        }


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return Pipeline(tmp_path)


def test_the_sensor_requests_one_run_for_each_version_of_a_complete_file(pipeline: Pipeline) -> None:
    assert pipeline.tick(None) == ([], "{}")
    drop(pipeline.files, "sales_2024-03.csv", csv_text([order_line()]))
    drop(pipeline.files, "sales_2024-01.csv", csv_text([]))
    (pipeline.files / "sales_2024-04.csv").write_text("half of a hea")
    requests, cursor = pipeline.tick("{}")
    assert len(requests) == 1
    assert cursor is not None
    assert list(json.loads(cursor)) == ["sales_2024-01.csv", "sales_2024-03.csv"]
    assert pipeline.tick(cursor) == ([], cursor), "a file is picked up once"
    drop(pipeline.files, "sales_2024-03.csv", csv_text([order_line(quantity="31")]))
    again, later = pipeline.tick(cursor)
    assert len(again) == 1
    assert again[0].run_key != requests[0].run_key
    assert later != cursor
    assert SETTLE_SECONDS > 0


def test_a_run_loads_the_files_and_reports_what_became_of_them(pipeline: Pipeline) -> None:
    drop(
        pipeline.files, "sales_2024-03.csv", csv_text([order_line(), order_line(order_line="2", quantity="x")])
    )
    drop(pipeline.files, "sales_2024-04.csv", "not,a,header\n")
    result = pipeline.run()
    assert result.success
    metadata = {
        event.materialization.asset_key.path[-1]: event.materialization.metadata
        for event in result.get_asset_materialization_events()
    }
    assert {name: each["dagster/row_count"].value for name, each in metadata.items()} == {
        "order_lines": 1,
        "quarantine": 1,
        "files": 2,
    }
    assert metadata["files"]["lines_added"].value == 1
    assert "sales_2024-04.csv was rejected" in str(metadata["files"]["files"].value)
    checks = pipeline.checks(result)
    assert checks["every_record_is_accounted_for"][0]
    assert checks["few_records_are_quarantined"] == (
        False,
        "1 files have more than 1% of their records in quarantine: sales_2024-03.csv.",
    )
    assert checks["no_file_is_rejected"] == (False, "1 files were rejected: sales_2024-04.csv.")


def test_a_selected_table_is_loaded_with_the_others(pipeline: Pipeline) -> None:
    drop(pipeline.files, "sales_2024-03.csv", csv_text([order_line()]))
    files = dg.AssetKey(["sales", "files"])
    job = pipeline.definitions.resolve_implicit_global_asset_job_def().get_subset(asset_selection={files})
    result = job.execute_in_process()
    assert [event.materialization.asset_key for event in result.get_asset_materialization_events()] == [files]
    assert pipeline.warehouse.query("select count(*) from sales.order_lines").values == [(1,)]


def test_a_lost_row_blocks_the_star_and_names_its_file(pipeline: Pipeline) -> None:
    drop(pipeline.files, "sales_2024-03.csv", csv_text([order_line(), order_line(order_line="2")]))
    pipeline.run()
    with pipeline.warehouse.transaction() as session:
        session.execute("delete from sales.order_lines where order_line = 2")
    checks = pipeline.checks(pipeline.run())
    assert checks["every_record_is_accounted_for"] == (False, "1 files have other rows: sales_2024-03.csv.")
    (spec,) = [
        spec
        for spec in pipeline.definitions.resolve_asset_graph().asset_check_nodes
        if spec.key.name == "every_record_is_accounted_for"
    ]
    assert spec.blocking


def test_a_broken_declaration_of_formats_fails_the_run_with_its_message(pipeline: Pipeline) -> None:
    drop(pipeline.files, "formats.json", "[{]")
    result = pipeline.run()
    assert not result.success
    (failure,) = result.get_step_failure_events()
    assert failure.event_specific_data.user_failure_data is not None
    assert "formats.json is not valid" in str(failure.event_specific_data.user_failure_data.description)


def test_dbt_declares_the_columns_of_the_raw_tables() -> None:
    path = DBT_PROJECT_DIR / "models" / "staging" / "sales" / "_sales__sources.yml"
    (source,) = yaml.safe_load(path.read_text())["sources"]
    declared = {
        (table["name"], column["name"], column["data_type"]): column.get("config") == {"meta": {"pii": True}}
        for table in source["tables"]
        for column in table["columns"]
    }
    assert declared == {
        (table.name, column.name, column.type): column.privacy is Privacy.PERSONAL
        for table in SALES.tables
        for column in table.columns
    }
