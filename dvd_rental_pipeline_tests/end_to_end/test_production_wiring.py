"""Raw tables and their checks in production, with the resources built from settings, over real sockets.

Quick enough for every test run: no dbt, one process. test_production.py has the whole graph.
"""

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import dagster as dg
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from dvd_rental_pipeline.assembly.raw_assets import build_raw_assets
from dvd_rental_pipeline.assembly.resources import resource_factories
from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.ingestion.airbyte.client import AirbyteClient
from dvd_rental_pipeline.ingestion.airbyte.desired_config import desired_config
from dvd_rental_pipeline.ingestion.airbyte.plan import apply_plan, make_plan
from dvd_rental_pipeline.ingestion.postgres_cdc.setup.step import CaptureRole
from dvd_rental_pipeline.ingestion.postgres_cdc.setup.steps import apply_steps
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.pipelines.dvd_rental.pipeline import DVD_RENTAL_PIPELINE
from dvd_rental_pipeline.quality.raw_tables import build_replication_checks
from dvd_rental_pipeline.sample.dvd_rental.generator.generate import generate
from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres
from dvd_rental_pipeline_tests.end_to_end.ingestion_services import running_ingestion_services
from dvd_rental_pipeline_tests.end_to_end.run_result import assert_succeeded
from dvd_rental_pipeline_tests.ingestion.postgres_cdc.password_logins import password_logins
from dvd_rental_pipeline_tests.stand_ins.airbyte.server import AirbyteStandIn
from dvd_rental_pipeline_tests.stand_ins.aws import AwsStandIn
from dvd_rental_pipeline_tests.stand_ins.snowflake.stand_in import SnowflakeStandIn

COMMIT_LAG = {tier: freshness.commit_lag for tier, freshness in DVD_RENTAL_PIPELINE.tiers.items()}
CHECKS = build_replication_checks(DVD_RENTAL, COMMIT_LAG, "ingestion")


@dataclass
class ProductionIngestion:
    """The stand-ins, a connection to the source as its owner, and the environment of a task."""

    source: psycopg.Connection
    airbyte: AirbyteStandIn
    snowflake: SnowflakeStandIn
    environment: dict[str, str]
    instance: dg.DagsterInstance

    def run(self, *, sync: bool) -> dg.ExecuteInProcessResult:
        """Sync and check, or only check, as a process that starts with the environment."""
        with mock.patch.dict(os.environ, self.environment):
            no_dbt: Any = None
            factories = resource_factories(Settings.load(Path("/nonexistent")), no_dbt, [DVD_RENTAL_PIPELINE])
            everything = dg.AssetSelection.all()
            return dg.materialize(
                [build_raw_assets(DVD_RENTAL_PIPELINE), CHECKS],
                instance=self.instance,
                resources={name: factories[name]() for name in ("ingestion", "warehouse")},
                selection=everything if sync else dg.AssetSelection.all_asset_checks(),
                raise_on_error=False,
            )


@pytest.fixture(scope="module")
def production(
    postgres: EmbeddedPostgres, aws_server: AwsStandIn, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProductionIngestion]:
    folder, token = tmp_path_factory.mktemp("production"), secrets.token_hex(4)
    database, role = f"wiring_{token}", f"reader_{token}"
    owner_url = postgres.url(database)
    generate(owner_url, scale=0.02)
    with ExitStack() as stack:
        owner = stack.enter_context(psycopg.connect(owner_url, autocommit=True))
        stack.enter_context(password_logins(owner))
        server = conninfo_to_dict(owner_url)
        address = f"{server['host']}:{server['port']}/{database}"
        source = f"postgresql://{role}:planted-password@{address}?sslmode=disable"
        services = stack.enter_context(
            running_ingestion_services(
                folder,
                aws_server,
                schemas=[DVD_RENTAL.name],
                source_urls={"DVD_RENTAL_SOURCE_URL": source},
                slot=database,
            )
        )
        environment = services.environment
        with mock.patch.dict(os.environ, environment):
            loaded = Settings.load(Path("/nonexistent"))
            apply_steps(owner, DVD_RENTAL, CaptureRole.of_url(loaded.source_url.get_secret_value(), database))  # type: ignore[union-attr]
            client = AirbyteClient.from_settings(loaded)
            desired = desired_config(loaded, DVD_RENTAL, slot=database)
            connection_id = apply_plan(client, desired, make_plan(client, desired, None))
            environment["DVD_RENTAL_AIRBYTE_CONNECTION_ID"] = connection_id
        instance = stack.enter_context(dg.DagsterInstance.ephemeral())
        yield ProductionIngestion(owner, services.airbyte, services.snowflake, environment, instance)
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as server:
        server.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = %s", [role])
        server.execute(
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = %s",
            [database],
        )
        server.execute(f"drop database {database} with (force)")
        server.execute(f"drop role if exists {role}")
    aws_server.reset()


