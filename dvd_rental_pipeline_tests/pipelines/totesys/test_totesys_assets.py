"""The pipeline in Dagster: from nothing to the warehouse, its checks, sensor, schedules, backfill and log."""

import json
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import boto3
import dagster as dg
import duckdb
import psycopg
import pytest
import yaml
from dagster import build_schedule_context, build_sensor_context

from dvd_rental_pipeline.core.settings import DBT_PROJECT_DIR, Deployment, Settings
from dvd_rental_pipeline.pipelines.totesys import assets, automation, checks
from dvd_rental_pipeline.pipelines.totesys.lake import build_lake
from dvd_rental_pipeline.pipelines.totesys.star import STAR
from dvd_rental_pipeline.runs.log import PersistentCloudWatchHandler, build_run_log
from dvd_rental_pipeline.sample.totesys.traffic import simulate
from dvd_rental_pipeline.warehouse.resource import build_warehouse_resource
from dvd_rental_pipeline_tests.stand_ins.aws import AwsStandIn

LOG_GROUP = "/totesys/runs"


@pytest.fixture
def totesys_settings(source_url: str, tmp_path: Path) -> Iterator[Settings]:
    with mock.patch.dict(os.environ):
        settings = Settings(home=tmp_path, totesys_source_url=source_url)  # type: ignore[arg-type]
        settings.export()
        yield settings


@pytest.fixture
def after_a_run(loaded_folder: Path, totesys_settings: Settings) -> None:
    """The lake and the warehouse of a run of all steps."""
    for zone in ("landing", "processed"):
        shutil.copytree(loaded_folder / zone, totesys_settings.home / "lake" / zone)
    shutil.copyfile(loaded_folder / "warehouse.duckdb", totesys_settings.warehouse_path)


@pytest.fixture
def definitions(totesys_settings: Settings) -> dg.Definitions:
    return dg.Definitions(
        assets=[assets.ingestion, assets.transformation, assets.loading],
        asset_checks=checks.build_checks(),
        jobs=[*automation.JOBS, automation.backfill],
        resources={
            "totesys_lake": build_lake(totesys_settings),
            "warehouse": build_warehouse_resource(totesys_settings),
        },
        executor=dg.in_process_executor,
    )


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def run(definitions: dg.Definitions, instance: dg.DagsterInstance, job: str) -> dg.ExecuteInProcessResult:
    return definitions.resolve_job_def(job).execute_in_process(instance=instance, raise_on_error=False)


