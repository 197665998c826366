"""The set-up of a PostgreSQL for change capture, on a real server, and then used with those rights alone."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import duckdb
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from dvd_rental_pipeline.ingestion.postgres_cdc.connect.setup import (
    HEARTBEAT_QUERY,
    Reader,
    SetupStep,
    apply_steps,
    setup_steps,
)
from dvd_rental_pipeline.ingestion.postgres_cdc.replicator import Replicator
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.sample.errors import SourceError

PASSWORD = "planted-pass'word"
PARAMETERS = {"wal_level", "max_slot_wal_keep_size", "wal_sender_timeout", "max_replication_slots"}


@contextmanager
def let_everybody_in(admin: psycopg.Connection) -> Iterator[None]:
    """The embedded server knows one role alone; here others log in, too, with their passwords."""
    (path,) = admin.execute("show hba_file").fetchone() or ("",)
    access = Path(path)
    before = access.read_text()
    more = "".join(f"host {what} all 127.0.0.1/32 scram-sha-256\n" for what in ("all", "replication"))
    access.write_text(before + more)
    admin.execute("select pg_reload_conf()")
    try:
        yield
    finally:
        access.write_text(before)
        admin.execute("select pg_reload_conf()")


@pytest.fixture
def admin(database_url: str) -> Iterator[psycopg.Connection]:
    schema = files("dvd_rental_pipeline.sample.dvd_rental").joinpath("schema.sql").read_text(encoding="utf-8")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(schema)
        connection.execute("set search_path to public")
        with let_everybody_in(connection):
            yield connection


@pytest.fixture
def reader(admin: psycopg.Connection) -> Iterator[Reader]:
    token = secrets.token_hex(4)
    yield Reader(f"reader_{token}", f"slot_{token}", f"slot_{token}", PASSWORD)
    name = f"reader_{token}"
    role = psycopg.sql.Identifier(name)
    admin.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where usename = %s", [f"reader_{token}"]
    )
    if admin.execute("select from pg_roles where rolname = %s", [name]).rowcount:
        admin.execute(psycopg.sql.SQL("drop owned by {}").format(role))
        admin.execute(psycopg.sql.SQL("drop role {}").format(role))


def as_reader(url: str, reader: Reader) -> str:
    return make_conninfo(url, user=reader.role, password=PASSWORD, passfile="/nonexistent")


def missing(connection: psycopg.Connection, reader: Reader) -> dict[str, SetupStep]:
    """The measures that are not taken, those of the server's configuration aside."""
    return {
        step.subject: step
        for step in setup_steps(connection, DVD_RENTAL, reader)
        if not step.is_done and step.subject not in PARAMETERS
    }


def test_all_that_is_missing_is_planned_and_nothing_is_done(admin: psycopg.Connection, reader: Reader) -> None:
    planned = missing(admin, reader)
    assert list(planned) == ["role", "replication right", "tables", "heartbeat", "publication", "slot"]
    assert missing(admin, reader).keys() == planned.keys()


def test_once_applied_nothing_is_missing(admin: psycopg.Connection, reader: Reader) -> None:
    assert {step.subject for step in apply_steps(admin, DVD_RENTAL, reader)} >= {"role", "slot"}
    assert missing(admin, reader) == {}
    assert {step.subject for step in apply_steps(admin, DVD_RENTAL, reader)} <= PARAMETERS


def test_the_reader_has_what_replication_needs_and_no_more(
    admin: psycopg.Connection, reader: Reader, database_url: str, tmp_path: Path
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
        assert missing(connection, reader) == {}, "the reader itself can see that all is in order"


def test_no_password_is_shown_or_sent_in_the_clear(admin: psycopg.Connection, reader: Reader) -> None:
    role = missing(admin, reader)["role"]
    assert "********" in role.shown[0]
    assert "SCRAM" not in role.shown[0]
    sent = role.statements[0].as_string(admin)
    assert "planted" not in sent + role.shown[0]
    assert "SCRAM-SHA-256$" in sent


def test_the_publication_is_brought_to_exactly_the_tables(admin: psycopg.Connection, reader: Reader) -> None:
    apply_steps(admin, DVD_RENTAL, reader)
    admin.execute("create table stranger (id int primary key)")
    admin.execute(f"alter publication {reader.publication} add table stranger")
    admin.execute(f"alter publication {reader.publication} drop table film")
    admin.execute(f"alter publication {reader.publication} set (publish = 'insert')")
    found = missing(admin, reader)["publication"].found
    assert "lacks public.film" in found
    assert "has public.stranger too much" in found
    assert "leaves out some kinds of changes" in found
    apply_steps(admin, DVD_RENTAL, reader)
    assert missing(admin, reader) == {}


def test_a_right_that_was_withdrawn_is_granted_again(admin: psycopg.Connection, reader: Reader) -> None:
    apply_steps(admin, DVD_RENTAL, reader)
    admin.execute(f"revoke select on rental from {reader.role}")
    admin.execute(f"alter role {reader.role} noreplication")
    planned = missing(admin, reader)
    assert planned["tables"].shown[-1] == f'grant select on "public"."rental" to "{reader.role}"'
    assert set(planned) == {"tables", "replication right"}
    apply_steps(admin, DVD_RENTAL, reader)
    assert missing(admin, reader) == {}


def test_on_rds_the_right_to_replicate_is_a_membership(admin: psycopg.Connection, reader: Reader) -> None:
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


def test_a_slot_of_somebody_else_is_left_alone(
    admin: psycopg.Connection, reader: Reader, database_url: str
) -> None:
    admin.execute("select pg_create_physical_replication_slot(%s)", [reader.slot])
    try:
        slot = missing(admin, reader)["slot"]
        assert "belongs to something else" in slot.found
        assert slot.statements == ()
    finally:
        admin.execute("select pg_drop_replication_slot(%s)", [reader.slot])


def test_a_publication_of_all_tables_is_not_touched(admin: psycopg.Connection, reader: Reader) -> None:
    admin.execute(f"create publication {reader.publication} for all tables")
    publication = missing(admin, reader)["publication"]
    assert publication.statements == ()
    assert "all tables" in publication.found


def test_tables_that_are_not_there_are_named(admin: psycopg.Connection, reader: Reader) -> None:
    admin.execute("drop table payment cascade")
    assert "missing in the schema public: payment" in missing(admin, reader)["tables"].found


def test_a_limit_of_what_a_slot_keeps_is_asked_for(admin: psycopg.Connection, reader: Reader) -> None:
    before = admin.execute("show max_slot_wal_keep_size").fetchone()
    assert before is not None
    try:
        admin.execute("alter system set max_slot_wal_keep_size = -1")
        admin.execute("select pg_reload_conf()")
        admin.execute("select pg_sleep(0.3)")
        (limit,) = [
            one for one in setup_steps(admin, DVD_RENTAL, reader) if one.subject == "max_slot_wal_keep_size"
        ]
        assert limit.manual_step is not None
    finally:
        admin.execute("alter system reset max_slot_wal_keep_size")
        admin.execute("select pg_reload_conf()")


def test_an_owner_without_the_rights_is_told_whom_to_ask(
    admin: psycopg.Connection, reader: Reader, database_url: str
) -> None:
    apply_steps(admin, DVD_RENTAL, reader)
    other = replace(reader, role=f"{reader.role}_2")
    with (
        psycopg.connect(as_reader(database_url, reader), autocommit=True) as connection,
        pytest.raises(SourceError, match="DVD_RENTAL_SOURCE_ADMIN_URL") as caught,
    ):
        apply_steps(connection, DVD_RENTAL, other)
    assert "planted" not in str(caught.value)
