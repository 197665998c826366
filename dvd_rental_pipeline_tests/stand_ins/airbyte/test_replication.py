"""Syncs of the stand-in: from a real PostgreSQL, prepared with the pipeline's set-up, to a destination."""

import secrets
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import fakesnow.server
import psycopg
import pytest
import snowflake.connector
import uvicorn
from dagster_airbyte import AirbyteWorkspace
from fakesnow.instance import FakeSnow
from psycopg.conninfo import conninfo_to_dict

from dvd_rental_pipeline.ingestion.airbyte.errors import AirbyteError
from dvd_rental_pipeline.ingestion.airbyte.resource import AirbyteIngestion
from dvd_rental_pipeline.ingestion.postgres_cdc.setup.step import CaptureRole
from dvd_rental_pipeline.ingestion.postgres_cdc.setup.steps import apply_steps
from dvd_rental_pipeline.ingestion.resource import SyncOutcome
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.sample.dvd_rental.generator.generate import generate
from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres
from dvd_rental_pipeline.warehouse.resource import DuckDBWarehouseResource
from dvd_rental_pipeline_tests.ingestion.airbyte.fake_clock import wait_until
from dvd_rental_pipeline_tests.recorded_log import RecordedLog
from dvd_rental_pipeline_tests.stand_ins.airbyte.destinations import (
    Destination,
    DuckDBDestination,
    SnowflakeDestination,
)
from dvd_rental_pipeline_tests.stand_ins.airbyte.server import AirbyteStandIn
from dvd_rental_pipeline_tests.stand_ins.airbyte.workspace import Connection

pytestmark = pytest.mark.slow


@pytest.fixture
def source_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """A database with sample data at scale 0.02, prepared for change data capture."""
    name = f"airbyte_{secrets.token_hex(4)}"
    url = postgres.url(name)
    generate(url, scale=0.02)
    with psycopg.connect(url, autocommit=True) as admin:
        apply_steps(admin, DVD_RENTAL, reader(url))
    yield url
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
        admin.execute(
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = %s", [name]
        )
        admin.execute(f"drop database {name} with (force)")


def reader(url: str) -> CaptureRole:
    parts = conninfo_to_dict(url)
    slot = f"slot_{parts['dbname']}"
    return CaptureRole(str(parts["user"]), slot, slot)


def source_configuration(url: str) -> dict[str, Any]:
    """The configuration of the source as entered in Airbyte's UI."""
    parts = conninfo_to_dict(url)
    password = Path(str(parts["passfile"])).read_text().strip().rpartition(":")[2]
    slot = reader(url).slot
    return {
        "sourceType": "postgres",
        "host": parts["host"],
        "port": int(str(parts["port"])),
        "database": parts["dbname"],
        "username": parts["user"],
        "password": password,
        "schemas": ["public"],
        "replication_method": {"method": "CDC", "replication_slot": slot, "publication": slot},
    }


def ingestion(airbyte: AirbyteStandIn, connection: Connection, warehouse: Path) -> AirbyteIngestion:
    return AirbyteIngestion(
        workspace=AirbyteWorkspace(
            rest_api_base_url=airbyte.public_url,
            configuration_api_base_url=f"{airbyte.url}/api/v1",
            workspace_id=airbyte.workspace.id,
            client_id="client",
            client_secret="client-secret",
            poll_interval=0.1,
            poll_timeout=120.0,
        ),
        connection_id=connection.id,
        warehouse=DuckDBWarehouseResource(path=str(warehouse)),
        slot="unused",
    )


def sync(resource: AirbyteIngestion, **options: Any) -> SyncOutcome:
    log: Any = RecordedLog()
    return resource.sync(DVD_RENTAL, log, **options)


def row_counts(outcome: SyncOutcome) -> dict[str, int]:
    return {name: int(str(metadata["dagster/row_count"].value)) for name, metadata in outcome.metadata.items()}


def source_counts(url: str) -> dict[str, int]:
    with psycopg.connect(url) as connection:
        return {
            name: connection.execute(f"select count(*) from {name}").fetchone()[0]  # type: ignore[index, arg-type]
            for name in DVD_RENTAL.primary_keys()
        }


def test_tables_equal_the_source_after_changes_and_a_full_refresh(source_url: str, tmp_path: Path) -> None:
    warehouse = tmp_path / "warehouse.duckdb"
    with AirbyteStandIn(DuckDBDestination(warehouse)).running() as airbyte:
        connection = airbyte.add_connection(DVD_RENTAL.primary_keys(), source_configuration(source_url))
        resource = ingestion(airbyte, connection, warehouse)
        assert row_counts(sync(resource)) == source_counts(source_url)

        with psycopg.connect(source_url, autocommit=True) as source:
            source.execute("delete from payment where payment_id = (select min(payment_id) from payment)")
            source.execute("update film set rental_rate = 9.99 where film_id = (select min(film_id) from film)")
            source.execute("insert into actor (first_name, last_name) values ('Ann', 'Other')")
        outcome = sync(resource)
        assert row_counts(outcome) == source_counts(source_url)
        synced = {name: metadata["rows_synced"].value for name, metadata in outcome.metadata.items()}
        assert {name: rows for name, rows in synced.items() if rows} == {"payment": 1, "film": 1, "actor": 1}
        assert outcome.metadata["payment"]["tombstones"].value == 1
        assert row_counts(sync(resource)) == source_counts(source_url)

        refreshed = sync(resource, full_refresh=True)
        assert row_counts(refreshed) == source_counts(source_url)
        assert refreshed.metadata["payment"]["tombstones"].value == 0
    with duckdb.connect(warehouse) as database:
        types = dict(
            database.execute(
                "select column_name, data_type from information_schema.columns where table_name = 'film'"
            ).fetchall()
        )
        assert types["rental_rate"] == "DOUBLE"
        assert types["film_id"] == "BIGINT"
        assert types["special_features"] == "JSON"
        assert types["fulltext"] == types["rating"] == "VARCHAR"
        assert types["_ab_cdc_lsn"] == "DOUBLE"


