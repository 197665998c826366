"""The setup of a PostgreSQL server for change capture, and replication with exactly those privileges."""

import secrets
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import duckdb
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from dvd_rental_pipeline.ingestion.postgres_cdc.connect.heartbeat import HEARTBEAT_QUERY
from dvd_rental_pipeline.ingestion.postgres_cdc.replicator import Replicator
from dvd_rental_pipeline.ingestion.postgres_cdc.setup.step import CaptureRole, SetupStep
from dvd_rental_pipeline.ingestion.postgres_cdc.setup.steps import apply_steps, setup_steps
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.sample.errors import SourceError
from dvd_rental_pipeline_tests.ingestion.postgres_cdc.password_logins import password_logins

PASSWORD = "planted-pass'word"
PARAMETERS = {"wal_level", "max_slot_wal_keep_size", "wal_sender_timeout", "max_replication_slots"}


@pytest.fixture
def admin(database_url: str) -> Iterator[psycopg.Connection]:
    schema = files("dvd_rental_pipeline.sample.dvd_rental").joinpath("schema.sql").read_text(encoding="utf-8")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(schema)
        connection.execute("set search_path to public")
        with password_logins(connection):
            yield connection


@pytest.fixture
def reader(admin: psycopg.Connection) -> Iterator[CaptureRole]:
    token = secrets.token_hex(4)
    yield CaptureRole(f"reader_{token}", f"slot_{token}", f"slot_{token}", PASSWORD)
    name = f"reader_{token}"
    role = psycopg.sql.Identifier(name)
    admin.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where usename = %s", [f"reader_{token}"]
    )
    if admin.execute("select from pg_roles where rolname = %s", [name]).rowcount:
        admin.execute(psycopg.sql.SQL("drop owned by {}").format(role))
        admin.execute(psycopg.sql.SQL("drop role {}").format(role))


def as_reader(url: str, reader: CaptureRole) -> str:
    return make_conninfo(url, user=reader.role, password=PASSWORD, passfile="/nonexistent")


def missing(connection: psycopg.Connection, reader: CaptureRole) -> dict[str, SetupStep]:
    """The steps that are not done, without those of the server's configuration."""
    return {
        step.subject: step
        for step in setup_steps(connection, DVD_RENTAL, reader)
        if not step.is_done and step.subject not in PARAMETERS
    }


def test_planning_lists_missing_steps_and_changes_nothing(
    admin: psycopg.Connection, reader: CaptureRole
) -> None:
    planned = missing(admin, reader)
    assert list(planned) == ["role", "replication right", "tables", "heartbeat", "publication", "slot"]
    assert missing(admin, reader).keys() == planned.keys()


def test_after_apply_no_step_is_missing(admin: psycopg.Connection, reader: CaptureRole) -> None:
    assert {step.subject for step in apply_steps(admin, DVD_RENTAL, reader)} >= {"role", "slot"}
    assert missing(admin, reader) == {}
    assert {step.subject for step in apply_steps(admin, DVD_RENTAL, reader)} <= PARAMETERS


