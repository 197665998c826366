"""The graph on Snowflake: dbt and the warehouse resource in a run, over HTTP, with and without faults."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dvd_rental_pipeline.core.settings import DBT_PROJECT_DIR, Deployment, Settings
from dvd_rental_pipeline.definitions import build_definitions
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.transform.dbt_resource import build_dbt_resource
from dvd_rental_pipeline.transform.project import load_dbt_project
from dvd_rental_pipeline.warehouse.errors import WarehouseError
from dvd_rental_pipeline.warehouse.resource import build_warehouse_resource
from dvd_rental_pipeline.warehouse.snowflake_resource import SnowflakeWarehouseResource
from dvd_rental_pipeline_tests.dbt_models.raw_tables import RawTables, fill
from dvd_rental_pipeline_tests.forked_programs import forked_dbt
from dvd_rental_pipeline_tests.parsed_project import ParsedProject
from dvd_rental_pipeline_tests.stand_ins.snowflake import airbyte_tables
from dvd_rental_pipeline_tests.stand_ins.snowflake.stand_in import SnowflakeStandIn, set_up
from dvd_rental_pipeline_tests.test_definitions import NoIngestion

SELECTED = [
    dg.AssetKey(["staging", "stg_dvd_rental__actor"]),
    dg.AssetKey(["staging", "stg_dvd_rental__film_actor"]),
    dg.AssetKey(["marts", "dim_actor"]),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SnowflakeStandIn]:
    raw = RawTables(tmp_path_factory.mktemp("replica"))
    fill(raw)
    raw.close()
    with SnowflakeStandIn(tmp_path_factory.mktemp("snowflake")) as server:
        set_up(server)
        with server.connect() as connection:
            airbyte_tables.load(connection, DVD_RENTAL, raw.home / "warehouse.duckdb")
        yield server


@pytest.fixture(scope="module")
def home(parsed_project: ParsedProject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return parsed_project.prepare(tmp_path_factory.mktemp("home"), Deployment.PRODUCTION)


def settings_of(server: SnowflakeStandIn, home: Path, monkeypatch: pytest.MonkeyPatch, **more: str) -> Settings:
    environment = server.environment() | {"DVD_RENTAL_HOME": str(home), "DVD_RENTAL_DEPLOYMENT": "production"}
    # The key itself, as Secrets Manager gives it: the harder one to keep secret.
    del environment["DVD_RENTAL_SNOWFLAKE_PRIVATE_KEY_PATH"]
    environment["DVD_RENTAL_SNOWFLAKE_PRIVATE_KEY"] = server.private_key_path.read_text()
    for name, value in {**environment, **more}.items():
        monkeypatch.setenv(name, value)
    return Settings.load(Path("/none"))


@pytest.fixture
def settings(server: SnowflakeStandIn, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    yield settings_of(server, home, monkeypatch)
    server.clear_faults()


def run(settings: Settings, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    with forked_dbt():
        definitions = build_definitions(settings, resource_overrides={"ingestion": NoIngestion()})
    job = definitions.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(instance=instance, asset_selection=SELECTED, raise_on_error=False)


@pytest.mark.slow
def test_a_run_builds_and_counts_tags_its_statements_and_logs_no_secret(
    settings: Settings, server: SnowflakeStandIn
) -> None:
    with dg.instance_for_test() as instance:
        result = run(settings, instance)
        assert result.success
        counts = {
            event.asset_key.to_user_string(): event.materialization.metadata.get("dagster/row_count")
            for event in result.get_asset_materialization_events()
            if event.asset_key
        }
        log = "".join(
            record.event_log_entry.to_json() for record in instance.get_records_for_run(result.run_id).records
        )
    assert counts["marts/dim_actor"] == dg.MetadataValue.int(1)
    assert counts["staging/stg_dvd_rental__actor"] is None, "a view is not counted"
    secret = server.private_key_path.read_text().splitlines()[1]
    assert secret not in log
    statements = server.statements()
    assert not any(secret in each["sql"] for each in statements)
    built = [each for each in statements if "create or replace transient table" in each["sql"].lower()]
    run_tag = {"app": "dvd_rental", "deployment": "production", "run": result.run_id}
    assert {**run_tag, "asset": "marts/dim_actor"} in [json.loads(each["query_tag"]) for each in built]
    counted = [
        each for each in statements if "count(*) from dvd_rentals.marts.dim_actor" in each["sql"].lower()
    ]
    assert {**run_tag, "asset": "marts/dim_actor"} in [json.loads(each["query_tag"]) for each in counted]
    queried = [each for each in statements if "max(cast(committed" in each["sql"]]
    assert run_tag in [json.loads(each["query_tag"]) for each in queried], "queries of the pipeline itself"
    masked = [each["sql"] for each in statements if "set masking policy" in each["sql"]]
    assert not masked, "these three models have no personal column"


@pytest.mark.heavy
def test_a_branch_builds_in_its_own_schemas(
    server: SnowflakeStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(
        server,
        tmp_path,
        monkeypatch,
        DVD_RENTAL_DEPLOYMENT="branch",
        DAGSTER_CLOUD_GIT_BRANCH="feature/New-Report",
    )
    with dg.instance_for_test() as instance:
        result = run(settings, instance)
    assert result.success
    assert server.query("select count(*) from DVD_RENTALS.feature_new_report_marts.dim_actor") == [(1,)]
    counts = [
        event.materialization.metadata["dagster/row_count"].value
        for event in result.get_asset_materialization_events()
        if "dagster/row_count" in event.materialization.metadata
    ]
    assert counts == [1]


@pytest.mark.heavy
def test_dbt_ends_in_bounded_time_when_snowflake_keeps_failing(
    server: SnowflakeStandIn, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(
        server,
        home,
        monkeypatch,
        DVD_RENTAL_SNOWFLAKE_STATEMENT_TIMEOUT="5",
        DVD_RENTAL_SNOWFLAKE_LOGIN_TIMEOUT="5",
    )
    resource = build_dbt_resource(load_dbt_project(settings))
    server.fail(10_000, path="/queries")
    started = time.monotonic()
    done = subprocess.run(
        [resource.dbt_executable, "run", "--select", "dim_actor", "--target", "production"],
        cwd=DBT_PROJECT_DIR,
        env={
            **os.environ,
            "DBT_PROFILES_DIR": str(DBT_PROJECT_DIR),
            "DBT_LOG_PATH": str(home),
            "NO_COLOR": "1",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    server.clear_faults()
    assert done.returncode != 0
    assert time.monotonic() - started < 90
    assert "500" in done.stdout


@pytest.mark.heavy
def test_failing_row_counts_do_not_fail_the_build(
    settings: Settings, server: SnowflakeStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: SnowflakeWarehouseResource, sql: str) -> Any:
        raise WarehouseError("Snowflake is unavailable")

    monkeypatch.setattr(SnowflakeWarehouseResource, "query", refuse)
    with dg.instance_for_test() as instance:
        result = run(settings, instance)
    assert result.success
    assert len(result.get_asset_materialization_events()) == len(SELECTED)


def test_every_setting_reaches_the_warehouse_with_secrets_by_reference(settings: Settings) -> None:
    changed = settings.model_copy(
        update={
            "snowflake_role": "SOME_ROLE",
            "snowflake_warehouse": "SOME_WAREHOUSE",
            "snowflake_database": "SOME_DATABASE",
            "snowflake_login_timeout": 7,
            "snowflake_statement_timeout": 8,
        }
    )
    changed.export()
    warehouse = build_warehouse_resource(changed)
    assert isinstance(warehouse, SnowflakeWarehouseResource)
    for name in SnowflakeWarehouseResource.login_settings():
        value = getattr(changed, f"snowflake_{name}")
        if name == "private_key":
            assert isinstance(warehouse.private_key, dg.EnvVar)
        else:
            assert getattr(warehouse, name) == value, name
    resolved = warehouse.process_config_and_initialize()
    assert resolved.to_warehouse().login.key == changed.snowflake_private_key.get_secret_value()  # type: ignore[union-attr]
    assert "PRIVATE KEY-----" not in repr(resolved)


def test_a_lock_never_waits(settings: Settings) -> None:
    warehouse = build_warehouse_resource(settings)
    messages: list[str] = []
    with warehouse.lock(["dvd_rental"], messages.append), warehouse.lock(["dvd_rental"], messages.append):
        assert messages == []
