"""The stand-in behaves as Snowflake where fakesnow differs."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from snowflake.connector import SnowflakeConnection
from snowflake.connector.errors import DatabaseError, ProgrammingError
from snowflake.connector.pandas_tools import write_pandas

from dvd_rental_pipeline_tests.stand_ins.snowflake.stand_in import SnowflakeStandIn, new_private_key, set_up

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SnowflakeStandIn]:
    with SnowflakeStandIn(tmp_path_factory.mktemp("snowflake")) as server:
        yield server


@pytest.fixture(scope="module")
def session(server: SnowflakeStandIn) -> Iterator[SnowflakeConnection]:
    with server.connect(database="SHOP", schema="PUBLIC") as session:
        yield session


def execute(session: SnowflakeConnection, *statements: str) -> list[tuple[object, ...]]:
    with session.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return [tuple(row) for row in cursor.fetchall()]


def test_a_time_that_is_null_stays_null(session: SnowflakeConnection) -> None:
    sql = "select column1::timestamp_ntz from values ('2020-01-01 10:00:00'), (null)"
    assert execute(session, sql) == [(datetime(2020, 1, 1, 10),), (None,)]


def test_a_table_of_another_database_is_described(session: SnowflakeConnection) -> None:
    execute(session, "create database other", "create schema other.s", "create table other.s.t (id number)")
    execute(session, "use schema SHOP.PUBLIC")
    assert [row[0] for row in execute(session, "describe table other.s.t")] == ["ID"]


def test_comments_may_contain_quotes(session: SnowflakeConnection) -> None:
    execute(session, "create or replace table SHOP.PUBLIC.noted (a number, b number) comment = 'a customer''s'")
    execute(session, 'alter table SHOP.PUBLIC.noted alter "A" comment $$it\'s$$, "B" comment $$plain$$;')


def test_a_statement_that_cannot_run_is_not_retried(
    server: SnowflakeStandIn, session: SnowflakeConnection
) -> None:
    """The connector retries after HTTP 500."""
    execute(session, "create or replace table SHOP.PUBLIC.strict (a number not null)")
    insert = "insert into SHOP.PUBLIC.strict values (null)"
    with pytest.raises(ProgrammingError, match="000603"):
        execute(session, insert)
    assert [statement["sql"] for statement in server.statements()].count(insert) == 1


def test_a_qualified_temporary_table_can_be_created(session: SnowflakeConnection) -> None:
    assert execute(
        session,
        "create or replace temporary table SHOP.PUBLIC.passing as select 1 as a",
        "select a from SHOP.PUBLIC.passing",
    ) == [(1,)]


def test_merge_accepts_unqualified_columns_and_counts_rows_in_a_transaction(
    session: SnowflakeConnection,
) -> None:
    execute(session, "create or replace table SHOP.PUBLIC.target as select 1 as id, 'old' as name")
    execute(
        session,
        "create or replace table SHOP.PUBLIC.source as select 1 as id, 'new' as name union select 2, 'b'",
    )
    merge = (
        "merge into SHOP.PUBLIC.target as t using SHOP.PUBLIC.source as s on t.id = s.id "
        "when matched then update set name = s.name when not matched then insert (id, name) values (id, name)"
    )
    assert sorted(execute(session, "begin", merge)[0], key=str) == [1, 1]
    execute(session, "commit")
    assert execute(session, "select * from SHOP.PUBLIC.target order by id") == [(1, "new"), (2, "b")]


def test_a_missing_table_is_reported_as_by_snowflake(session: SnowflakeConnection) -> None:
    with pytest.raises(ProgrammingError, match="does not exist or not authorized"):
        execute(session, "select * from SHOP.PUBLIC.nothing")


def test_a_data_frame_is_written_into_a_new_table(session: SnowflakeConnection) -> None:
    frame = pd.DataFrame({"ID": [1, 2], "NAME": ["a", "b"]})
    written, _, rows, _ = write_pandas(
        session, frame, "FRAME", database="SHOP", schema="PUBLIC", auto_create_table=True
    )
    assert (written, rows) == (True, 2)
    assert execute(session, "select id, name from SHOP.PUBLIC.frame order by id") == [(1, "a"), (2, "b")]


def test_an_array_is_converted_to_text(session: SnowflakeConnection) -> None:
    assert execute(session, "select array_to_string(parse_json('[\"a\", \"b\"]'), ', ')") == [("a, b",)]


def test_a_sum_of_money_is_exact(session: SnowflakeConnection) -> None:
    sql = "select sum(amount) from (select column1::numeric(5, 2) as amount from values (0.1), (0.2))"
    assert execute(session, sql) == [(Decimal("0.30"),)]


def test_a_bound_decimal_keeps_its_fraction(server: SnowflakeStandIn) -> None:
    with server.connect(paramstyle="qmark") as session, session.cursor() as cursor:
        assert cursor.execute("select ?", [Decimal("2.99")]).fetchall() == [(Decimal("2.99"),)]


def test_login_needs_the_key_of_the_user(server: SnowflakeStandIn, tmp_path: Path) -> None:
    new_private_key(tmp_path / "other.pem")
    for wrong in ({"private_key_file": str(tmp_path / "other.pem")}, {"user": "NOBODY"}):
        with pytest.raises(DatabaseError, match="JWT token is invalid"):
            server.connect(**wrong)


def test_a_grant_on_a_missing_object_is_refused(session: SnowflakeConnection) -> None:
    with pytest.raises(ProgrammingError, match="does not exist or not authorized"):
        execute(session, "grant usage on warehouse NOWHERE to role NOBODY")


def test_a_persistent_server_keeps_its_tables_after_a_restart(tmp_path: Path) -> None:
    with SnowflakeStandIn(tmp_path, persistent=True) as server:
        server.query("create schema DVD_RENTALS.kept")
        server.query("create table DVD_RENTALS.kept.t as select 1 as a")
        server.stop()
        server.start()
        assert server.query("select a from DVD_RENTALS.kept.t") == [(1,)]


@pytest.fixture(scope="module")
def account(server: SnowflakeStandIn) -> SnowflakeStandIn:
    """The server, set up."""
    set_up(server)
    return server


@contextmanager
def session_as(server: SnowflakeStandIn, role: str) -> Iterator[SnowflakeConnection]:
    warehouse = {"LOADER": "LOADING", "TRANSFORMER": "TRANSFORMING", "REPORTER": "REPORTING"}[role]
    with server.connect(role, role=role, warehouse=warehouse) as session:
        yield session


@pytest.mark.parametrize(
    ("role", "statement", "refusal"),
    [
        ("LOADER", "create table DVD_RENTALS.MARTS.t (a number)", "Schema 'DVD_RENTALS.MARTS' does not exist"),
        ("REPORTER", "create table DVD_RENTALS.MARTS.t (a number)", "operate on schema 'MARTS'"),
        ("REPORTER", "create schema DVD_RENTALS.MINE", "operate on database 'DVD_RENTALS'"),
        ("REPORTER", "delete from DVD_RENTALS.MARTS.owned", "operate on table 'OWNED'"),
        ("REPORTER", "drop table DVD_RENTALS.MARTS.owned", "operate on table 'OWNED'"),
        (
            "TRANSFORMER",
            "create or replace table DVD_RENTALS.DVD_RENTAL.loaded (a number)",
            "operate on schema",
        ),
        ("TRANSFORMER", "insert into DVD_RENTALS.DVD_RENTAL.loaded values (1)", "operate on table 'LOADED'"),
        ("TRANSFORMER", "select salt from DVD_RENTALS.GOVERNANCE.PSEUDONYM_SALT", "not authorized"),
        ("LOADER", "select a from DVD_RENTALS.MARTS.owned", "not authorized"),
    ],
)
def test_what_a_role_was_not_granted_is_refused(
    account: SnowflakeStandIn, role: str, statement: str, refusal: str
) -> None:
    with session_as(account, "LOADER") as session:
        execute(session, "create table if not exists DVD_RENTALS.DVD_RENTAL.loaded (a number)")
    with session_as(account, "TRANSFORMER") as session:
        execute(session, "create table if not exists DVD_RENTALS.MARTS.owned (a number)")
    with session_as(account, role) as session, pytest.raises(ProgrammingError, match=refusal):
        execute(session, statement)


def test_only_what_is_computed_needs_a_virtual_warehouse(account: SnowflakeStandIn) -> None:
    with account.connect("TRANSFORMER", role="TRANSFORMER") as session:
        execute(
            session,
            "create table if not exists DVD_RENTALS.MARTS.uncomputed (a number)",
            "select 1",
            "show roles",
        )
        for statement in (
            "select a from DVD_RENTALS.MARTS.uncomputed",
            "insert into DVD_RENTALS.MARTS.uncomputed values (1)",
            "create or replace table DVD_RENTALS.MARTS.computed as (select 1 as a)",
        ):
            with pytest.raises(ProgrammingError, match="No active warehouse selected"):
                execute(session, statement)


def test_a_rename_keeps_owner_and_grants_of_the_table(account: SnowflakeStandIn) -> None:
    with session_as(account, "TRANSFORMER") as session:
        execute(
            session,
            "create or replace table DVD_RENTALS.STAGING.built as select 1 as a",
            "alter table DVD_RENTALS.STAGING.built rename to DVD_RENTALS.MARTS.renamed",
        )
    with session_as(account, "REPORTER") as session, pytest.raises(ProgrammingError, match="not authorized"):
        execute(session, "select a from DVD_RENTALS.MARTS.renamed")