def test_the_role_has_exactly_the_privileges_that_replication_needs(
    admin: psycopg.Connection, reader: CaptureRole, database_url: str, tmp_path: Path
) -> None:
    apply_steps(admin, DVD_RENTAL, reader)
    admin.execute("insert into actor (actor_id, first_name, last_name) values (1, 'Penelope', 'Guiness')")
    url = as_reader(database_url, reader)
    warehouse = tmp_path / "warehouse.duckdb"
    replicator = Replicator(url, warehouse, DVD_RENTAL.primary_keys(), slot=reader.slot)
    assert {table.error for table in replicator.sync().tables.values()} == {None}
    admin.execute("update actor set first_name = 'Nick'")
    result = replicator.sync()
    assert result.tables["actor"].mode == "changes"
    with duckdb.connect(warehouse) as connection:
        assert connection.execute("select first_name from dvd_rental.actor").fetchall() == [("Nick",)]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(HEARTBEAT_QUERY)
        connection.execute(HEARTBEAT_QUERY)
        for forbidden in ("delete from actor", "create table mine (a int)", "create schema mine"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(forbidden)
        assert missing(connection, reader) == {}, "the role itself can evaluate the steps"


def test_no_password_is_shown_or_sent_in_clear_text(admin: psycopg.Connection, reader: CaptureRole) -> None:
    role = missing(admin, reader)["role"]
    assert "********" in role.shown[0]
    assert "SCRAM" not in role.shown[0]
    sent = role.statements[0].as_string(admin)
    assert "planted" not in sent + role.shown[0]
    assert "SCRAM-SHA-256$" in sent


def test_apply_gives_the_publication_exactly_the_declared_tables(
    admin: psycopg.Connection, reader: CaptureRole
) -> None:
    apply_steps(admin, DVD_RENTAL, reader)
    admin.execute("create table stranger (id int primary key)")
    admin.execute(f"alter publication {reader.publication} add table stranger")
    admin.execute(f"alter publication {reader.publication} drop table film")
    admin.execute(f"alter publication {reader.publication} set (publish = 'insert')")
    found = missing(admin, reader)["publication"].found
    assert "lacks public.film" in found
    assert "has unexpected tables: public.stranger" in found
    assert "leaves out some kinds of changes" in found
    apply_steps(admin, DVD_RENTAL, reader)
    assert missing(admin, reader) == {}


def test_a_revoked_privilege_is_granted_again(admin: psycopg.Connection, reader: CaptureRole) -> None:
    apply_steps(admin, DVD_RENTAL, reader)
    admin.execute(f"revoke select on rental from {reader.role}")
    admin.execute(f"alter role {reader.role} noreplication")
    planned = missing(admin, reader)
    assert planned["tables"].shown[-1] == f'grant select on "public"."rental" to "{reader.role}"'
    assert set(planned) == {"tables", "replication right"}
    apply_steps(admin, DVD_RENTAL, reader)
    assert missing(admin, reader) == {}


def test_on_rds_the_replication_privilege_is_a_role_membership(
    admin: psycopg.Connection, reader: CaptureRole
) -> None:
    apply_steps(admin, DVD_RENTAL, reader)
    admin.execute(f"alter role {reader.role} noreplication")
    admin.execute("create role rds_replication")
    try:
        assert missing(admin, reader)["replication right"].shown == (
            f'grant rds_replication to "{reader.role}"',
        )
        apply_steps(admin, DVD_RENTAL, reader)
        assert missing(admin, reader) == {}
    finally:
        admin.execute("drop role rds_replication")


def test_a_slot_used_for_something_else_is_not_touched(
    admin: psycopg.Connection, reader: CaptureRole, database_url: str
) -> None:
    admin.execute("select pg_create_physical_replication_slot(%s)", [reader.slot])
    try:
        slot = missing(admin, reader)["slot"]
        assert "is used for something else" in slot.found
        assert slot.statements == ()
    finally:
        admin.execute("select pg_drop_replication_slot(%s)", [reader.slot])


def test_a_publication_of_all_tables_is_not_touched(admin: psycopg.Connection, reader: CaptureRole) -> None:
    admin.execute(f"create publication {reader.publication} for all tables")
    publication = missing(admin, reader)["publication"]
    assert publication.statements == ()
    assert "all tables" in publication.found


def test_missing_tables_are_named(admin: psycopg.Connection, reader: CaptureRole) -> None:
    admin.execute("drop table payment cascade")
    assert "missing in the schema public: payment" in missing(admin, reader)["tables"].found


def test_a_missing_limit_of_retained_wal_is_reported(admin: psycopg.Connection, reader: CaptureRole) -> None:
    before = admin.execute("show max_slot_wal_keep_size").fetchone()
    assert before is not None
    try:
        admin.execute("alter system set max_slot_wal_keep_size = -1")
        admin.execute("select pg_reload_conf()")
        admin.execute("select pg_sleep(0.3)")
        (limit,) = [
            step for step in setup_steps(admin, DVD_RENTAL, reader) if step.subject == "max_slot_wal_keep_size"
        ]
        assert limit.manual_step is not None
    finally:
        admin.execute("alter system reset max_slot_wal_keep_size")
        admin.execute("select pg_reload_conf()")


def test_a_user_without_privileges_gets_an_error_that_names_the_setting(
    admin: psycopg.Connection, reader: CaptureRole, database_url: str
) -> None:
    apply_steps(admin, DVD_RENTAL, reader)
    other = replace(reader, role=f"{reader.role}_2")
    with (
        psycopg.connect(as_reader(database_url, reader), autocommit=True) as connection,
        pytest.raises(SourceError, match="DVD_RENTAL_SOURCE_ADMIN_URL") as caught,
    ):
        apply_steps(connection, DVD_RENTAL, other)
    assert "planted" not in str(caught.value)
