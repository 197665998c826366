"""New users in production: beside the rental tables, with a slot and a connection in Airbyte of their own."""

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
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.pipelines.dvd_rental.pipeline import DVD_RENTAL_PIPELINE
from dvd_rental_pipeline.pipelines.signups.assets import JOB, build_definitions
from dvd_rental_pipeline.pipelines.signups.catalog import SIGNUPS
from dvd_rental_pipeline.pipelines.signups.pipeline import SIGNUPS_CAPTURE, SIGNUPS_LOAD
from dvd_rental_pipeline.quality.raw_tables import build_replication_checks
from dvd_rental_pipeline.sample.dvd_rental.generator.generate import generate
from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres
from dvd_rental_pipeline.sample.signups_api.server import SignupsApi, running_signups_api
from dvd_rental_pipeline_tests.end_to_end.command_line import CommandLine
from dvd_rental_pipeline_tests.end_to_end.ingestion_services import running_ingestion_services
from dvd_rental_pipeline_tests.end_to_end.run_result import assert_succeeded
from dvd_rental_pipeline_tests.ingestion.postgres_cdc.password_logins import password_logins
from dvd_rental_pipeline_tests.stand_ins.airbyte.server import AirbyteStandIn
from dvd_rental_pipeline_tests.stand_ins.aws import AwsStandIn
from dvd_rental_pipeline_tests.stand_ins.snowflake.stand_in import SnowflakeStandIn

pytestmark = pytest.mark.heavy

PASSWORD = "planted-password"
PIPELINES = (DVD_RENTAL_PIPELINE, SIGNUPS_CAPTURE)
SIGNUPS_CHECKS = build_replication_checks(
    SIGNUPS,
    {tier: freshness.commit_lag for tier, freshness in SIGNUPS_CAPTURE.tiers.items()},
    SIGNUPS_CAPTURE.ingestion_key,
)


@dataclass
class Production:
    """The stand-ins, connections to both sources as their owner, and the environment of a task."""

    rentals: psycopg.Connection
    users: psycopg.Connection
    api: SignupsApi
    airbyte: AirbyteStandIn
    snowflake: SnowflakeStandIn
    environment: dict[str, str]
    slot: str
    command: CommandLine

    def run_job(self) -> dg.ExecuteInProcessResult:
        """Load the new users that are due, in a process with the environment."""
        with mock.patch.dict(os.environ, self.environment):
            settings = Settings.load(Path("/nonexistent"))
            resources = {key: make() for key, make in SIGNUPS_LOAD.resource_factories(settings).items()}
            definitions = dg.Definitions.merge(build_definitions(settings), dg.Definitions(resources=resources))
            return definitions.resolve_job_def(JOB).execute_in_process()

    def sync(self, *assets: dg.AssetsDefinition) -> dg.ExecuteInProcessResult:
        """Sync and check `assets`, in a process with the environment."""
        with mock.patch.dict(os.environ, self.environment):
            no_dbt: Any = None
            factories = resource_factories(Settings.load(Path("/nonexistent")), no_dbt, PIPELINES)
            keys = {key for each in assets for key in each.required_resource_keys} & set(factories)
            return dg.materialize(
                list(assets), resources={key: factories[key]() for key in keys}, raise_on_error=False
            )

    def ok(self, *arguments: str, **more: str) -> str:
        """Run a command, which must succeed; returns what it printed to stdout."""
        done = self.command.run(*arguments, **{**self.environment, **more})
        assert done.returncode == 0, f"{arguments} failed:\n{done.stdout}\n{done.stderr}"
        assert PASSWORD not in done.stdout + done.stderr
        return done.stdout

    def sync_users(self) -> dg.ExecuteInProcessResult:
        return self.sync(build_raw_assets(SIGNUPS_CAPTURE), SIGNUPS_CHECKS)

    def confirmed(self) -> dict[str, str]:
        """How far each slot of this test has been confirmed."""
        rows = self.users.execute(
            "select slot_name, confirmed_flush_lsn::text from pg_replication_slots"
            " where slot_name like %s order by 1",
            [f"{self.slot}%"],
        )
        return dict(rows.fetchall())


def admin_url(connection: psycopg.Connection) -> str:
    """The URL of a database for its administrator."""
    parts: dict[str, Any] = conninfo_to_dict(connection.info.dsn)
    address = f"{parts['host']}:{parts['port']}/{parts['dbname']}"
    return f"postgresql://{parts['user']}@{address}?passfile={parts['passfile']}"


