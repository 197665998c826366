"""From an unprepared PostgreSQL and an empty Airbyte to tables, with minimal privileges."""

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
from dagster_airbyte import AirbyteWorkspace
from psycopg.conninfo import conninfo_to_dict

from dvd_rental_pipeline.ingestion.airbyte.client import AirbyteClient
from dvd_rental_pipeline.ingestion.airbyte.desired_config import desired_config
from dvd_rental_pipeline.ingestion.airbyte.plan import apply_plan, make_plan
from dvd_rental_pipeline.ingestion.airbyte.resource import AirbyteIngestion
from dvd_rental_pipeline.ingestion.postgres_cdc.outcome import TableVerification
from dvd_rental_pipeline.ingestion.postgres_cdc.setup.step import CaptureRole
from dvd_rental_pipeline.ingestion.postgres_cdc.setup.steps import apply_steps
from dvd_rental_pipeline.ingestion.resource import SyncOutcome
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.sample.dvd_rental.generator.generate import generate
from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres
from dvd_rental_pipeline.warehouse.resource import DuckDBWarehouseResource
from dvd_rental_pipeline_tests.ingestion.postgres_cdc.password_logins import password_logins
from dvd_rental_pipeline_tests.recorded_log import RecordedLog
from dvd_rental_pipeline_tests.stand_ins.airbyte.destinations import DuckDBDestination
from dvd_rental_pipeline_tests.stand_ins.airbyte.server import AirbyteStandIn


@pytest.fixture(scope="module")
def sample(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The name of a database with sample data, to be copied."""
    name = "unprepared_sample"
    generate(postgres.url(name), scale=0.02)
    yield name
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as server:
        server.execute(f"drop database {name} with (force)")


@pytest.fixture
def reader_url(postgres: EmbeddedPostgres, sample: str) -> Iterator[str]:
    """URL of a database with sample data, for a role that does not exist yet."""
    token = secrets.token_hex(4)
    parts = conninfo_to_dict(postgres.url(f"unprepared_{token}"))
    role = f"reader_{token}"
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as server:
        server.execute(f"create database {parts['dbname']} template {sample}")
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


@dataclass(frozen=True)
class SetUp:
    """A source that is set up, an Airbyte with its connection, and the warehouse that it fills."""

    admin: psycopg.Connection
    ingestion: AirbyteIngestion
    warehouse: Path
    log: Any

    def sync(self) -> SyncOutcome:
        return self.ingestion.sync(DVD_RENTAL, self.log)

    def inspect(self) -> Mapping[str, TableVerification]:
        return self.ingestion.inspect(DVD_RENTAL, self.log).tables


@pytest.fixture
def set_up(postgres: EmbeddedPostgres, reader_url: str, settings_with: Any, tmp_path: Path) -> Iterator[SetUp]:
    warehouse = tmp_path / "warehouse.duckdb"
    name = str(conninfo_to_dict(reader_url)["dbname"])
    with (
        psycopg.connect(postgres.url(name), autocommit=True) as admin,
        AirbyteStandIn(DuckDBDestination(warehouse)).running() as airbyte,
    ):
        apply_steps(admin, DVD_RENTAL, CaptureRole.of_url(reader_url, name))
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
            source_url=reader_url,
            slot=name,
        )
        yield SetUp(admin, resource, warehouse, RecordedLog())


def test_set_up_apply_and_sync(set_up: SetUp) -> None:
    ((films,),) = set_up.admin.execute("select count(*) from film").fetchall()
    outcome = set_up.sync()
    assert outcome.failures == {}
    assert len(outcome.metadata) == 15
    assert outcome.metadata["film"]["dagster/row_count"].value == films
    assert set_up.admin.execute("select count(*) from replication.heartbeat").fetchall() == [(1,)]


def test_blank_texts_that_arrive_as_null_agree(set_up: SetUp) -> None:
    """As in the original dump, in which unknown texts are empty."""
    set_up.admin.execute(
        "update address set address2 = '', district = '', postal_code = ' ', phone = E'\\t',"
        " address = ' 47 Road '"
        " where address_id in (select address_id from address order by 1 limit 3)"
    )
    set_up.admin.execute("update staff set picture = '', email = ''")
    set_up.sync()
    found = set_up.inspect()
    assert [name for name, table in found.items() if not table.agrees] == []
    assert found["address"].columns == (), "the columns were compared"
    with duckdb.connect(set_up.warehouse) as warehouse:
        blank = "select count(*) from dvd_rental.address where address2 = '' or district = '' or phone = ''"
        assert warehouse.execute(blank).fetchall() == [(0,)]
        warehouse.execute(
            "update dvd_rental.address set phone = 'x'"
            " where address_id = (select min(address_id) from dvd_rental.address)"
        )
    assert set_up.inspect()["address"].columns == ("phone",)


def test_delivered_changes_in_the_slot_are_not_pending(set_up: SetUp) -> None:
    """Airbyte confirms what it delivered when the next sync starts."""
    set_up.sync()
    set_up.admin.execute("update film set rental_rate = 9.99 where film_id = 1")
    set_up.sync()
    slot = "select count(*) from pg_logical_slot_peek_binary_changes(%s, null, null, 'proto_version', '1',"
    slot += " 'publication_names', %s)"
    name = set_up.ingestion.slot
    ((held,),) = set_up.admin.execute(slot, [name, name]).fetchall()
    assert held > 0, "the slot still has them"
    found = set_up.inspect()
    assert {table.pending for table in found.values()} == {0}
    assert found["film"].columns == ()

    set_up.admin.execute("update film set rental_rate = 4.99 where film_id = 1")
    found = set_up.inspect()
    assert {name: table.pending for name, table in found.items() if table.pending} == {"film": 1}
    assert found["film"].pending_since is not None


def test_changes_of_transactions_that_overlap_are_pending_until_delivered(set_up: SetUp) -> None:
    set_up.sync()
    with psycopg.connect(set_up.admin.info.dsn) as other:
        other.execute("update actor set first_name = 'Early' where actor_id = 1")
        set_up.admin.execute("update actor set first_name = 'Late' where actor_id = 2")
        set_up.sync()
        other.commit()
    # Its change is before the last one that was delivered, its commit after that.
    assert set_up.inspect()["actor"].pending == 1
    set_up.sync()
    assert set_up.inspect()["actor"].pending == 0


def test_secret_columns_never_reach_the_warehouse(set_up: SetUp) -> None:
    set_up.sync()
    with duckdb.connect(set_up.warehouse) as warehouse:
        columns = {row[0] for row in warehouse.execute("describe dvd_rental.staff").fetchall()}
    assert not columns & {"password", "picture"}
    assert columns >= {"username", "_ab_cdc_lsn", "_ab_cdc_deleted_at"}


def test_a_new_column_waits_until_the_catalogue_declares_it(set_up: SetUp) -> None:
    set_up.sync()
    set_up.admin.execute("alter table customer add column national_id text default 'planted'")
    set_up.admin.execute("update customer set first_name = 'New' where customer_id = 1")
    set_up.sync()
    with duckdb.connect(set_up.warehouse) as warehouse:
        columns = {row[0] for row in warehouse.execute("describe dvd_rental.customer").fetchall()}
    assert "national_id" not in columns
    facts = set_up.ingestion.inspect(DVD_RENTAL, set_up.log).facts
    assert facts is not None
    assert "national_id" in facts.columns["customer"], "the check of unknown columns reports it"
