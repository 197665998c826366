"""`dvd-rental airbyte` and `dvd-rental source setup` as commands."""

import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from dvd_rental_pipeline_tests.end_to_end.command_line import CommandLine
from dvd_rental_pipeline_tests.ingestion.postgres_cdc.test_setup import admin  # noqa: F401 - a fixture
from dvd_rental_pipeline_tests.stand_ins.airbyte.server import AirbyteStandIn

PLANTED = ("planted-password", "client-secret", "planted-key", "planted-admin")


@pytest.fixture
def command(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path / "home")


def test_plan_apply_plan_status(
    airbyte: AirbyteStandIn, command: CommandLine, environment_of: dict[str, str]
) -> None:
    planned = command.run("airbyte", "plan", **environment_of)
    assert planned.returncode == 2, planned.stderr
    assert "to be created" in planned.stdout
    assert "********" in planned.stdout
    assert airbyte.workspace.connections == {}

    applied = command.run("airbyte", "apply", **environment_of)
    assert applied.returncode == 0, applied.stderr
    (connection,) = airbyte.workspace.connections.values()
    setting = f"DVD_RENTAL_AIRBYTE_CONNECTION_ID={connection.id}"
    assert setting in applied.stdout.splitlines()

    airbyte.start_job(connection.id)
    while airbyte.jobs[-1].is_running:
        time.sleep(0.05)
    with_connection = {**environment_of, "DVD_RENTAL_AIRBYTE_CONNECTION_ID": connection.id}
    again = command.run("airbyte", "plan", **with_connection)
    assert again.returncode == 0, again.stdout + again.stderr
    connection.fields["status"] = "inactive"
    status = command.run("airbyte", "status", **with_connection)
    assert status.returncode == 2
    assert "succeeded" in status.stdout
    assert "inactive" in status.stdout
    for done in (planned, applied, again, status):
        assert not [secret for secret in PLANTED if secret in done.stdout + done.stderr]


def test_a_wrong_setting_is_one_message_and_exit_code_1(
    command: CommandLine, environment_of: dict[str, str]
) -> None:
    done = command.run("airbyte", "plan", **{**environment_of, "DVD_RENTAL_AIRBYTE_CLIENT_SECRET": "wrong"})
    assert done.returncode == 1
    assert "DVD_RENTAL_AIRBYTE_CLIENT_SECRET" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def server(admin: psycopg.Connection) -> Iterator[dict[str, str]]:  # noqa: F811
    """Settings of a server that is not set up, and of a role that does not exist yet."""
    parts: dict[str, Any] = conninfo_to_dict(admin.info.dsn)
    role = f"reader_{secrets.token_hex(4)}"
    address = f"{parts['host']}:{parts['port']}/{parts['dbname']}"
    yield {
        "DVD_RENTAL_REPLICATION_SLOT": role,
        "DVD_RENTAL_SOURCE_URL": f"postgresql://{role}:planted-password@{address}",
        "DVD_RENTAL_SOURCE_ADMIN_URL": f"postgresql://{parts['user']}@{address}?passfile={parts['passfile']}",
    }
    if admin.execute("select from pg_roles where rolname = %s", [role]).rowcount:
        admin.execute(f"drop owned by {role}")
        admin.execute(f"drop role {role}")


def test_source_setup_plan_apply_plan_and_the_findings_of_doctor(
    command: CommandLine,
    server: dict[str, str],
    airbyte: AirbyteStandIn,
    environment_of: dict[str, str],
) -> None:
    sql = command.run("source", "setup", "plan", "--sql", **server)
    assert sql.returncode == 2, sql.stderr
    assert sql.stdout.startswith("create role")
    assert "create publication" in sql.stdout
    planned = command.run("source", "setup", "plan", **server)
    assert planned.returncode == 2
    before = command.run("doctor", **{**environment_of, **server})
    assert "password authentication failed" in " ".join(before.stdout.split())

    applied = command.run("source", "setup", "apply", **server)
    assert "Done: role, replication right, tables, heartbeat, publication, slot." in applied.stderr
    assert command.run("source", "setup", "plan", "--sql", **server).stdout == ""
    after = " ".join(command.run("doctor", **{**environment_of, **server}).stdout.split())
    for subject in ("replication right", "tables", "heartbeat", "publication", "slot"):
        assert f"ok {subject}" in after
    for done in (sql, planned, applied, before):
        assert not [secret for secret in PLANTED if secret in done.stdout + done.stderr]
