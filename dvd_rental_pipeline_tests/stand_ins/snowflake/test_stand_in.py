"""The stand-in answers as Snowflake does where fakesnow alone does not."""

import time
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from snowflake.connector import SnowflakeConnection
from snowflake.connector.errors import DatabaseError, ProgrammingError
from snowflake.connector.pandas_tools import write_pandas

from dvd_rental_pipeline_tests.stand_ins.snowflake.stand_in import SnowflakeStandIn, new_private_key


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SnowflakeStandIn]:
    with SnowflakeStandIn(tmp_path_factory.mktemp("snowflake")) as server:
        yield server


@pytest.fixture(scope="module")
def session(server: SnowflakeStandIn) -> Iterator[SnowflakeConnection]:
    with server.connect(database="SHOP", schema="PUBLIC") as session:
        yield session


def ask(session: SnowflakeConnection, *statements: str) -> list[tuple[object, ...]]:
    with session.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return [tuple(row) for row in cursor.fetchall()]


def test_a_time_that_is_null_stays_null(session: SnowflakeConnection) -> None:
    sql = "select column1::timestamp_ntz from values ('2020-01-01 10:00:00'), (null)"
    assert ask(session, sql) == [(datetime(2020, 1, 1, 10),), (None,)]


def test_a_table_of_another_database_is_described(session: SnowflakeConnection) -> None:
    ask(session, "create database other", "create schema other.s", "create table other.s.t (id number)")
    ask(session, "use schema SHOP.PUBLIC")
    assert [row[0] for row in ask(session, "describe table other.s.t")] == ["ID"]


def test_comments_may_hold_quotes(session: SnowflakeConnection) -> None:
    ask(session, "create or replace table SHOP.PUBLIC.noted (a number, b number) comment = 'a customer''s'")
    ask(session, 'alter table SHOP.PUBLIC.noted alter "A" comment $$it\'s$$, "B" comment $$so$$;')


def test_a_statement_that_cannot_run_fails_at_once(session: SnowflakeConnection) -> None:
    ask(session, "create or replace table SHOP.PUBLIC.strict (a number not null)")
    started = time.monotonic()
    with pytest.raises(ProgrammingError, match="000603"):
        ask(session, "insert into SHOP.PUBLIC.strict values (null)")
    assert time.monotonic() - started < 5, "at HTTP 500 the connector would try again"


def test_a_qualified_temporary_table_can_be_made(session: SnowflakeConnection) -> None:
    assert ask(
        session,
        "create or replace temporary table SHOP.PUBLIC.passing as select 1 as a",
        "select a from SHOP.PUBLIC.passing",
    ) == [(1,)]


def test_merge_takes_unqualified_columns_and_counts_in_a_transaction(
    session: SnowflakeConnection,
) -> None:
    ask(session, "create or replace table SHOP.PUBLIC.target as select 1 as id, 'old' as name")
    ask(
        session,
        "create or replace table SHOP.PUBLIC.source as select 1 as id, 'new' as name union select 2, 'b'",
    )
    merge = (
        "merge into SHOP.PUBLIC.target as t using SHOP.PUBLIC.source as s on t.id = s.id "
        "when matched then update set name = s.name when not matched then insert (id, name) values (id, name)"
    )
    assert sorted(ask(session, "begin", merge)[0], key=str) == [1, 1]
    ask(session, "commit")
    assert ask(session, "select * from SHOP.PUBLIC.target order by id") == [(1, "new"), (2, "b")]


def test_what_is_missing_is_told_in_the_words_of_snowflake(session: SnowflakeConnection) -> None:
    with pytest.raises(ProgrammingError, match="does not exist or not authorized"):
        ask(session, "select * from SHOP.PUBLIC.nothing")


def test_a_data_frame_is_written_into_a_table_that_it_makes(session: SnowflakeConnection) -> None:
    frame = pd.DataFrame({"ID": [1, 2], "NAME": ["a", "b"]})
    written, _, rows, _ = write_pandas(
        session, frame, "FRAME", database="SHOP", schema="PUBLIC", auto_create_table=True
    )
    assert (written, rows) == (True, 2)
    assert ask(session, "select id, name from SHOP.PUBLIC.frame order by id") == [(1, "a"), (2, "b")]


def test_an_array_becomes_text(session: SnowflakeConnection) -> None:
    assert ask(session, "select array_to_string(parse_json('[\"a\", \"b\"]'), ', ')") == [("a, b",)]


def test_a_sum_of_money_is_exact(session: SnowflakeConnection) -> None:
    sql = "select sum(amount) from (select column1::numeric(5, 2) as amount from values (0.1), (0.2))"
    assert ask(session, sql) == [(Decimal("0.30"),)]


def test_only_the_key_of_the_user_opens_a_session(server: SnowflakeStandIn, tmp_path: Path) -> None:
    new_private_key(tmp_path / "other.pem")
    for wrong in ({"private_key_file": str(tmp_path / "other.pem")}, {"user": "NOBODY"}):
        with pytest.raises(DatabaseError, match="JWT token is invalid"):
            server.connect(**wrong)


def test_what_nobody_made_cannot_be_granted(session: SnowflakeConnection) -> None:
    with pytest.raises(ProgrammingError, match="does not exist or not authorized"):
        ask(session, "grant usage on warehouse NOWHERE to role NOBODY")


def test_a_persistent_server_knows_its_tables_after_a_restart(tmp_path: Path) -> None:
    with SnowflakeStandIn(tmp_path, persistent=True) as server:
        server.query("create schema DVD_RENTALS.kept")
        server.query("create table DVD_RENTALS.kept.t as select 1 as a")
        server.stop()
        server.start()
        assert server.query("select a from DVD_RENTALS.kept.t") == [(1,)]