@pytest.fixture(scope="module")
def first_run(production: ProductionIngestion) -> dg.ExecuteInProcessResult:
    result = production.run(sync=True)
    assert_succeeded(result)
    return result


def failed_checks(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """The descriptions of the failed checks, by table and check."""
    return {
        f"{check.asset_key.path[-1]}:{check.check_name}": str(check.description)
        for check in result.get_asset_check_evaluations()
        if not check.passed
    }


def test_every_source_row_is_in_snowflake_and_every_check_passes(
    production: ProductionIngestion, first_run: dg.ExecuteInProcessResult
) -> None:
    assert failed_checks(first_run) == {}
    evaluations = first_run.get_asset_check_evaluations()
    evaluated = {dg.AssetCheckKey(check.asset_key, check.check_name) for check in evaluations}
    assert evaluated == {spec.key for spec in CHECKS.check_specs}

    def counts(schema: str) -> str:
        return " union all ".join(
            f"select '{table.name}', count(*) from {schema}.{table.name}" for table in DVD_RENTAL.tables
        )

    rows = dict(production.source.execute(counts("public")).fetchall())
    assert dict(production.snowflake.query(counts("dvd_rental"))) == rows
    event = first_run.asset_materializations_for_node("dvd_rental_ingestion")[0]
    assert event.metadata["airbyte_job_rows"].value


def test_column_sums_match_the_source_until_a_value_is_changed(
    production: ProductionIngestion, first_run: dg.ExecuteInProcessResult
) -> None:
    descriptions = {
        check.asset_key.path[-1]: str(check.description)
        for check in first_run.get_asset_check_evaluations()
        if check.check_name == "source_and_raw_agree"
    }
    assert all("every column has the same sum" in text for text in descriptions.values())
    update = (
        "update dvd_rental.payment set amount = amount + {}"
        " where payment_id = (select min(payment_id) from dvd_rental.payment)"
    )
    production.snowflake.query(update.format("0.01"))
    result = production.run(sync=False)
    production.snowflake.query(update.format("-0.01"))
    ((name, description),) = failed_checks(result).items()
    assert name == "payment:source_and_raw_agree"
    assert "other values in amount" in description


def test_every_statement_names_the_deployment_and_the_run(
    production: ProductionIngestion, first_run: dg.ExecuteInProcessResult
) -> None:
    tags = [
        json.loads(statement["query_tag"])
        for statement in production.snowflake.statements()
        if statement["user"] == "DVD_RENTAL_TRANSFORMER"
    ]
    assert {"app": "dvd_rental", "deployment": "production", "run": first_run.run_id} in tags


def test_a_stream_removed_from_the_connection_fails_the_checks(
    production: ProductionIngestion, first_run: dg.ExecuteInProcessResult
) -> None:
    (connection,) = production.airbyte.workspace.connections.values()
    streams = connection.streams
    try:
        connection.fields["configurations"]["streams"] = [
            stream for stream in streams if stream["name"] != "payment"
        ]
        connection.fields["schedule"] = {"scheduleType": "cron", "cronExpression": "0 0 * * * ?"}
        result = production.run(sync=False)
    finally:
        connection.fields["configurations"]["streams"] = streams
        connection.fields["schedule"] = {"scheduleType": "manual"}
    assert not result.success
    failed: dict[str, str] = failed_checks(result)
    assert failed.pop("payment:table_is_captured") == "The connection does not sync it."
    ((name, description),) = failed.items()
    assert name.endswith(":capture_matches_catalogue")
    assert "schedule.scheduleType is cron, should be manual" in description
