"""Simulated business activity: every kind of change on every table, with consistent data."""

import threading
import time
from pathlib import Path

import psycopg
import pytest

from dvd_rental_pipeline.sample.dvd_rental import simulator
from dvd_rental_pipeline.sample.dvd_rental.generator.generate import generate
from dvd_rental_pipeline.sample.dvd_rental.simulator import simulate
from dvd_rental_pipeline.sample.dvd_rental.tables import DVD_RENTAL_TABLES
from dvd_rental_pipeline.sample.dvd_rental.traffic.events import WEIGHTS
from dvd_rental_pipeline.sample.dvd_rental.traffic.session import TrafficSession
from dvd_rental_pipeline.sample.errors import SourceError
from dvd_rental_pipeline.sample.restore.restore import restore
from dvd_rental_pipeline_tests.sample.queries import fingerprint, rows, value


@pytest.fixture
def journaled_url(database_url: str) -> str:
    """A database of sample data, with a journal of all changes."""
    generate(database_url, scale=0.1)
    _create_journal(database_url)
    return database_url


@pytest.fixture
def journaled_real_url(database_url: str, real_dump: Path) -> str:
    """The real database, with a journal of all changes."""
    restore(database_url, [real_dump], DVD_RENTAL_TABLES)
    _create_journal(database_url)
    return database_url


