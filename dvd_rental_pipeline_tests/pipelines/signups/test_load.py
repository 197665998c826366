"""From the API over a socket into PostgreSQL: nothing twice, nothing lost."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from dvd_rental_pipeline.ingestion.http.json_client import HttpError, JsonClient
from dvd_rental_pipeline.pipelines.signups.batch import BatchRequest
from dvd_rental_pipeline.pipelines.signups.load import MAX_MINUTES, LoadReport, due_minutes, load_due_minutes
from dvd_rental_pipeline.pipelines.signups.store import SignupsStore, SignupsStoreError, open_store
from dvd_rental_pipeline.pipelines.signups.validation import validate
from dvd_rental_pipeline.sample.signups_api.faults import Fault
from dvd_rental_pipeline.sample.signups_api.server import SignupsApi, running_signups_api
from dvd_rental_pipeline.sample.signups_api.users import COUNTRIES, build_page
from dvd_rental_pipeline_tests.pipelines.signups.records import NOON, QUICK, change, record, without

MINUTE = timedelta(minutes=1)
SIZE = 5


@pytest.fixture
def api() -> Iterator[SignupsApi]:
    with running_signups_api() as api:
        yield api


@pytest.fixture
def store(database_url: str) -> Iterator[SignupsStore]:
    with open_store(database_url) as store:
        yield store


def _load(store: SignupsStore, api: SignupsApi, now: datetime) -> LoadReport:
    return load_due_minutes(store, JsonClient(api.url, QUICK), now, batch_size=SIZE)


def _rows(url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement).fetchall()


def _given_by_the_api(minutes: list[datetime]) -> set[str]:
    return {
        user["login"]["uuid"]
        for minute in minutes
        for user in build_page(
            f"{minute:%Y-%m-%d}", minute.hour * 60 + minute.minute + 1, SIZE, sorted(COUNTRIES), NOON
        )["results"]
    }


def _stored(url: str) -> list[str]:
    return [str(uuid) for (uuid,) in _rows(url, "select user_uuid from signups.users")]


def test_the_first_load_takes_the_latest_complete_minute(
    store: SignupsStore, api: SignupsApi, database_url: str
) -> None:
    report = _load(store, api, NOON + timedelta(seconds=30))
    assert (report.minutes, report.last_minute, report.rows.inserted) == (1, NOON - MINUTE, SIZE)
    assert set(_stored(database_url)) == _given_by_the_api([NOON - MINUTE])


def test_nothing_is_due_within_a_minute(store: SignupsStore, api: SignupsApi) -> None:
    _load(store, api, NOON)
    assert _load(store, api, NOON + timedelta(seconds=59)).minutes == 0
    assert api.requests == 1


def test_missed_minutes_are_caught_up(store: SignupsStore, api: SignupsApi, database_url: str) -> None:
    _load(store, api, NOON)
    report = _load(store, api, NOON + 4 * MINUTE)
    assert (report.minutes, report.minutes_due) == (4, 0)
    stored = _stored(database_url)
    assert len(stored) == len(set(stored))
    assert set(stored) == _given_by_the_api([NOON + number * MINUTE for number in range(-1, 4)])


def test_a_long_outage_is_caught_up_in_parts() -> None:
    assert len(due_minutes(NOON, NOON + timedelta(days=1))) == 1439
    assert MAX_MINUTES < 1439


def test_the_clock_going_back_loads_nothing() -> None:
    assert due_minutes(NOON, NOON - timedelta(hours=1)) == []


def test_an_outage_keeps_what_came_before_it_and_the_next_load_continues(
    store: SignupsStore, api: SignupsApi, database_url: str
) -> None:
    _load(store, api, NOON)
    api.faults.extend([Fault.NO_RESULTS] * QUICK.attempts)
    with pytest.raises(HttpError, match="5 users were requested, and the answer has 0"):
        _load(store, api, NOON + 3 * MINUTE)
    assert store.last_minute() == NOON - MINUTE
    _load(store, api, NOON + 3 * MINUTE)
    assert set(_stored(database_url)) == _given_by_the_api([NOON + number * MINUTE for number in range(-1, 3)])


@pytest.mark.parametrize("fault", sorted(set(Fault)))
def test_outage_of_any_kind_loses_nothing(
    store: SignupsStore, api: SignupsApi, database_url: str, fault: Fault
) -> None:
    _load(store, api, NOON)
    api.faults.extend([fault] * QUICK.attempts)
    with pytest.raises(HttpError):
        _load(store, api, NOON + MINUTE)
    api.faults.clear()
    _load(store, api, NOON + MINUTE)
    assert set(_stored(database_url)) == _given_by_the_api([NOON - MINUTE, NOON])


def test_a_batch_loaded_again_changes_nothing(store: SignupsStore, database_url: str) -> None:
    users, rejections = validate([record(1), record(2), {}])
    store.load(NOON, users, rejections)
    tables = ("users", "loaded_batches", "rejected_records")
    before = [_rows(database_url, f"select xmin, t.* from signups.{table} t order by 2") for table in tables]
    again = store.load(NOON, list(reversed(users)), rejections)
    assert (again.inserted, again.updated) == (0, 0)
    assert [
        _rows(database_url, f"select xmin, t.* from signups.{table} t order by 2") for table in tables
    ] == before


def test_a_row_changes_only_where_it_differs(store: SignupsStore, database_url: str) -> None:
    store.load(NOON, validate([record(1), record(2)])[0], [])
    changed = validate([record(1), change(record(2), "phone", "0123")])[0]
    batch = store.load(NOON + MINUTE, changed, [])
    assert (batch.inserted, batch.updated) == (0, 1)
    rows = _rows(database_url, "select phone, updated_at > first_seen_at from signups.users")
    assert [phone for phone, is_updated in rows if is_updated] == ["0123"]


def test_an_older_batch_does_not_overwrite_a_newer_one(store: SignupsStore, database_url: str) -> None:
    store.load(NOON, validate([change(record(1), "phone", "new")])[0], [])
    store.load(NOON - MINUTE, validate([change(record(1), "phone", "old"), record(2)])[0], [])
    phones = [phone for (phone,) in _rows(database_url, "select phone from signups.users")]
    assert "old" not in phones
    assert len(phones) == 2


def test_rejected_records_are_kept_without_their_values(store: SignupsStore, database_url: str) -> None:
    users, rejections = validate([record(1), without(record(2), "email")])
    store.load(NOON, users, rejections)
    assert _rows(database_url, "select position, path, reason from signups.rejected_records") == [
        (1, "$", "lacks email")
    ]
    assert len(_stored(database_url)) == 1


def test_no_column_holds_a_secret(store: SignupsStore, database_url: str) -> None:
    columns = {
        name
        for (name,) in _rows(
            database_url, "select column_name from information_schema.columns where table_schema = 'signups'"
        )
    }
    assert "email" in columns
    assert not columns & {"password", "salt", "md5", "sha1", "sha256"}


def test_connection_that_is_lost_is_a_message(store: SignupsStore, api: SignupsApi, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as admin:
        admin.execute(
            "select pg_terminate_backend(pid, 10000) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
    with pytest.raises(SignupsStoreError, match="SIGNUPS_DATABASE_URL"):
        _load(store, api, NOON)


def test_database_that_cannot_be_reached_is_a_message_without_a_password() -> None:
    with (
        pytest.raises(SignupsStoreError, match="SIGNUPS_DATABASE_URL") as raised,
        open_store("postgresql://me:hunter2@127.0.0.1:1/db"),
    ):
        pass
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "value"), [("seed", "other"), ("page", 7), ("version", "1.3"), ("results", 4)]
)
def test_answer_to_another_request_is_refused(name: str, value: Any) -> None:
    request = BatchRequest(NOON, SIZE)
    document = build_page("2026-03-01", 721, SIZE, sorted(COUNTRIES), NOON)
    assert request.find_problem(document) is None
    document["info"][name] = value
    assert request.find_problem(document) is not None


@pytest.mark.parametrize("document", [None, [], "error", {}, {"results": []}, {"error": "Slow down"}])
def test_answer_without_an_envelope_is_refused(document: Any) -> None:
    assert BatchRequest(NOON, SIZE).find_problem(document) is not None
