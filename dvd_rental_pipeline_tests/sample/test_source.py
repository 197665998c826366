"""Replacing the source database: all of it or nothing, and nothing left lying about."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg
import pytest

from dvd_rental_pipeline.sample.database import KEYS, is_empty, row_counts, staged_database
from dvd_rental_pipeline.sample.errors import SourceError
from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres
from dvd_rental_pipeline_tests.sample.queries import databases, fingerprint, value


@pytest.fixture
def filled_url(database_url: str) -> str:
    """A database that holds a little."""
    _make_tables(database_url)
    with psycopg.connect(database_url) as connection:
        connection.execute("insert into country values (1), (2)")
        connection.execute("insert into rental values (3)")
    return database_url


def _make_tables(url: str, *, without: str = "", renamed: str = "") -> None:
    with psycopg.connect(url) as connection:
        for table, key in KEYS.items():
            if table != without:
                columns = ", ".join(f"{name}{'_' if table == renamed else ''} integer" for name in key)
                connection.execute(
                    f"create table {table} ({columns}, primary key ({columns.replace(' integer', '')}))"
                )


def test_what_was_filled_takes_the_place_of_the_old(filled_url: str) -> None:
    before = databases(filled_url)

    with staged_database(filled_url) as aside:
        _make_tables(aside)
        with psycopg.connect(aside) as connection:
            connection.execute("insert into country values (7)")
        assert row_counts(filled_url)["country"] == 2

    assert row_counts(filled_url) == {**dict.fromkeys(KEYS, 0), "country": 1}
    assert databases(filled_url) == before


def test_a_database_that_does_not_exist_yet_is_made(postgres: EmbeddedPostgres) -> None:
    url = postgres.url("not there yet")
    assert is_empty(url)

    with staged_database(url) as aside:
        _make_tables(aside)

    assert row_counts(url) == dict.fromkeys(KEYS, 0)
    assert is_empty(url)


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_the_old_data_and_no_debris(filled_url: str, failure: type[BaseException]) -> None:
    before, names = fingerprint(filled_url), databases(filled_url)

    with pytest.raises(failure), staged_database(filled_url) as aside:  # noqa: PT012
        _make_tables(aside)
        raise failure

    assert fingerprint(filled_url) == before
    assert databases(filled_url) == names


def test_a_database_without_one_of_the_tables_is_refused_by_name(filled_url: str) -> None:
    before, names = fingerprint(filled_url), databases(filled_url)

    with (
        pytest.raises(SourceError, match=r"lacks the tables film_actor\b"),
        staged_database(filled_url) as aside,
    ):
        _make_tables(aside, without="film_actor")

    assert fingerprint(filled_url) == before
    assert databases(filled_url) == names


def test_a_database_with_other_keys_is_refused_by_name(database_url: str) -> None:
    with (
        pytest.raises(SourceError, match=r"the columns film_actor\.actor_id, film_actor\.film_id"),
        staged_database(database_url) as aside,
    ):
        _make_tables(aside, renamed="film_actor")


def test_tables_and_columns_beyond_the_15_are_welcome(database_url: str) -> None:
    with staged_database(database_url) as aside:
        _make_tables(aside)
        with psycopg.connect(aside) as connection:
            connection.execute("create table wishes (wish text)")
            connection.execute("alter table customer add nickname text")
            # As in some variants of the database.
            connection.execute("drop table payment")
            connection.execute(
                "create table payment (payment_id integer, paid date, primary key (payment_id, paid))"
                " partition by range (paid)"
            )

    assert value(database_url, "select count(*) from wishes") == 0
    assert "payment" in row_counts(database_url)


def test_those_who_use_the_old_database_do_not_hinder_it(filled_url: str) -> None:
    with psycopg.connect(filled_url, autocommit=True) as user:
        user.execute("begin")
        user.execute("select count(*) from rental")
        with staged_database(filled_url) as aside:
            _make_tables(aside)
        with pytest.raises(psycopg.OperationalError):
            user.execute("select 1")

    assert row_counts(filled_url)["rental"] == 0


def test_those_who_keep_connecting_do_not_hinder_it(filled_url: str) -> None:
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
        with staged_database(filled_url) as aside:
            _make_tables(aside)
    finally:
        done.set()
        for user in users:
            user.join()

    assert row_counts(filled_url)["rental"] == 0


def test_the_old_databases_replication_slots_go_with_it(filled_url: str) -> None:
    with psycopg.connect(filled_url, autocommit=True) as connection:
        connection.execute("select pg_create_logical_replication_slot('slot_of_the_old', 'pgoutput')")

    with staged_database(filled_url) as aside:
        _make_tables(aside)

    assert (
        value(filled_url, "select count(*) from pg_replication_slots where slot_name = 'slot_of_the_old'") == 0
    )


def test_a_second_one_at_the_same_time_is_refused(filled_url: str) -> None:
    with staged_database(filled_url) as aside:
        _make_tables(aside)
        with pytest.raises(SourceError, match="Another process is filling"), staged_database(filled_url):
            pass  # never entered

    assert row_counts(filled_url)["rental"] == 0


def test_the_debris_of_a_killed_attempt_is_removed_by_the_next(filled_url: str, tmp_path: Path) -> None:
    before, names = fingerprint(filled_url), databases(filled_url)
    program = tmp_path / "killed.py"
    program.write_text(
        "import sys, time\n"
        "from dvd_rental_pipeline.sample.database import staged_database\n"
        "with staged_database(sys.argv[1]):\n"
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

    # The server notices in its own time that the client has gone.
    deadline = time.monotonic() + 20
    while True:
        try:
            with staged_database(filled_url) as aside:
                _make_tables(aside)
        except SourceError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            break

    assert databases(filled_url) == names


def test_a_long_name_leaves_room_for_the_companions(postgres: EmbeddedPostgres) -> None:
    url = postgres.url("ä" * 31)
    with staged_database(url) as aside:
        _make_tables(aside)

    assert is_empty(url)


def test_a_user_who_may_not_create_databases_is_told_so(filled_url: str, postgres: EmbeddedPostgres) -> None:
    name = f"guest_{os.getpid()}"
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
        admin.execute(f"create role {name}")
    try:
        with (
            pytest.raises(SourceError, match=r"may not create databases .* createdb"),
            staged_database(f"{filled_url}&options=-crole%3D{name}"),
        ):
            pass  # never entered
    finally:
        with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
            admin.execute(f"drop role {name}")


@pytest.mark.parametrize(
    "url", ["postgresql://nobody@127.0.0.1:1/x", "postgresql://127.0.0.1", "no url at all"]
)
def test_a_server_that_cannot_be_reached_is_one_clear_message(url: str) -> None:
    with (
        pytest.raises(SourceError, match=r"cannot be reached|names no database|malformed"),
        staged_database(url),
    ):
        pass  # never entered


def test_an_unreachable_server_is_not_taken_for_an_empty_one() -> None:
    with pytest.raises(psycopg.OperationalError):
        is_empty("postgresql://nobody@127.0.0.1:1/x")


def test_a_single_row_is_not_empty(database_url: str) -> None:
    assert is_empty(database_url)
    _make_tables(database_url)
    assert is_empty(database_url)
    with psycopg.connect(database_url) as connection:
        connection.execute("insert into language values (1)")
    assert not is_empty(database_url)