def test_a_missing_slot_fails_the_job_as_in_airbyte(source_url: str, tmp_path: Path) -> None:
    with psycopg.connect(source_url, autocommit=True) as admin:
        admin.execute("select pg_drop_replication_slot(%s)", [reader(source_url).slot])
    warehouse = tmp_path / "warehouse.duckdb"
    with AirbyteStandIn(DuckDBDestination(warehouse)).running() as airbyte:
        connection = airbyte.add_connection(DVD_RENTAL.primary_keys(), source_configuration(source_url))
        with pytest.raises(AirbyteError, match="Expected exactly one replication slot named"):
            sync(ingestion(airbyte, connection, warehouse))


def test_rows_that_a_destination_refused_are_delivered_again(source_url: str, tmp_path: Path) -> None:
    warehouse = tmp_path / "warehouse.duckdb"
    available = DuckDBDestination(warehouse)

    class UnavailableOnce:
        """Refuses one table the first time."""

        refusals = 1

        def write(self, schema: str, table: Any, rows: Any, *, replace: bool) -> None:
            if table.name == "film" and self.refusals:
                self.refusals -= 1
                raise AirbyteError("the destination is unavailable")
            available.write(schema, table, rows, replace=replace)

    destination: Destination = UnavailableOnce()
    with AirbyteStandIn(destination).running() as airbyte:
        connection = airbyte.add_connection(DVD_RENTAL.primary_keys(), source_configuration(source_url))
        resource = ingestion(airbyte, connection, warehouse)
        with pytest.raises(AirbyteError, match="the destination is unavailable"):
            sync(resource)
        assert row_counts(sync(resource)) == source_counts(source_url)


@pytest.fixture
def snowflake_arguments(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Arguments of `connect` for a fakesnow server without patches."""
    fakesnow.server.shared_fs = FakeSnow()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(fakesnow.server.app, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield {
        "account": "fakesnow",
        "user": "airbyte",
        "password": "any",
        "host": "127.0.0.1",
        "port": listener.getsockname()[1],
        "protocol": "http",
        "network_timeout": 20,
        "session_parameters": {"CLIENT_OUT_OF_BAND_TELEMETRY_ENABLED": False},
    }
    server.should_exit = True
    thread.join(10)


def test_snowflake_has_the_tables_that_airbyte_writes(
    source_url: str, tmp_path: Path, snowflake_arguments: dict[str, Any]
) -> None:
    streams = {name: DVD_RENTAL.primary_keys()[name] for name in ("film", "actor")}
    destination = SnowflakeDestination(snowflake_arguments, "DVD_RENTALS")
    with AirbyteStandIn(destination).running() as airbyte:
        connection = airbyte.add_connection(streams, source_configuration(source_url))
        airbyte.start_job(connection.id)
        wait_for_success(airbyte)
        with psycopg.connect(source_url, autocommit=True) as source:
            source.execute("update film set rental_rate = 9.99 where film_id = 1")
            source.execute(
                "insert into actor (actor_id, first_name, last_name) values (9999, 'O''Ann', 'Other')"
            )
        airbyte.start_job(connection.id)
        wait_for_success(airbyte)
    films, actors = (source_counts(source_url)[name] for name in ("film", "actor"))
    with snowflake.connector.connect(**snowflake_arguments) as session:
        cursor = session.cursor()
        cursor.execute('select count(*), count(distinct "FILM_ID") from DVD_RENTALS.DVD_RENTAL."FILM"')
        assert cursor.fetchall() == [(films, films)]
        cursor.execute(
            'select "RENTAL_RATE", "SPECIAL_FEATURES" from DVD_RENTALS.DVD_RENTAL.FILM where FILM_ID = 1'
        )
        assert cursor.fetchall()[0][0] == pytest.approx(9.99)
        cursor.execute("select FIRST_NAME from DVD_RENTALS.DVD_RENTAL.ACTOR where ACTOR_ID = 9999")
        assert cursor.fetchall() == [("O'Ann",)]
        cursor.execute("select count(*) from DVD_RENTALS.DVD_RENTAL.ACTOR where _AB_CDC_DELETED_AT is null")
        assert cursor.fetchall() == [(actors,)]


def wait_for_success(airbyte: AirbyteStandIn) -> None:
    """Wait for the last job, which must succeed."""
    wait_until(lambda: not airbyte.jobs[-1].is_running, seconds=90)
    assert (airbyte.jobs[-1].status, airbyte.jobs[-1].failures) == ("succeeded", ())