def failed_checks(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    return {
        f"{each.asset_key.to_user_string()}:{each.check_name}": str(each.description)
        for each in result.get_asset_check_evaluations()
        if not each.passed
    }


def test_whole_job_fills_the_warehouse_and_passes_its_checks(
    definitions: dg.Definitions, instance: dg.DagsterInstance, totesys_settings: Settings, source_url: str
) -> None:
    first = run(definitions, instance, "totesys")
    assert first.success
    assert set(failed_checks(first)) <= {
        "totesys_processed/fact_sales_order:quarantine_is_empty",
        "totesys_processed/fact_payment:quarantine_is_empty",
        "totesys_processed/fact_purchase_orders:quarantine_is_empty",
    }
    assert len(first.get_asset_check_evaluations()) == 11 + 10 + 6 + 16 + 1
    simulate(source_url, events=30, seed=8)
    second = run(definitions, instance, "totesys")

    (sales,) = [
        event.materialization
        for event in second.get_asset_materialization_events()
        if event.asset_key == dg.AssetKey(["totesys", "fact_payment"])
        for event in [event.step_materialization_data]
    ]
    assert sales.metadata["rows_loaded"].value > 0
    assert 0 <= float(str(sales.metadata["latency_minutes"].value)) < 30
    assert not [check for check in failed_checks(second) if "latency" in check]


@pytest.mark.usefixtures("after_a_run")
def test_checks_find_what_they_are_for(
    definitions: dg.Definitions, instance: dg.DagsterInstance, totesys_settings: Settings, source_url: str
) -> None:
    with psycopg.connect(source_url, autocommit=True) as source:
        source.execute("delete from payment where payment_id = (select max(payment_id) from payment)")
    with duckdb.connect(str(totesys_settings.warehouse_path)) as warehouse:
        warehouse.execute("delete from totesys.dim_transaction where transaction_id = 3")
        warehouse.execute("update totesys.fact_payment set payment_amount = 1 where payment_id = 5")
        warehouse.execute("update totesys.dim_date set day_of_week = 7 where date_id = '2026-06-01'")
        warehouse.execute("insert into totesys.dim_design select * from totesys.dim_design where design_id = 1")
        warehouse.execute("update totesys_lake.loaded_run set latency_seconds = 3600 where sequence = 1")
    keys = definitions.resolve_asset_graph().asset_check_keys
    job = definitions.resolve_implicit_global_asset_job_def().get_subset(
        asset_selection=set(), asset_check_selection=keys
    )
    found = failed_checks(job.execute_in_process(instance=instance, raise_on_error=False))

    assert {name for name in found if "quarantine" not in name} >= {
        "totesys_landing/payment:landing_equals_source",
        "totesys/fact_payment:amount_is_quantity_times_price",
        "totesys/dim_date:monday_is_1",
        "totesys/dim_design:primary_key_is_unique",
        "totesys/fact_sales_order:latency_is_short",
    }
    assert any("one_transaction" in name for name in found)


def test_sensor_requests_a_run_when_a_manifest_is_complete(
    definitions: dg.Definitions, instance: dg.DagsterInstance, totesys_settings: Settings
) -> None:
    lake = build_lake(totesys_settings)

    def evaluate() -> dg.RunRequest | dg.SkipReason:
        with build_sensor_context(instance, resources={"totesys_lake": lake}) as context:
            result = automation.landed_run_sensor(context)
        assert isinstance(result, dg.RunRequest | dg.SkipReason)
        return result

    nothing = evaluate()
    run(definitions, instance, automation.INGESTION)
    requested = evaluate()
    run(definitions, instance, automation.TRANSFORMATION)

    assert "Nothing has landed" in str(nothing)
    assert isinstance(requested, dg.RunRequest)
    assert isinstance(evaluate(), dg.SkipReason)


def test_schedules_wait_for_the_first_run(definitions: dg.Definitions) -> None:
    with dg.instance_for_test() as instance:

        def requests() -> list[int]:
            with build_schedule_context(instance, scheduled_execution_time=datetime.now(UTC)) as context:
                ticks = [schedule.evaluate_tick(context) for schedule in automation.SCHEDULES]
            return [len(tick.run_requests or ()) for tick in ticks]

        assert requests() == [0, 0, 0]
        run(definitions, instance, automation.INGESTION)
        assert requests() == [1, 1, 1]


@pytest.mark.usefixtures("after_a_run")
def test_backfill_rebuilds_a_day_from_landing(
    definitions: dg.Definitions, instance: dg.DagsterInstance, totesys_settings: Settings
) -> None:
    lake = build_lake(totesys_settings)
    (landed,) = lake.landing_zone.manifests()
    before = lake.processed_zone.runs()
    for file in before[0].files:
        lake.processed_zone.store.delete(file.key)
    result = definitions.resolve_job_def(automation.BACKFILL).execute_in_process(
        instance=instance, partition_key=landed.day.isoformat()
    )

    assert result.success
    assert lake.processed_zone.runs() == before
    assert all(lake.processed_zone.store.read(file.key) for file in before[0].files)


@pytest.fixture
def logged_instance(tmp_path: Path, aws: AwsStandIn) -> Iterator[dg.DagsterInstance]:
    """An instance that logs runs as production does: as JSON to CloudWatch Logs."""
    boto3.client("logs").create_log_group(logGroupName=LOG_GROUP)
    os.environ["DVD_RENTAL_LOG_GROUP"] = LOG_GROUP
    build_run_log.cache_clear()
    handlers = {"run_log": {"()": "dvd_rental_pipeline.runs.log.build_run_log"}}
    logs = {"python_logs": {"dagster_handler_config": {"handlers": handlers}}}
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster"), overrides=logs) as instance:
        yield instance
    build_run_log.cache_clear()


def in_cloudwatch() -> list[dict[str, Any]]:
    handler = build_run_log()
    assert isinstance(handler, PersistentCloudWatchHandler)
    handler.send_queued()
    events = boto3.client("logs").filter_log_events(logGroupName=LOG_GROUP)["events"]
    return [json.loads(event["message"]) for event in events]


@pytest.mark.slow
def test_steps_log_their_figures_to_cloudwatch(
    definitions: dg.Definitions, totesys_settings: Settings, logged_instance: dg.DagsterInstance
) -> None:
    landed = run(definitions, logged_instance, automation.INGESTION)
    transformed = run(definitions, logged_instance, automation.TRANSFORMATION)
    lines = in_cloudwatch()

    (staff,) = [line for line in lines if line.get("table") == "staff" and "read" in line]
    assert staff["rows"] == staff["read"] == 20
    assert staff["run_id"] == landed.run_id
    assert isinstance(staff["seconds"], float)
    processed = [line for line in lines if line.get("run_id") == transformed.run_id and "landed_run" in line]
    assert {"fact_payment", "dim_staff"} <= {line["table"] for line in processed}


def test_failed_ingestion_is_in_cloudwatch_without_the_password(
    definitions: dg.Definitions, totesys_settings: Settings, logged_instance: dg.DagsterInstance
) -> None:
    os.environ["DVD_RENTAL_TOTESYS_SOURCE_URL"] = "postgresql://reader:planted-secret@127.0.0.1:1/totesys"
    run(definitions, logged_instance, automation.INGESTION)
    lines = in_cloudwatch()

    # The alarm runs_fail counts these lines.
    assert [line for line in lines if line.get("event") == "RUN_FAILURE"]
    (failed,) = [line for line in lines if line.get("event") == "STEP_FAILURE"]
    assert "Cannot reach the source PostgreSQL" in json.dumps(failed)
    assert "planted-secret" not in json.dumps(lines)


def test_unreachable_source_is_one_message_without_the_password(
    definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    os.environ["DVD_RENTAL_TOTESYS_SOURCE_URL"] = "postgresql://reader:planted-secret@127.0.0.1:1/totesys"
    result = run(definitions, instance, automation.INGESTION)

    assert not result.success
    failure = next(event for event in result.all_events if event.is_step_failure)
    assert "Cannot reach the source PostgreSQL at 127.0.0.1:1/totesys" in str(
        failure.step_failure_data.user_failure_data
    )
    assert "planted-secret" not in str(result.all_events)


def test_branch_deployment_writes_nothing(totesys_settings: Settings) -> None:
    branch = totesys_settings.model_copy(update={"deployment": Deployment.BRANCH})
    for step in (assets.ingestion, assets.transformation, assets.loading):
        result = dg.materialize(
            [step],
            resources={
                "totesys_lake": build_lake(branch),
                "warehouse": build_warehouse_resource(totesys_settings),
            },
            raise_on_error=False,
        )
        failure = next(event for event in result.all_events if event.is_step_failure)
        assert "branch deployment" in str(failure.step_failure_data.user_failure_data)
    assert not (totesys_settings.home / "lake").exists()


def test_dbt_sources_are_the_tables_of_the_star() -> None:
    file = DBT_PROJECT_DIR / "models" / "staging" / "totesys" / "_totesys__sources.yml"
    sources = {source["name"]: source for source in yaml.safe_load(file.read_text(encoding="utf-8"))["sources"]}

    assert {
        table["name"]: [(column["name"], column["description"]) for column in table["columns"]]
        for table in sources["totesys"]["tables"]
    } == {
        table.name: [(column.name, column.description) for column in table.warehouse_columns] for table in STAR
    }
