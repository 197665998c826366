"""Whatever the API answers: a load succeeds or ends in a message, no bad row is stored, no good one is lost."""

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvd_rental_pipeline.ingestion.http.json_client import HttpError, JsonClient, Limits
from dvd_rental_pipeline.pipelines.signups.load import load_due_minutes
from dvd_rental_pipeline.pipelines.signups.store import SignupsStore, open_store
from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres
from dvd_rental_pipeline.sample.signups_api.faults import Answer
from dvd_rental_pipeline.sample.signups_api.server import SignupsApi, running_signups_api
from dvd_rental_pipeline.sample.signups_api.users import build_page
from dvd_rental_pipeline_tests.pipelines.signups.records import NOON

SIZE = 3
ONCE = Limits(timeout=5, attempts=1)
BEFORE = NOON - timedelta(minutes=2)
PAGE = build_page("2026-03-01", 12 * 60, SIZE, ["DE", "GB"], NOON)

BAD_ROWS = """
    select count(*) from signups.users
    where gender not in ('female', 'male') or email not like '%_@_%' or '' in (first_name, country, username)
       or date_of_birth not between '1900-01-01' and '2099-12-31' or nationality !~ '^[A-Z][A-Z]$'
       or abs(latitude) > 90 or abs(longitude) > 180 or street_number < 0
"""

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=5,
)


@st.composite
def changed_documents(draw: st.DrawFn) -> bytes:
    """The right document, with values replaced or removed anywhere in it."""
    document = json.loads(json.dumps(PAGE))
    for _ in range(draw(st.integers(1, 3))):
        target: Any = document
        while True:
            keys = list(target) if isinstance(target, dict) else list(range(len(target)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(target[key], dict | list) and draw(st.integers(0, 3)):
                target = target[key]
            elif draw(st.booleans()):
                target[key] = draw(VALUES)
                break
            else:
                del target[key]
                break
    return json.dumps(document).encode()


@st.composite
def damaged_bodies(draw: st.DrawFn) -> bytes:
    """The right body, with some bytes replaced by others."""
    body = json.dumps(PAGE).encode()
    start = draw(st.integers(0, len(body)))
    end = draw(st.integers(start, min(start + 20, len(body))) | st.just(len(body)))
    return body[:start] + draw(st.binary(max_size=20)) + body[end:]


BODIES = (
    changed_documents()
    | damaged_bodies()
    | st.binary(max_size=200)
    | VALUES.map(lambda value: json.dumps(value).encode())
)


@pytest.fixture(scope="module")
def served(postgres: EmbeddedPostgres) -> Iterator[tuple[SignupsApi, SignupsStore, str]]:
    """The API, the store, and the URL of its database, which are the same for all bodies."""
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
        admin.execute("create database malformed template template0")
    url = postgres.url("malformed")
    with running_signups_api() as api, open_store(url) as store:
        yield api, store, url
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
        admin.execute("drop database malformed with (force)")


def _load_answer(api: SignupsApi, store: SignupsStore, url: str, body: bytes) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("truncate signups.users, signups.rejected_records, signups.loaded_batches")
        store.load(BEFORE, [], [])
        api.answer = lambda _: Answer(200, body)  # type: ignore[method-assign]
        client = JsonClient(api.url, ONCE)
        loaded = False
        with suppress(HttpError):
            loaded = load_due_minutes(store, client, NOON, batch_size=SIZE).minutes == 1
        stored = {str(uuid) for (uuid,) in connection.execute("select user_uuid from signups.users")}
        (bad,) = connection.execute(BAD_ROWS).fetchone() or (None,)
    assert bad == 0
    # A minute that is not loaded is requested again.
    assert store.last_minute() == (NOON - timedelta(minutes=1) if loaded else BEFORE)
    good = set()
    if loaded:
        records = json.loads(body)["results"]
        good = {user["login"]["uuid"] for user in PAGE["results"] if user in records}
    assert good <= stored
    assert len(stored) <= (SIZE if loaded else 0)


@settings(max_examples=25)
@given(body=BODIES)
def test_malformed_bodies_do_no_harm(served: tuple[SignupsApi, SignupsStore, str], body: bytes) -> None:
    _load_answer(*served, body)


@pytest.mark.heavy
@settings(max_examples=1000)
@given(body=BODIES)
def test_a_thousand_malformed_bodies_do_no_harm(
    served: tuple[SignupsApi, SignupsStore, str], body: bytes
) -> None:
    _load_answer(*served, body)
