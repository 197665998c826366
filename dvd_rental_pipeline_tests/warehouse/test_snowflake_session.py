"""Queries on Snowflake return, are rejected or fail in bounded time, and only read."""

import time
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from dvd_rental_pipeline.core.settings import Settings, SettingsError
from dvd_rental_pipeline.warehouse.errors import WarehouseError
from dvd_rental_pipeline.warehouse.snowflake_login import SnowflakeLogin, read_private_key
from dvd_rental_pipeline.warehouse.snowflake_statements import require_read_only
from dvd_rental_pipeline.warehouse.snowflake_warehouse import SnowflakeWarehouse
from dvd_rental_pipeline_tests.stand_ins.snowflake.stand_in import SnowflakeStandIn, new_private_key


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SnowflakeStandIn]:
    with SnowflakeStandIn(tmp_path_factory.mktemp("snowflake")) as server:
        yield server


@pytest.fixture
def login(server: SnowflakeStandIn, monkeypatch: pytest.MonkeyPatch) -> Iterator[SnowflakeLogin]:
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    yield replace(
        SnowflakeLogin.from_settings(Settings.load(Path("/none"))), statement_timeout=3, login_timeout=3
    )
    server.clear_faults()


def query(login: SnowflakeLogin, sql: str = "select 1 as one") -> list[object]:
    rows = SnowflakeWarehouse(login, {"deployment": "production"}).query(sql)
    return [dict(record) for record in rows.records()]


def test_rows_have_exact_values_and_names_in_lower_case(login: SnowflakeLogin) -> None:
    sql = 'select 1 as one, cast(2.50 as numeric(5, 2)) as PRICE, cast(null as timestamp) as "Gone At"'
    assert query(login, sql) == [{"one": 1, "price": Decimal("2.50"), "Gone At": None}]


def test_the_session_has_role_warehouse_and_query_tag(login: SnowflakeLogin, server: SnowflakeStandIn) -> None:
    query(login, "select 42 as answer")
    (statement,) = [each for each in server.statements() if "42" in each["sql"]]
    assert (statement["user"], statement["role"], statement["warehouse"]) == (
        "TRANSFORMER",
        "TRANSFORMER",
        "TRANSFORMING",
    )
    assert statement["query_tag"] == '{"app": "dvd_rental", "deployment": "production"}'


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
    "-- a comment\nselect column1 from values (1)",
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
def test_a_read_only_statement_is_accepted(sql: str) -> None:
    require_read_only(sql)


@pytest.mark.parametrize("sql", WRITES)
def test_any_other_statement_is_rejected_before_it_is_sent(sql: str) -> None:
    with pytest.raises(WarehouseError, match="rejected the statement"):
        require_read_only(sql)


def test_a_failed_statement_is_reported_with_the_message_of_snowflake(login: SnowflakeLogin) -> None:
    with pytest.raises(WarehouseError, match="does not exist or not authorized"):
        query(login, "select * from reports.nothing")


def test_a_wrong_key_is_rejected_at_once_with_a_message(login: SnowflakeLogin, tmp_path: Path) -> None:
    new_private_key(tmp_path / "other.pem")
    started = time.monotonic()
    with pytest.raises(WarehouseError, match=r"does not accept the key of the user TRANSFORMER.*describe user"):
        query(replace(login, key=tmp_path / "other.pem"))
    assert time.monotonic() - started < 5


def test_an_unknown_user_is_rejected_like_a_wrong_key(login: SnowflakeLogin) -> None:
    with pytest.raises(WarehouseError, match="does not accept the key of the user NOBODY"):
        query(replace(login, user="NOBODY"))


def test_two_failed_requests_are_repeated(login: SnowflakeLogin, server: SnowflakeStandIn) -> None:
    server.fail(1, status=503, path="/session/v1/login-request")
    server.fail(1, status=500, path="/queries")
    assert query(replace(login, statement_timeout=30, login_timeout=30)) == [{"one": 1}]


@pytest.mark.parametrize("path", ["/session/v1/login-request", "/queries"])
@pytest.mark.parametrize("status", [500, 503, 0])
def test_a_server_that_keeps_failing_ends_in_one_error_within_the_limit(
    login: SnowflakeLogin, server: SnowflakeStandIn, path: str, status: int
) -> None:
    server.fail(1000, status=status, path=path)
    failing = replace(login, login_timeout=1) if "login" in path else replace(login, statement_timeout=1)
    started = time.monotonic()
    with pytest.raises(WarehouseError, match=r"Snowflake at 127.0.0.1 did not respond correctly for \d+ s"):
        query(failing)
    assert time.monotonic() - started < 40


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_server_that_does_not_respond_ends_in_one_error_within_the_limit(
    login: SnowflakeLogin, server: SnowflakeStandIn
) -> None:
    server.delay(60, requests=100, path="/queries")
    started = time.monotonic()
    with pytest.raises(WarehouseError, match="did not respond correctly"):
        query(replace(login, statement_timeout=1))
    assert time.monotonic() - started < 40


def test_a_statement_that_takes_too_long_is_cancelled(login: SnowflakeLogin, server: SnowflakeStandIn) -> None:
    server.delay(1.5, requests=1, path="/queries/v1/query-request")
    with pytest.raises(WarehouseError, match="DVD_RENTAL_SNOWFLAKE_STATEMENT_TIMEOUT"):
        query(replace(login, statement_timeout=1, login_timeout=30))


def test_a_closed_port_ends_in_one_error_within_the_limit(login: SnowflakeLogin) -> None:
    started = time.monotonic()
    with pytest.raises(WarehouseError, match="did not respond correctly"):
        query(replace(login, port=1, login_timeout=1))
    assert time.monotonic() - started < 40


def test_a_key_may_have_a_passphrase_and_may_be_a_value_or_a_file(
    login: SnowflakeLogin, server: SnowflakeStandIn
) -> None:
    server.write_key(server.folder / "locked.pem", passphrase="planted-passphrase")
    locked = server.folder / "locked.pem"
    assert query(replace(login, key=locked, passphrase="planted-passphrase")) == [{"one": 1}]
    assert query(replace(login, key=locked.read_text(), passphrase="planted-passphrase")) == [{"one": 1}]
    assert query(replace(login, key=server.private_key_path.read_text())) == [{"one": 1}]
    body = "".join(server.private_key_path.read_text().splitlines()[1:-1])
    assert query(replace(login, key=body)) == [{"one": 1}], "base64 of DER, as dbt takes it"
    with pytest.raises(SettingsError, match="it needs a passphrase"):
        read_private_key(locked, None)
    with pytest.raises(SettingsError, match="is wrong") as caught:
        read_private_key(locked, "planted-other")
    assert "planted" not in str(caught.value)


def test_an_invalid_key_is_reported_without_its_value(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        read_private_key(tmp_path / "nothing.pem", None)
    with pytest.raises(SettingsError, match="not a key in PEM") as caught:
        read_private_key("planted-secret", None)
    assert "planted-secret" not in str(caught.value)


def test_the_repr_of_a_login_has_no_secrets() -> None:
    login = SnowflakeLogin("account", "user", "planted-key", "planted-passphrase")
    assert "planted" not in repr(login)