@pytest.fixture(scope="module")
def production(
    postgres: EmbeddedPostgres, aws_server: AwsStandIn, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Production]:
    """Both sources on one server, with all services, before any set-up of the sources and of Airbyte."""
    folder, token = tmp_path_factory.mktemp("production"), secrets.token_hex(4)
    rentals, users = f"rentals_{token}", f"users_{token}"
    reader, writer = f"reader_{token}", f"writer_{token}"
    generate(postgres.url(rentals), scale=0.02)
    with ExitStack() as stack:
        with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
            admin.execute(f"create database {users} template template0")
            admin.execute(f"create role {writer} login password '{PASSWORD}'")
            admin.execute(f"grant create on database {users} to {writer}")
        owners = [
            stack.enter_context(psycopg.connect(postgres.url(database), autocommit=True))
            for database in (rentals, users)
        ]
        stack.enter_context(password_logins(owners[0]))
        server = conninfo_to_dict(postgres.url(rentals))
        address = f"{PASSWORD}@{server['host']}:{server['port']}"
        services = stack.enter_context(
            running_ingestion_services(
                folder,
                aws_server,
                schemas=[pipeline.domain.name for pipeline in PIPELINES],
                source_urls={
                    "DVD_RENTAL_SOURCE_URL": f"postgresql://{reader}:{address}/{rentals}?sslmode=disable",
                    "DVD_RENTAL_SIGNUPS_DATABASE_URL": f"postgresql://{writer}:{address}/{users}?sslmode=disable",
                },
                slot=token,
            )
        )
        api = stack.enter_context(running_signups_api())
        environment = {
            **services.environment,
            "DVD_RENTAL_SIGNUPS_API_URL": api.url,
            "DVD_RENTAL_SIGNUPS_BATCH_SIZE": "50",
        }
        command = CommandLine(folder / "home")
        yield Production(*owners, api, services.airbyte, services.snowflake, environment, token, command)
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
        for database in (rentals, users):
            admin.execute(
                "select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = %s", [database]
            )
            admin.execute(
                "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = %s",
                [database],
            )
            admin.execute(f"drop database {database} with (force)")
        for role in (reader, writer):
            admin.execute(f"drop role if exists {role}")
    aws_server.reset()


@pytest.fixture(scope="module")
def set_up(production: Production) -> Production:
    """After the steps of the guide, in its order."""
    environment = production.environment
    assert production.run_job().success
    production.ok("source", "setup", "apply", DVD_RENTAL_SOURCE_ADMIN_URL=admin_url(production.rentals))
    for_users = {"DVD_RENTAL_SOURCE_ADMIN_URL": admin_url(production.users)}
    production.ok("source", "setup", "apply", "--pipeline", "signups", **for_users)
    assert production.ok("source", "setup", "plan", "--sql", "--pipeline", "signups", **for_users) == ""
    planned = production.command.run("airbyte", "plan", **environment)
    assert planned.returncode == 2, planned.stdout + planned.stderr
    assert planned.stdout.count("to be created") == 6
    assert PASSWORD not in planned.stdout + planned.stderr
    lines = production.ok("airbyte", "apply").splitlines()
    environment |= dict(line.split("=", 1) for line in lines if line.startswith("DVD_RENTAL_"))
    return production


def test_each_pipeline_has_a_slot_and_a_connection_of_its_own(set_up: Production) -> None:
    slots = [set_up.slot, f"{set_up.slot}_signups"]
    assert sorted(set_up.confirmed()) == slots
    workspace = set_up.airbyte.workspace
    methods = [source.configuration["replication_method"] for source in workspace.sources.values()]
    assert [method["replication_slot"] for method in methods] == slots
    assert [method["publication"] for method in methods] == slots
    assert [connection.fields["namespaceFormat"] for connection in workspace.connections.values()] == [
        "DVD_RENTAL",
        "SIGNUPS",
    ]
    assert list(workspace.connections) == [
        set_up.environment[f"DVD_RENTAL_{name}AIRBYTE_CONNECTION_ID"] for name in ("", "SIGNUPS_")
    ]
    assert set_up.ok("airbyte", "plan").count("up to date") == 6


def test_both_sources_reach_snowflake(set_up: Production) -> None:
    assert_succeeded(set_up.sync(build_raw_assets(DVD_RENTAL_PIPELINE)))
    synced = set_up.sync_users()
    assert_succeeded(synced)
    evaluations = synced.get_asset_check_evaluations()
    assert {evaluation.check_name for evaluation in evaluations} == {
        spec.name for spec in SIGNUPS_CHECKS.check_specs
    }
    assert [evaluation for evaluation in evaluations if not evaluation.passed] == []
    for source, schema, domain in (
        (set_up.rentals, "public", DVD_RENTAL),
        (set_up.users, "signups", SIGNUPS),
    ):
        for table in domain.tables:
            rows = source.execute(f"select count(*) from {schema}.{table.name}").fetchall()
            counted = set_up.snowflake.query(f"select count(*) from {domain.name}.{table.name}")
            assert [(int(count),) for (count,) in counted] == rows, table.name
            assert rows != [(0,)]


def test_a_sync_of_new_users_leaves_the_slot_of_the_rental_tables(set_up: Production) -> None:
    set_up.users.execute("update signups.loaded_batches set minute = minute - interval '2 minutes'")
    assert set_up.run_job().success
    before = set_up.confirmed()
    assert_succeeded(set_up.sync_users())
    set_up.users.execute("update signups.users set city = 'Elsewhere' where nationality = 'DE'")
    # The source confirms what a sync delivered when the next one starts.
    assert_succeeded(set_up.sync_users())
    after = set_up.confirmed()
    assert after[set_up.slot] == before[set_up.slot]
    assert after[f"{set_up.slot}_signups"] != before[f"{set_up.slot}_signups"]
    query = "select user_uuid::text, city from signups.users order by 1"
    expected = set_up.users.execute(query).fetchall()
    assert len(expected) > 50
    assert [tuple(row) for row in set_up.snowflake.query(query)] == expected
