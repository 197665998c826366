"""From an unprepared PostgreSQL and an empty Airbyte to tables, with minimal privileges."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from dagster_airbyte import AirbyteWorkspace
from psycopg.conninfo import conninfo_to_dict

from dvd_rental_pipeline.ingestion.airbyte.client import AirbyteClient
from dvd_rental_pipeline.ingestion.airbyte.desired_config import desired_config
from dvd_rental_pipeline.ingestion.airbyte.plan import apply_plan, make_plan
from dvd_rental_pipeline.ingestion.airbyte.resource import AirbyteIngestion
from dvd_rental_pipeline.ingestion.postgres_cdc.setup.step import CaptureRole
from dvd_rental_pipeline.ingestion.postgres_cdc.setup.steps import apply_steps
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.sample.dvd_rental.generator.generate import generate
from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres
from dvd_rental_pipeline.warehouse.resource import DuckDBWarehouseResource
from dvd_rental_pipeline_tests.ingestion.postgres_cdc.password_logins import password_logins
from dvd_rental_pipeline_tests.recorded_log import RecordedLog
from dvd_rental_pipeline_tests.stand_ins.airbyte.destinations import DuckDBDestination
from dvd_rental_pipeline_tests.stand_ins.airbyte.server import AirbyteStandIn


@pytest.fixture
def reader_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """URL of a database with sample data, for a role that does not exist yet."""
    token = secrets.token_hex(4)
    url = postgres.url(f"unprepared_{token}")
    generate(url, scale=0.02)
    parts = conninfo_to_dict(url)
    role = f"reader_{token}"
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as server:
        with password_logins(server):
            address = f"{parts['host']}:{parts['port']}/{parts['dbname']}"
            yield f"postgresql://{role}:planted-password@{address}?sslmode=disable"
        server.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = %s", [role])
        server.execute(
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = %s",
            [parts["dbname"]],
        )
        server.execute(f"drop database {parts['dbname']} with (force)")
        server.execute(f"drop role if exists {role}")


def test_set_up_apply_and_sync(
    postgres: EmbeddedPostgres, reader_url: str, settings_with: Any, tmp_path: Path
) -> None:
    warehouse = tmp_path / "warehouse.duckdb"
    name = str(conninfo_to_dict(reader_url)["dbname"])
    with psycopg.connect(postgres.url(name), autocommit=True) as admin:
        apply_steps(admin, DVD_RENTAL, CaptureRole.of_url(reader_url, name))
        ((films,),) = admin.execute("select count(*) from film").fetchall()
    with AirbyteStandIn(DuckDBDestination(warehouse)).running() as airbyte:
        settings = settings_with(
            source_url=reader_url,
            replication_slot=name,
            airbyte_url=airbyte.url,
            airbyte_workspace_id=airbyte.workspace.id,
        )
        desired = desired_config(settings, DVD_RENTAL, slot=name)
        client = AirbyteClient.from_settings(settings)
        connection_id = apply_plan(client, desired, make_plan(client, desired, None))
        resource = AirbyteIngestion(
            workspace=AirbyteWorkspace(
                rest_api_base_url=airbyte.public_url,
                configuration_api_base_url=f"{airbyte.url}/api/v1",
                workspace_id=airbyte.workspace.id,
                client_id="client",
                client_secret="client-secret",
                poll_interval=0.1,
            ),
            connection_id=connection_id,
            warehouse=DuckDBWarehouseResource(path=str(warehouse)),
            slot=name,
        )
        log: Any = RecordedLog()
        outcome = resource.sync(DVD_RENTAL, log)
        assert outcome.failures == {}
        assert len(outcome.metadata) == 15
        assert outcome.metadata["film"]["dagster/row_count"].value == films
    with psycopg.connect(postgres.url(name), autocommit=True) as admin:
        assert admin.execute("select count(*) from replication.heartbeat").fetchall() == [(1,)]
