"""Snowflake answers, refuses or fails in plain words, within bounded time, and is only read."""

import time
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from dvd_rental_pipeline.core.settings import Settings, SettingsError
from dvd_rental_pipeline.warehouse.duckdb_file import WarehouseError
from dvd_rental_pipeline.warehouse.snowflake_session import (
    SnowflakeLogin,
    query_snowflake,
    read_private_key,
    refuse_writing,
)
from dvd_rental_pipeline_tests.stand_ins.snowflake.stand_in import SnowflakeStandIn, new_private_key


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SnowflakeStandIn]:
    with SnowflakeStandIn(tmp_path_factory.mktemp("snowflake")) as server:
        yield server


@pytest.fixture
def login(server: SnowflakeStandIn, monkeypatch: pytest.MonkeyPatch) -> Iterator[SnowflakeLogin]:
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    yield replace(SnowflakeLogin.of(Settings.load(Path("/none"))), statement_timeout=3, login_timeout=3)
    server.clear_faults()


def ask(login: SnowflakeLogin, sql: str = "select 1 as one") -> list[object]:
    return [dict(record) for record in query_snowflake(login, sql, {"deployment": "production"}).records()]


def test_an_answer_has_exact_values_and_names_in_lower_case(login: SnowflakeLogin) -> None:
    sql = 'select 1 as one, cast(2.50 as numeric(5, 2)) as PRICE, cast(null as timestamp) as "Gone At"'
    assert ask(login, sql) == [{"one": 1, "price": Decimal("2.50"), "Gone At": None}]


def test_the_session_names_role_warehouse_and_what_asks(
    login: SnowflakeLogin, server: SnowflakeStandIn
) -> None:
    ask(login, "select 42 as it")
    (asked,) = [each for each in server.statements() if "42" in each["sql"]]
    assert (asked["user"], asked["role"], asked["warehouse"]) == ("TRANSFORMER", "TRANSFORMER", "TRANSFORMING")
    assert asked["query_tag"] == '{"app": "dvd_rental", "deployment": "production"}'


READS = [
    "select * from reports.top_films",
    "with a as (select 1 as x) select x from a",
    "select 1 union all select 2",
    "(select 1)",
    "show tables in schema reports",
    "show grants to role reporter",
    "describe table marts.fct_rental",
    "select 'drop table x; delete from y'",
    "select 1;",
    "-- a remark\nselect column1 from values (1)",
]
WRITES = [
    "delete from marts.fct_rental",
    "insert into a select 1",
    "update a set b = 1",
    "merge into a using b on a.x = b.x when matched then delete",
    "create table a as select 1",
    "drop table a",
    "alter table a add column b int",
    "truncate table a",
    "grant select on a to role b",
    "call something()",
    "use role accountadmin",
    "set a = 1",
    "alter session set query_tag = 'x'",
    "copy into @stage from a",
    "put file:///etc/passwd @stage",
    "get @stage file:///tmp",
    "begin",
    "execute immediate 'drop table a'",
    "execute task a",
    "undrop table a",
    "comment on table a is 'b'",
    "select 1; drop table a",
    "show tables ->> drop table a",
    "select 1 ->> insert into a select * from $1",
    "with a as (select 1) delete from b",
    "select system$cancel_all_queries(1)",
    "select system$abort_session(1) from a",
    "explain select 1; drop table a",
    "declare x int; begin drop table a; end",
    "select * from",
    "nonsense",
    "",
]


@pytest.mark.parametrize("sql", READS)
def test_what_reads_is_taken(sql: str) -> None:
    refuse_writing(sql)


@pytest.mark.parametrize("sql", WRITES)
def test_what_does_not_only_read_is_refused_before_it_is_sent(sql: str) -> None:
    with pytest.raises(WarehouseError, match="refused the statement"):
        refuse_writing(sql)


def test_a_statement_that_fails_is_told_in_the_words_of_snowflake(login: SnowflakeLogin) -> None:
    with pytest.raises(WarehouseError, match="does not exist or not authorized"):
        ask(login, "select * from reports.nothing")


