"""The first half of the graph in production, with the resources that its settings make, over real sockets.

Quick enough for every run of the tests: no dbt, and one process. The whole of it is in test_production.py.
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

import boto3
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
from dvd_rental_pipeline_tests.end_to_end.production_site import DestinationAsConfigured
from dvd_rental_pipeline_tests.ingestion.postgres_cdc.password_logins import password_logins
from dvd_rental_pipeline_tests.stand_ins.airbyte.server import AirbyteStandIn
from dvd_rental_pipeline_tests.stand_ins.aws import REGION, AwsStandIn
from dvd_rental_pipeline_tests.stand_ins.snowflake.stand_in import SnowflakeStandIn

SECRET = "dvd-rental/settings"
PASSPHRASE = "planted-passphrase"


@dataclass
class Production:
    """The services, the source as its owner sees it, and the environment of a task."""

    source: psycopg.Connection
    airbyte: AirbyteStandIn
    snowflake: SnowflakeStandIn
    environment: dict[str, str]
    instance: dg.DagsterInstance

    def run(self, *, sync: bool) -> dg.ExecuteInProcessResult:
        """Sync and check, or check alone, as a process that begins with the environment."""
        with mock.patch.dict(os.environ, self.environment):
            no_dbt: Any = None
            made = resource_factories(Settings.load(Path("/nonexistent")), no_dbt, [DVD_RENTAL_PIPELINE])
            lag = {tier: freshness.commit_lag for tier, freshness in DVD_RENTAL_PIPELINE.tiers.items()}
            everything = dg.AssetSelection.all()
            return dg.materialize(
                [build_raw_assets(DVD_RENTAL_PIPELINE), build_replication_checks(DVD_RENTAL, lag, "ingestion")],
                instance=self.instance,
                resources={name: made[name]() for name in ("ingestion", "warehouse")},
                selection=everything if sync else dg.AssetSelection.all_asset_checks(),
                raise_on_error=False,
            )


@pytest.fixture(scope="module")
def production(
    postgres: EmbeddedPostgres, aws_server: AwsStandIn, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Production]:
    folder, token = tmp_path_factory.mktemp("production"), secrets.token_hex(4)
    database, role = f"wiring_{token}", f"reader_{token}"
    owner_url = postgres.url(database)
    generate(owner_url, scale=0.02)
    with ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ, aws_server.environment()))
        owner = stack.enter_context(psycopg.connect(owner_url, autocommit=True))
        stack.enter_context(password_logins(owner))
        snowflake = stack.enter_context(
            SnowflakeStandIn(folder / "snowflake", users=["ADMIN", "AIRBYTE", "DVD_RENTAL_TRANSFORMER"])
        )
        # The rest of the account is for test_production.py: to make it takes longer than these tests.
        with snowflake.connect(database=None) as admin, admin.cursor() as cursor:
            cursor.execute("create database dvd_rentals")
            cursor.execute("create schema dvd_rentals.dvd_rental")
        snowflake.write_key(folder / "key.p8", PASSPHRASE)
        destination = DestinationAsConfigured(snowflake)
        airbyte = stack.enter_context(AirbyteStandIn(destination).running())
        destination.workspace = airbyte.workspace
        given = conninfo_to_dict(owner_url)
        place = f"{given['host']}:{given['port']}/{database}"
        settings = boto3.client("secretsmanager", endpoint_url=aws_server.endpoint, region_name=REGION)
        settings.create_secret(
            Name=SECRET,
            SecretString=json.dumps(
                {
                    "DVD_RENTAL_SOURCE_URL": f"postgresql://{role}:planted-password@{place}?sslmode=disable",
                    "DVD_RENTAL_AIRBYTE_CLIENT_SECRET": "client-secret",
                    "DVD_RENTAL_AIRBYTE_DESTINATION_KEY_PASSPHRASE": PASSPHRASE,
                    "DVD_RENTAL_SNOWFLAKE_PRIVATE_KEY": (folder / "key.p8").read_text(),
                    "DVD_RENTAL_SNOWFLAKE_PRIVATE_KEY_PASSPHRASE": PASSPHRASE,
                }
            ),
        )
        environment = {
            **aws_server.environment(),
            **snowflake.environment("DVD_RENTAL_TRANSFORMER"),
            "DVD_RENTAL_HOME": str(folder / "home"),
            "DVD_RENTAL_DEPLOYMENT": "production",
            "DVD_RENTAL_SECRETS": f"secretsmanager://{SECRET}",
            "DVD_RENTAL_REPLICATION_SLOT": database,
            "DVD_RENTAL_AIRBYTE_URL": airbyte.url,
            "DVD_RENTAL_AIRBYTE_WORKSPACE_ID": airbyte.workspace.id,
            "DVD_RENTAL_AIRBYTE_CLIENT_ID": "client",
            "DVD_RENTAL_AIRBYTE_POLL_INTERVAL": "0.1",
            "DVD_RENTAL_AIRBYTE_DESTINATION_HOST": f"{snowflake.environment()['DVD_RENTAL_SNOWFLAKE_ACCOUNT']}"
            ".snowflakecomputing.com",
            "DVD_RENTAL_AIRBYTE_DESTINATION_KEY_PATH": str(folder / "key.p8"),
        }
        del environment["DVD_RENTAL_SNOWFLAKE_PRIVATE_KEY_PATH"]
        with mock.patch.dict(os.environ, environment):
            loaded = Settings.load(Path("/nonexistent"))
            apply_steps(owner, DVD_RENTAL, CaptureRole.of_url(loaded.source_url.get_secret_value(), database))  # type: ignore[union-attr]
            client = AirbyteClient.from_settings(loaded)
            desired = desired_config(loaded, DVD_RENTAL, slot=database)
            connection_id = apply_plan(client, desired, make_plan(client, desired, None))
            environment["DVD_RENTAL_AIRBYTE_CONNECTION_ID"] = connection_id
        instance = stack.enter_context(dg.DagsterInstance.ephemeral())
        yield Production(owner, airbyte, snowflake, environment, instance)
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
def first_run(production: Production) -> dg.ExecuteInProcessResult:
    result = production.run(sync=True)
    assert result.success
    return result


def failed(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """What the checks that did not pass say, by table and check."""
    return {
        f"{check.asset_key.path[-1]}:{check.check_name}": str(check.description)
        for check in result.get_asset_check_evaluations()
        if not check.passed
    }


def test_every_row_of_the_source_comes_to_snowflake_and_every_check_passes(
    production: Production, first_run: dg.ExecuteInProcessResult
) -> None:
    assert failed(first_run) == {}
    assert len(first_run.get_asset_check_evaluations()) > 100

    def counts(schema: str) -> str:
        return " union all ".join(
            f"select '{table.name}', count(*) from {schema}.{table.name}" for table in DVD_RENTAL.tables
        )

    rows = dict(production.source.execute(counts("public")).fetchall())
    assert dict(production.snowflake.query(counts("dvd_rental"))) == rows
    event = first_run.asset_materializations_for_node("dvd_rental_ingestion")[0]
    assert event.metadata["airbyte_job_rows"].value


def test_what_airbyte_wrote_has_the_sums_of_the_source_until_somebody_changes_a_value(
    production: Production, first_run: dg.ExecuteInProcessResult
) -> None:
    said = {
        check.asset_key.path[-1]: str(check.description)
        for check in first_run.get_asset_check_evaluations()
        if check.check_name == "source_and_raw_agree"
    }
    assert all("every column adds up to the same" in told for told in said.values())
    one = "update dvd_rental.payment set amount = amount + {} where payment_id = (select min(payment_id) from"
    one += " dvd_rental.payment)"
    production.snowflake.query(one.format("0.01"))
    result = production.run(sync=False)
    production.snowflake.query(one.format("-0.01"))
    ((name, told),) = failed(result).items()
    assert name == "payment:source_and_raw_agree"
    assert "other values in amount" in told


def test_every_statement_names_the_deployment_and_the_run(
    production: Production, first_run: dg.ExecuteInProcessResult
) -> None:
    tags = [
        json.loads(each["query_tag"])
        for each in production.snowflake.statements()
        if each["user"] == "DVD_RENTAL_TRANSFORMER"
    ]
    assert {"app": "dvd_rental", "deployment": "production", "run": first_run.run_id} in tags


def test_a_stream_that_somebody_took_from_the_connection_stops_what_is_built_on_its_table(
    production: Production, first_run: dg.ExecuteInProcessResult
) -> None:
    (connection,) = production.airbyte.workspace.connections.values()
    streams = connection.streams
    try:
        connection.fields["configurations"]["streams"] = [one for one in streams if one["name"] != "payment"]
        connection.fields["schedule"] = {"scheduleType": "cron", "cronExpression": "0 0 * * * ?"}
        result = production.run(sync=False)
    finally:
        connection.fields["configurations"]["streams"] = streams
        connection.fields["schedule"] = {"scheduleType": "manual"}
    assert not result.success
    told: dict[str, Any] = failed(result)
    assert told.pop("payment:table_is_captured") == "The connection does not sync it."
    ((name, shared),) = told.items()
    assert name.endswith(":capture_matches_catalogue")
    assert "schedule.scheduleType is cron, should be manual" in shared