def _create_journal(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(
            "create table journal (table_name text, operation text, old jsonb, new jsonb, xid bigint)"
        )
        connection.execute(
            "create function keep() returns trigger language plpgsql as $$ begin"
            " insert into journal values (tg_table_name, tg_op, to_jsonb(old), to_jsonb(new), txid_current());"
            " return null; end $$"
        )
        for table in DVD_RENTAL_TABLES.primary_keys:
            connection.execute(
                psycopg.sql.SQL(
                    "create trigger keep after insert or update or delete on {}"
                    " for each row execute function keep()"
                ).format(psycopg.sql.Identifier(table))
            )


@pytest.mark.parametrize("data", ["journaled_url", "journaled_real_url"])
def test_500_events_change_every_table_and_keep_data_consistent(
    data: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue(data)
    before = DVD_RENTAL_TABLES.row_counts(url)

    counts = simulate(url, events=500, seed=7)

    assert sum(counts.values()) == 500
    assert {event.__name__ for event in WEIGHTS} - set(counts) == set()
    done = set(rows(url, "select distinct table_name, operation from journal"))
    assert {
        (table, operation)
        for table in DVD_RENTAL_TABLES.primary_keys
        for operation in ("INSERT", "UPDATE", "DELETE")
    } - done == set()
    assert DVD_RENTAL_TABLES.row_counts(url)["rental"] > before["rental"]
    _assert_consistent(url)
    _assert_keys_changed_and_rows_restored(url)
    _assert_some_transactions_touch_several_tables(url)


def _assert_keys_changed_and_rows_restored(url: str) -> None:
    assert value(
        url,
        "select count(*) from journal where operation = 'UPDATE' and table_name = 'film_category'"
        " and old -> 'category_id' <> new -> 'category_id'",
    )
    assert value(
        url,
        "select count(*) from journal deleted join journal restored"
        " on restored.new = deleted.old and restored.xid > deleted.xid"
        " where deleted.operation = 'DELETE' and restored.operation = 'INSERT'",
    )


def _assert_some_transactions_touch_several_tables(url: str) -> None:
    widest = value(
        url,
        "select max(tables) from (select count(distinct table_name) as tables from journal group by xid) as t",
    )
    assert widest >= 3


def test_events_have_the_current_time(journaled_url: str) -> None:
    start = value(journaled_url, "select localtimestamp")

    simulate(journaled_url, events=100, seed=2)

    for table, moment in (("rental", "rental_date"), ("payment", "payment_date")):
        with psycopg.connect(journaled_url) as connection:
            latest = connection.execute(
                psycopg.sql.SQL("select max({}), localtimestamp from {}").format(
                    psycopg.sql.Identifier(moment), psycopg.sql.Identifier(table)
                )
            ).fetchone()
        assert latest is not None
        assert start <= latest[0] <= latest[1]


def test_rolled_back_rental_changes_nothing(journaled_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    roll_back = next(event for event in WEIGHTS if event.__name__ == "rent_and_roll_back")
    monkeypatch.setattr("dvd_rental_pipeline.sample.dvd_rental.simulator.WEIGHTS", {roll_back: 1})
    before = fingerprint(journaled_url)

    assert simulate(journaled_url, events=5) == {"rent_and_roll_back": 5}

    assert fingerprint(journaled_url) == before


def test_same_seed_makes_the_same_choices(journaled_url: str) -> None:
    first = simulate(journaled_url, events=100, seed=3)
    generate(journaled_url, scale=0.1)

    assert simulate(journaled_url, events=100, seed=3) == first
    assert simulate(journaled_url, events=100, seed=4) != first


@pytest.mark.slow
def test_four_concurrent_simulations_keep_data_consistent(journaled_url: str) -> None:
    failures: list[BaseException] = []

    def run(seed: int) -> None:
        try:
            simulate(journaled_url, events=150, seed=seed)
        except SourceError as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in (1, 2, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    _assert_consistent(journaled_url)


@pytest.mark.slow
def test_deadlocked_event_is_retried(journaled_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    both_locked_one = threading.Barrier(2)
    waited = threading.local()

    def change_two_films(session: TrafficSession) -> None:
        films = ordered[threading.current_thread().name]
        session.run("update film set length = length where film_id = %s", films[:1])
        if not hasattr(waited, "once"):
            waited.once = True
            both_locked_one.wait(timeout=30)
        session.run("update film set length = length where film_id = %s", films[1:])

    monkeypatch.setattr(simulator, "WEIGHTS", {change_two_films: 1})
    ordered = {"up": [1, 2], "down": [2, 1]}
    counts: list[dict[str, int]] = []
    threads = [
        threading.Thread(target=lambda: counts.append(simulate(journaled_url, events=3)), name=name)
        for name in ordered
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert counts == [{"change_two_films": 3}] * 2


def test_rate_is_kept_and_progress_reported(journaled_url: str) -> None:
    progress: list[str] = []
    start = time.monotonic()

    simulate(journaled_url, events=50, rate=100, seed=5, on_progress=progress.append)

    assert time.monotonic() - start >= 0.49
    assert progress


def test_simulation_ends_early_when_stopped(journaled_url: str) -> None:
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    start = time.monotonic()

    counts = simulate(journaled_url, events=100_000, rate=20, stop=stop)

    assert 1 <= sum(counts.values()) < 1000
    assert time.monotonic() - start < 30


def test_empty_database_is_refused(database_url: str) -> None:
    with pytest.raises(SourceError, match="source generate"):
        simulate(database_url)


@pytest.mark.parametrize("arguments", [{"events": -1}, {"rate": 0}])
def test_arguments_out_of_range_are_refused(database_url: str, arguments: dict[str, int]) -> None:
    with pytest.raises(SourceError, match="must"):
        simulate(database_url, **arguments)  # type: ignore[arg-type]


def _assert_consistent(url: str) -> None:
    assert (
        rows(
            url,
            "select a.rental_id, b.rental_id from rental a join rental b using (inventory_id)"
            " where a.rental_id <> b.rental_id and a.rental_date <= b.rental_date"
            " and b.rental_date < coalesce(a.return_date, 'infinity')",
        )
        == []
    )
    assert rows(url, "select from rental where return_date < rental_date") == []
    assert (
        rows(
            url,
            "select from customer where store_id not in (select store_id from store)"
            " union all select from inventory where store_id not in (select store_id from store)"
            " union all select from staff where store_id not in (select store_id from store)",
        )
        == []
    )
    assert rows(url, "select from film where film_id not in (select film_id from film_category)") == []
    # The database enforces foreign keys unless they were disabled.
    assert value(url, "select count(*) from pg_constraint where contype = 'f' and not convalidated") == 0
    with psycopg.connect(url) as connection:
        for name, child, column, parent in connection.execute(
            "select conname, conrelid::regclass::text, attname, confrelid::regclass::text"
            " from pg_constraint join pg_attribute on attrelid = conrelid and attnum = conkey[1]"
            " where contype = 'f'"
        ).fetchall():
            key = DVD_RENTAL_TABLES.primary_keys[parent][0]
            orphans = connection.execute(
                psycopg.sql.SQL(
                    "select count(*) from {} as child where not exists"
                    " (select from {} as parent where parent.{} = child.{})"
                ).format(*map(psycopg.sql.Identifier, (child, parent, key, column)))
            ).fetchone()
            assert orphans == (0,), name