def test_a_wrong_key_is_refused_at_once_and_said_so(login: SnowflakeLogin, tmp_path: Path) -> None:
    new_private_key(tmp_path / "other.pem")
    started = time.monotonic()
    with pytest.raises(WarehouseError, match=r"does not accept the key of the user TRANSFORMER.*describe user"):
        ask(replace(login, key=tmp_path / "other.pem"))
    assert time.monotonic() - started < 5


def test_an_unknown_user_is_refused_as_with_a_wrong_key(login: SnowflakeLogin) -> None:
    with pytest.raises(WarehouseError, match="does not accept the key of the user NOBODY"):
        ask(replace(login, user="NOBODY"))


def test_two_failed_requests_do_no_harm(login: SnowflakeLogin, server: SnowflakeStandIn) -> None:
    server.fail(1, status=503, path="/session/v1/login-request")
    server.fail(1, status=500, path="/queries")
    assert ask(replace(login, statement_timeout=30, login_timeout=30)) == [{"one": 1}]


@pytest.mark.parametrize("path", ["/session/v1/login-request", "/queries"])
@pytest.mark.parametrize("status", [500, 503, 0])
def test_a_server_that_keeps_failing_ends_in_one_message_in_time(
    login: SnowflakeLogin, server: SnowflakeStandIn, path: str, status: int
) -> None:
    server.fail(1000, status=status, path=path)
    started = time.monotonic()
    with pytest.raises(WarehouseError, match=r"Snowflake at 127.0.0.1 did not answer as it should for \d+ s"):
        ask(login)
    assert time.monotonic() - started < 40


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_server_that_is_silent_ends_in_one_message_in_time(
    login: SnowflakeLogin, server: SnowflakeStandIn
) -> None:
    server.delay(60, requests=100, path="/queries")
    started = time.monotonic()
    with pytest.raises(WarehouseError, match="did not answer as it should"):
        ask(login)
    assert time.monotonic() - started < 40


def test_a_statement_that_takes_too_long_is_cancelled(login: SnowflakeLogin, server: SnowflakeStandIn) -> None:
    server.delay(2.5, requests=1, path="/queries/v1/query-request")
    with pytest.raises(WarehouseError, match="DVD_RENTAL_SNOWFLAKE_STATEMENT_TIMEOUT"):
        ask(replace(login, statement_timeout=2, login_timeout=30))


def test_nobody_there_ends_in_one_message_in_time(login: SnowflakeLogin) -> None:
    started = time.monotonic()
    with pytest.raises(WarehouseError, match="did not answer as it should"):
        ask(replace(login, port=1))
    assert time.monotonic() - started < 40


def test_a_key_may_have_a_passphrase_or_be_given_itself(
    login: SnowflakeLogin, server: SnowflakeStandIn
) -> None:
    server.write_key(server.folder / "locked.pem", passphrase="planted-passphrase")
    locked = server.folder / "locked.pem"
    assert ask(replace(login, key=locked, passphrase="planted-passphrase")) == [{"one": 1}]
    assert ask(replace(login, key=locked.read_text(), passphrase="planted-passphrase")) == [{"one": 1}]
    assert ask(replace(login, key=server.private_key_path.read_text())) == [{"one": 1}]
    body = "".join(server.private_key_path.read_text().splitlines()[1:-1])
    assert ask(replace(login, key=body)) == [{"one": 1}], "base64 of DER, as dbt takes it"
    with pytest.raises(SettingsError, match="it needs a passphrase"):
        read_private_key(locked, None)
    with pytest.raises(SettingsError, match="is wrong") as caught:
        read_private_key(locked, "planted-other")
    assert "planted" not in str(caught.value)


def test_a_key_that_is_none_is_told_without_showing_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        read_private_key(tmp_path / "nothing.pem", None)
    with pytest.raises(SettingsError, match="no key in PEM") as caught:
        read_private_key("planted-secret", None)
    assert "planted-secret" not in str(caught.value)


def test_a_login_does_not_show_its_secrets() -> None:
    login = SnowflakeLogin("account", "user", "planted-key", "planted-passphrase")
    assert "planted" not in repr(login)
