"""Reading JSON over a real socket: outages are retried, limits hold, nothing of a body is quoted."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvd_rental_pipeline.ingestion.http.json_client import (
    HttpError,
    JsonClient,
    Limits,
    TransientHttpError,
    decode_json,
)
from dvd_rental_pipeline.ingestion.http.retry_after import parse_retry_after
from dvd_rental_pipeline.sample.signups_api.faults import Fault
from dvd_rental_pipeline.sample.signups_api.server import PATH, SignupsApi, running_signups_api

NOW = datetime(2026, 1, 1, tzinfo=UTC)
QUICK = Limits(timeout=5, attempts=3, first_delay=0.01, max_delay=0.02, max_bytes=2**20)


@pytest.fixture
def api() -> Iterator[SignupsApi]:
    with running_signups_api() as api:
        yield api


def _get(api: SignupsApi, limits: Limits = QUICK, messages: list[str] | None = None) -> object:
    client = JsonClient(api.url, limits, (messages if messages is not None else []).append)
    return client.get(
        PATH, {"results": 3, "seed": "s"}, lambda page: None if len(page["results"]) == 3 else "wrong count"
    )


@pytest.mark.parametrize("fault", sorted(set(Fault) - {Fault.REDIRECT, Fault.HUGE}))
def test_outage_that_passes_is_retried(api: SignupsApi, fault: Fault) -> None:
    api.faults.extend([fault, fault])
    messages: list[str] = []
    page = _get(api, messages=messages)
    assert isinstance(page, dict)
    assert len(page["results"]) == 3
    assert [message[-15:] for message in messages] == ["attempt 2 of 3.", "attempt 3 of 3."]


@pytest.mark.parametrize("fault", sorted(set(Fault) - {Fault.REDIRECT, Fault.HUGE}))
def test_outage_that_lasts_ends_in_an_error(api: SignupsApi, fault: Fault) -> None:
    api.faults.extend([fault] * 9)
    with pytest.raises(TransientHttpError):
        _get(api)
    assert api.requests == 3


@pytest.mark.parametrize(
    ("fault", "message"), [(Fault.REDIRECT, "a redirect"), (Fault.HUGE, "exceeds 1048576 bytes")]
)
def test_answer_that_will_not_change_is_not_retried(api: SignupsApi, fault: Fault, message: str) -> None:
    api.faults.append(fault)
    with pytest.raises(HttpError, match=message):
        _get(api)
    assert api.requests == 1


def test_retry_after_is_waited_for(api: SignupsApi) -> None:
    api.faults.append(Fault.RATE_LIMITED)
    api.retry_after = "1"
    began = time.monotonic()
    _get(api)
    assert time.monotonic() - began >= 1


def test_a_server_that_asks_for_too_long_a_delay_is_not_waited_for(api: SignupsApi) -> None:
    api.faults.append(Fault.RATE_LIMITED)
    api.retry_after = "3600"
    with pytest.raises(TransientHttpError, match="HTTP 429"):
        _get(api)
    assert api.requests == 1


def test_users_beyond_the_rate_limit_are_refused(api: SignupsApi) -> None:
    api.limit = 5
    _get(api)
    with pytest.raises(TransientHttpError, match="HTTP 429"):
        _get(api)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("7", 7),
        ("-3", 0),
        ("nan", None),
        ("soon", None),
        ("Thu, 01 Jan 2026 00:00:30 GMT", 30),
        ("Thu, 01 Jan 2026 00:00:30 -0000", 30),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, NOW) == seconds


@given(st.binary())
def test_any_body_is_a_document_or_an_error(body: bytes) -> None:
    with suppress(TransientHttpError):
        decode_json(body)


@pytest.mark.parametrize("body", [b"NaN", b"[" * 100_000, b"\xff{}", b"<html>", b'{"a": 1', b""])
def test_what_is_not_json_is_an_error(body: bytes) -> None:
    with pytest.raises(TransientHttpError):
        decode_json(body)


def test_nothing_of_a_body_is_quoted() -> None:
    with pytest.raises(TransientHttpError) as raised:
        decode_json(b'{"email": "ada@example.com"')
    assert "ada" not in str(raised.value)


@contextmanager
def _dripping_server() -> Iterator[str]:
    """A server that sends a byte every 50 ms, so that no single read times out."""
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            for _ in range(100):
                if ended.wait(0.05):
                    return
                try:
                    connection.sendall(b" ")
                except ConnectionError:
                    return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    ended.set()
    listener.close()
    thread.join()


def test_body_that_drips_is_given_up_after_the_timeout() -> None:
    message = r"no complete answer within 0\.5 s"
    with _dripping_server() as url, pytest.raises(TransientHttpError, match=message):
        JsonClient(url, Limits(timeout=0.5, attempts=1)).get("/", {}, lambda _: None)


def test_server_that_is_not_there_is_an_error() -> None:
    with running_signups_api() as api:
        url = api.url
    with pytest.raises(TransientHttpError, match=url):
        JsonClient(url, Limits(attempts=1)).get(PATH, {}, lambda _: None)
