"""Atomic replacement of a source database, and cleanup after failures."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg
import pytest

from dvd_rental_pipeline.sample.dvd_rental.tables import DVD_RENTAL_TABLES
from dvd_rental_pipeline.sample.errors import SourceError
from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres
from dvd_rental_pipeline.sample.staged_database import staged_database
from dvd_rental_pipeline_tests.sample.queries import databases, fingerprint, value

TABLES = DVD_RENTAL_TABLES


@pytest.fixture
def filled_url(database_url: str) -> str:
    """A database with three rows."""
    _create_tables(database_url)
    with psycopg.connect(database_url) as connection:
        connection.execute("insert into country values (1), (2)")
        connection.execute("insert into rental values (3)")
    return database_url


def _create_tables(url: str, *, without: str = "", renamed: str = "") -> None:
    with psycopg.connect(url) as connection:
        for table, key in TABLES.primary_keys.items():
            if table != without:
                columns = ", ".join(f"{name}{'_' if table == renamed else ''} integer" for name in key)
                connection.execute(
                    f"create table {table} ({columns}, primary key ({columns.replace(' integer', '')}))"
                )


def test_staged_database_replaces_the_old_one(filled_url: str) -> None:
    before = databases(filled_url)

    with staged_database(filled_url, TABLES) as staged_url:
        _create_tables(staged_url)
        with psycopg.connect(staged_url) as connection:
            connection.execute("insert into country values (7)")
        assert TABLES.row_counts(filled_url)["country"] == 2

    assert TABLES.row_counts(filled_url) == {**dict.fromkeys(TABLES.primary_keys, 0), "country": 1}
    assert databases(filled_url) == before


def test_missing_database_is_created(postgres: EmbeddedPostgres) -> None:
    url = postgres.url("not there yet")
    assert TABLES.are_missing(url)

    with staged_database(url, TABLES) as staged_url:
        _create_tables(staged_url)

    assert TABLES.row_counts(url) == dict.fromkeys(TABLES.primary_keys, 0)
    assert not TABLES.are_missing(url)


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_failure_keeps_old_data_and_leaves_no_databases(filled_url: str, failure: type[BaseException]) -> None:
    before, names = fingerprint(filled_url), databases(filled_url)

    with pytest.raises(failure), staged_database(filled_url, TABLES) as staged_url:  # noqa: PT012
        _create_tables(staged_url)
        raise failure

    assert fingerprint(filled_url) == before
    assert databases(filled_url) == names


def test_missing_table_is_refused_by_name(filled_url: str) -> None:
    before, names = fingerprint(filled_url), databases(filled_url)

    with (
        pytest.raises(SourceError, match=r"lacks the tables film_actor\b"),
        staged_database(filled_url, TABLES) as staged_url,
    ):
        _create_tables(staged_url, without="film_actor")

    assert fingerprint(filled_url) == before
    assert databases(filled_url) == names


def test_missing_key_columns_are_refused_by_name(database_url: str) -> None:
    with (
        pytest.raises(SourceError, match=r"the columns film_actor\.actor_id, film_actor\.film_id"),
        staged_database(database_url, TABLES) as staged_url,
    ):
        _create_tables(staged_url, renamed="film_actor")


def test_further_tables_and_columns_are_accepted(database_url: str) -> None:
    with staged_database(database_url, TABLES) as staged_url:
        _create_tables(staged_url)
        with psycopg.connect(staged_url) as connection:
            connection.execute("create table wishes (wish text)")
            connection.execute("alter table customer add nickname text")
            # As in some variants of the database.
            connection.execute("drop table payment")
            connection.execute(
                "create table payment (payment_id integer, paid date, primary key (payment_id, paid))"
                " partition by range (paid)"
            )

    assert value(database_url, "select count(*) from wishes") == 0
    assert "payment" in TABLES.row_counts(database_url)


def test_open_transactions_on_the_old_database_are_ended(filled_url: str) -> None:
    with psycopg.connect(filled_url, autocommit=True) as user:
        user.execute("begin")
        user.execute("select count(*) from rental")
        with staged_database(filled_url, TABLES) as staged_url:
            _create_tables(staged_url)
        with pytest.raises(psycopg.OperationalError):
            user.execute("select 1")

    assert TABLES.row_counts(filled_url)["rental"] == 0


def test_repeated_connections_do_not_prevent_the_swap(filled_url: str) -> None:
    done = threading.Event()

    def keep_connecting() -> None:
        while not done.is_set():
            try:
                with psycopg.connect(filled_url) as connection:
                    connection.execute("select pg_sleep(0.2)")
            except psycopg.Error:
                continue

    users = [threading.Thread(target=keep_connecting) for _ in range(2)]
    for user in users:
        user.start()
    try:
        with staged_database(filled_url, TABLES) as staged_url:
            _create_tables(staged_url)
    finally:
        done.set()
        for user in users:
            user.join()

    assert TABLES.row_counts(filled_url)["rental"] == 0


def test_replication_slots_of_the_old_database_are_dropped(filled_url: str) -> None:
    with psycopg.connect(filled_url, autocommit=True) as connection:
        connection.execute("select pg_create_logical_replication_slot('old_slot', 'pgoutput')")

    with staged_database(filled_url, TABLES) as staged_url:
        _create_tables(staged_url)

    assert value(filled_url, "select count(*) from pg_replication_slots where slot_name = 'old_slot'") == 0


def test_concurrent_replacement_is_refused(filled_url: str) -> None:
    with staged_database(filled_url, TABLES) as staged_url:
        _create_tables(staged_url)
        with (
            pytest.raises(SourceError, match="Another process is filling"),
            staged_database(filled_url, TABLES),
        ):
            pass  # never entered

    assert TABLES.row_counts(filled_url)["rental"] == 0


def test_leftovers_of_a_killed_attempt_are_removed_by_the_next(filled_url: str, tmp_path: Path) -> None:
    before, names = fingerprint(filled_url), databases(filled_url)
    program = tmp_path / "killed.py"
    program.write_text(
        "import sys, time\n"
        "from dvd_rental_pipeline.sample.dvd_rental.tables import DVD_RENTAL_TABLES\n"
        "from dvd_rental_pipeline.sample.staged_database import staged_database\n"
        "with staged_database(sys.argv[1], DVD_RENTAL_TABLES):\n"
        "    print('filling', flush=True)\n"
        "    time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, program, filled_url], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "filling\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert fingerprint(filled_url) == before
    assert databases(filled_url) > names

    # The server detects the end of the client with a delay.
    deadline = time.monotonic() + 20
    while True:
        try:
            with staged_database(filled_url, TABLES) as staged_url:
                _create_tables(staged_url)
        except SourceError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            break

    assert databases(filled_url) == names


def test_long_database_name_is_truncated_in_temporary_names(postgres: EmbeddedPostgres) -> None:
    url = postgres.url("ä" * 31)
    with staged_database(url, TABLES) as staged_url:
        _create_tables(staged_url)

    assert not TABLES.are_missing(url)


def test_user_without_createdb_gets_the_grant_to_execute(filled_url: str, postgres: EmbeddedPostgres) -> None:
    name = f"guest_{os.getpid()}"
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
        admin.execute(f"create role {name}")
    try:
        with (
            pytest.raises(SourceError, match=r"may not create databases .* createdb"),
            staged_database(f"{filled_url}&options=-crole%3D{name}", TABLES),
        ):
            pass  # never entered
    finally:
        with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
            admin.execute(f"drop role {name}")


@pytest.mark.parametrize(
    "url", ["postgresql://nobody@127.0.0.1:1/x", "postgresql://127.0.0.1", "no url at all"]
)
def test_unreachable_server_or_malformed_url_is_reported(url: str) -> None:
    with (
        pytest.raises(SourceError, match=r"cannot be reached|names no database|malformed"),
        staged_database(url, TABLES),
    ):
        pass  # never entered
