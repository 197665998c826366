"""`dvd-rental snowflake` and `doctor` against an account that begins empty.

The stand-in executes `create database`, `create schema`, `show schemas`; it keeps roles, warehouses, users,
policies and grants on record, and refuses to name what was not made and to read without a grant.
"""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from cryptography.hazmat.primitives import serialization

from dvd_rental_pipeline_tests.end_to_end.command_line import CommandLine
from dvd_rental_pipeline_tests.stand_ins.airbyte.destinations import SnowflakeDestination
from dvd_rental_pipeline_tests.stand_ins.airbyte.final_tables import final_table
from dvd_rental_pipeline_tests.stand_ins.snowflake.external_stages import EXTERNAL_ID, USER_ARN
from dvd_rental_pipeline_tests.stand_ins.snowflake.stand_in import ACCOUNT, SnowflakeStandIn, new_private_key


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SnowflakeStandIn]:
    with SnowflakeStandIn(tmp_path_factory.mktemp("snowflake")) as server:
        yield server


@pytest.fixture(scope="module")
def public_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    public = new_private_key(folder / "key.pem").public_key()
    (folder / "key.pub").write_bytes(
        public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return folder / "key.pub"


@pytest.fixture(scope="module")
def admin(server: SnowflakeStandIn, tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    return Production(tmp_path_factory.mktemp("home"), server.environment("ADMIN"))


class Production(CommandLine):
    """The command line of a production deployment."""

    def __init__(self, home: Path, settings: dict[str, str]) -> None:
        super().__init__(home)
        object.__setattr__(self, "settings", settings)

    def environment(self, **more: str) -> dict[str, str]:
        settings: dict[str, str] = self.settings  # type: ignore[attr-defined]
        return super().environment(**{"DVD_RENTAL_DEPLOYMENT": "production", **settings, **more})


def test_an_empty_account_is_planned_and_applied_until_nothing_is_missing(
    admin: CommandLine, server: SnowflakeStandIn, public_key: Path
) -> None:
    doctor = admin.run("doctor").stdout
    assert "does not see DVD_RENTAL, SIGNUPS, STAGING" in " ".join(doctor.split())
    keys = [f"--public-key={role}={public_key}" for role in ("LOADER", "TRANSFORMER")]
    planned = admin.ok("snowflake", "plan", *keys)
    assert "create role if not exists TRANSFORMER;" in planned
    assert "create user if not exists AIRBYTE type = service" in planned
    assert "DVD_RENTAL_REPORTER" not in planned, "no key was given for it"
    assert "show" not in planned
    for schema in ("DVD_RENTAL", "SIGNUPS", "TOTESYS", "TOTESYS_LAKE", "SALES"):
        assert f"create schema if not exists DVD_RENTALS.{schema} with managed access;" in planned
    applied = admin.run("snowflake", "apply", *keys)
    assert applied.returncode == 0, applied.stderr
    statements = [each["sql"] for each in server.statements()]
    for line in planned.splitlines():
        assert line.removesuffix(";") in statements
    assert admin.ok("snowflake", "plan", *keys).strip() == ""
    again = admin.run("snowflake", "apply", *keys)
    assert "0 statements were missing" in " ".join(again.stderr.split()), again.stderr


def test_apply_prints_what_the_role_of_the_external_stages_must_trust(admin: CommandLine) -> None:
    role = "arn:aws:iam::123456789012:role/dvd-rental-snowflake"
    buckets = {"DVD_RENTAL_LANDING": "s3://landing", "DVD_RENTAL_PROCESSED": "s3://processed"}
    refused = admin.run("snowflake", "apply", DVD_RENTAL_SNOWFLAKE_STORAGE_ROLE=role)
    assert refused.returncode == 1
    assert "DVD_RENTAL_LANDING is not on S3" in " ".join(refused.stderr.split())
    applied = admin.run("snowflake", "apply", DVD_RENTAL_SNOWFLAKE_STORAGE_ROLE=role, **buckets)
    assert applied.returncode == 0, applied.stderr
    assert f'snowflake_reader = {{ user_arn = "{USER_ARN}", external_id = "{EXTERNAL_ID}" }}' in " ".join(
        applied.stderr.split()
    )
    again = admin.run("snowflake", "plan", DVD_RENTAL_SNOWFLAKE_STORAGE_ROLE=role, **buckets)
    assert again.stdout.strip() == ""


def test_dropped_objects_are_planned_again(admin: CommandLine, server: SnowflakeStandIn) -> None:
    admin.ok("snowflake", "apply")
    server.query("drop warehouse REPORTING")
    server.query("drop schema DVD_RENTALS.REPORTS")
    planned = [line for line in admin.ok("snowflake", "plan").splitlines() if not line.startswith("use role")]
    assert [line.split(" with ")[0] for line in planned if line.startswith("create")] == [
        "create warehouse if not exists REPORTING",
        "create schema if not exists DVD_RENTALS.REPORTS",
    ]
    assert "alter warehouse REPORTING set resource_monitor = DVD_RENTAL_REPORTING;" in planned
    assert "alter warehouse LOADING set resource_monitor = DVD_RENTAL_LOADING;" not in planned
    admin.ok("snowflake", "apply")


def test_doctor_reports_a_complete_account_without_secrets(
    admin: CommandLine, server: SnowflakeStandIn
) -> None:
    admin.ok("snowflake", "apply")
    completed = admin.run("doctor", **server.environment("TRANSFORMER"))
    found = " ".join(completed.stdout.split())
    assert "as TRANSFORMER with the role TRANSFORMER and the warehouse TRANSFORMING" in found
    assert "all schemas of DVD_RENTALS exist" in found
    assert "the policy for personal columns exists" in found
    assert server.private_key_path.read_text().splitlines()[1] not in completed.stdout + completed.stderr


def test_doctor_lists_all_missing_settings(tmp_path: Path) -> None:
    completed = Production(tmp_path, {}).run("doctor")
    assert completed.returncode == 1
    for name in ("ACCOUNT", "USER", "PRIVATE_KEY_PATH"):
        assert f"DVD_RENTAL_SNOWFLAKE_{name}" in completed.stdout


def test_an_unreadable_account_gets_the_full_plan(tmp_path: Path) -> None:
    completed = Production(tmp_path, {}).run("snowflake", "plan")
    assert completed.returncode == 0
    assert "create role if not exists LOADER;" in completed.stdout
    assert "DVD_RENTAL_SNOWFLAKE_ACCOUNT" in completed.stderr


def test_query_reads_production_and_rejects_writes(admin: CommandLine, server: SnowflakeStandIn) -> None:
    assert admin.json("query", "select 1 as one, 2.50 as price") == [{"one": 1, "price": 2.5}]
    refused = admin.run("query", "drop schema DVD_RENTALS.MARTS")
    assert refused.returncode == 1
    assert "only SELECT, WITH, SHOW and DESCRIBE are accepted" in " ".join(refused.stderr.split())
    assert "Traceback" not in refused.stderr
    assert not any("drop schema dvd_rentals.marts" in each["sql"].lower() for each in server.statements())


def test_a_wrong_key_is_one_message_without_a_traceback(
    server: SnowflakeStandIn, tmp_path: Path, public_key: Path
) -> None:
    environment = server.environment() | {
        "DVD_RENTAL_SNOWFLAKE_PRIVATE_KEY_PATH": str(public_key.with_name("key.pem"))
    }
    completed = Production(tmp_path, environment).run("query", "select 1")
    assert completed.returncode == 1
    assert "does not accept the key of the user TRANSFORMER" in " ".join(completed.stderr.split())
    assert "Traceback" not in completed.stderr


@pytest.mark.slow
def test_apply_restores_grants_that_a_refresh_took_away(
    admin: CommandLine, server: SnowflakeStandIn, tmp_path: Path
) -> None:
    """Below destination-snowflake 4.0.47 a refresh swaps in a table that lacks the grants of its schema."""
    admin.ok("snowflake", "apply")
    arguments = {
        "account": ACCOUNT,
        "user": "LOADER",
        "role": "LOADER",
        "warehouse": "LOADING",
        "private_key_file": str(server.private_key_path),
        "host": "127.0.0.1",
        "port": server.port,
        "protocol": "http",
    }
    table = final_table("city", [("city_id", "integer", True)])
    rows = pa.table({column.name: pa.array([], pa.string()) for column in table.columns})
    transformer = Production(tmp_path, server.environment("TRANSFORMER"))
    for version, is_readable in (("4.0.47", True), ("4.0.46", False)):
        SnowflakeDestination(arguments, "DVD_RENTALS", version).write("DVD_RENTAL", table, rows, replace=True)
        read = transformer.run("query", "select count(*) from dvd_rental.city")
        assert (read.returncode == 0) is is_readable, read.stderr
    assert "does not exist or not authorized" in read.stderr
    admin.ok("snowflake", "apply")
    transformer.ok("query", "select count(*) from dvd_rental.city")
    reporting = {"DVD_RENTAL_SNOWFLAKE_ROLE": "REPORTER", "DVD_RENTAL_SNOWFLAKE_WAREHOUSE": "REPORTING"}
    refused = Production(tmp_path, {**server.environment("REPORTER"), **reporting})
    assert "not authorized" in refused.run("query", "select count(*) from dvd_rental.city").stderr


def test_the_plan_shows_what_a_month_costs(admin: CommandLine) -> None:
    planned = admin.run("snowflake", "plan", "--credits", "LOADING=5")
    shown = " ".join(planned.stderr.split())
    assert "LOADING: 96 starts per day of 60 s" in shown
    assert "99 credits per month. Its monitor suspends it at 5. That is before the month ends" in shown
    hourly = " ".join(admin.run("snowflake", "plan", "--syncs-per-day", "24").stderr.split())
    assert "LOADING: 24 starts per day" in hourly
    assert "25 credits per month. Its monitor suspends it at 38." in hourly


@pytest.mark.slow
def test_a_monitor_that_reached_its_limit_suspends_only_its_own_warehouse(
    admin: CommandLine, server: SnowflakeStandIn, tmp_path: Path
) -> None:
    admin.ok("snowflake", "apply", "--credits", "TRANSFORMING=50")
    server.query("create or replace table DVD_RENTALS.MARTS.anything as select 1 as a")
    server.query("grant select on all tables in schema DVD_RENTALS.MARTS to role TRANSFORMER")
    transformer = Production(tmp_path, server.environment("TRANSFORMER"))
    read = ("query", "select a from marts.anything")
    transformer.ok(*read)

    server.spend("DVD_RENTAL_TRANSFORMING", 50)
    refused = transformer.run(*read)
    assert refused.returncode == 1
    shown = " ".join(refused.stderr.split())
    assert "Warehouse 'TRANSFORMING' cannot be resumed because resource monitor" in shown
    assert "dvd-rental snowflake apply --credits TRANSFORMING=N" in shown
    reporting = {"DVD_RENTAL_SNOWFLAKE_ROLE": "REPORTER", "DVD_RENTAL_SNOWFLAKE_WAREHOUSE": "REPORTING"}
    Production(tmp_path, {**server.environment("REPORTER"), **reporting}).ok(*read)

    admin.ok("snowflake", "apply", "--credits", "TRANSFORMING=60")
    transformer.ok(*read)


def test_a_warehouse_of_another_role_is_refused_with_the_setting(
    admin: CommandLine, server: SnowflakeStandIn, tmp_path: Path
) -> None:
    admin.ok("snowflake", "apply")
    settings = {**server.environment("TRANSFORMER"), "DVD_RENTAL_SNOWFLAKE_WAREHOUSE": "LOADING"}
    refused = Production(tmp_path, settings).run("query", "select count(*) from marts.anything")
    assert refused.returncode == 1
    assert "fix DVD_RENTAL_SNOWFLAKE_WAREHOUSE" in " ".join(refused.stderr.split())


def test_a_role_that_the_user_lacks_is_refused_with_the_setting(
    admin: CommandLine, server: SnowflakeStandIn, public_key: Path, tmp_path: Path
) -> None:
    admin.ok("snowflake", "apply", f"--public-key=LOADER={public_key}")
    settings = {
        **server.environment("AIRBYTE"),
        "DVD_RENTAL_SNOWFLAKE_PRIVATE_KEY_PATH": str(public_key.with_name("key.pem")),
    }
    refused = Production(tmp_path, settings).run("query", "select 1")
    assert refused.returncode == 1
    shown = " ".join(refused.stderr.split())
    assert "does not let the user AIRBYTE log in with the role TRANSFORMER" in shown
    assert "DVD_RENTAL_SNOWFLAKE_ROLE" in shown


@pytest.mark.slow
def test_a_clone_is_of_the_branch_alone(admin: CommandLine, server: SnowflakeStandIn, tmp_path: Path) -> None:
    """The transformer builds in it; the reporter, who has no privilege on the new schema, does not see it."""
    admin.ok("snowflake", "apply")
    transformer = Production(tmp_path, server.environment("TRANSFORMER"))
    arguments = {"role": "TRANSFORMER", "warehouse": "TRANSFORMING"}
    with server.connect("TRANSFORMER", **arguments) as session, session.cursor() as cursor:
        cursor.execute("create or replace table DVD_RENTALS.MARTS.dim_any as select 1 as a")
        transformer.ok("snowflake", "clone-branch", "my_change")
        cursor.execute("create or replace table DVD_RENTALS.MY_CHANGE_MARTS.dim_any as select 2 as a")
    assert transformer.json("query", "select a from my_change_marts.dim_any") == [{"a": 2}]
    assert transformer.json("query", "select a from marts.dim_any") == [{"a": 1}]
    reporting = {"DVD_RENTAL_SNOWFLAKE_ROLE": "REPORTER", "DVD_RENTAL_SNOWFLAKE_WAREHOUSE": "REPORTING"}
    reporter = Production(tmp_path, {**server.environment("REPORTER"), **reporting})
    assert reporter.json("query", "select a from marts.dim_any") == [{"a": 1}]
    assert "not authorized" in reporter.run("query", "select a from my_change_marts.dim_any").stderr
    transformer.ok("snowflake", "clone-branch", "my_change", "--drop")
    assert "does not exist" in transformer.run("query", "select a from my_change_marts.dim_any").stderr
