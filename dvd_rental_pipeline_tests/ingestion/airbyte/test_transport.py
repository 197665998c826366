"""Retries, logins and refusals of requests to Airbyte."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dvd_rental_pipeline.ingestion.airbyte.client import AirbyteClient
from dvd_rental_pipeline.ingestion.airbyte.errors import AirbyteRefusedError, AirbyteUnreachableError
from dvd_rental_pipeline.ingestion.airbyte.transport import RetryPolicy
from dvd_rental_pipeline_tests.ingestion.airbyte.fake_clock import FakeClock
from dvd_rental_pipeline_tests.stand_ins.airbyte.faults import RateLimit
from dvd_rental_pipeline_tests.stand_ins.airbyte.server import AirbyteStandIn

UNREACHABLE = "http://127.0.0.1:1"


class Page(BaseHTTPRequestHandler):
    """A proxy that answers every request with a page."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>Under maintenance</html>")

    do_POST = do_GET  # noqa: N815 - the name that the base class calls

    def log_message(self, *_: object) -> None:
        """Log no requests."""


@pytest.fixture
def proxy_url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_command_waits_half_a_minute_for_airbyte(settings_with: Any, clock: FakeClock) -> None:
    client = AirbyteClient.from_settings(settings_with(airbyte_url=UNREACHABLE))
    with pytest.raises(AirbyteUnreachableError, match=r"outage has lasted 30 s.*DVD_RENTAL_AIRBYTE_URL"):
        client.sources()
    assert clock.now == 30


def test_a_command_continues_when_airbyte_is_back(
    airbyte: AirbyteStandIn, settings_with: Any, clock: FakeClock
) -> None:
    client = AirbyteClient.from_settings(settings_with())
    airbyte.stop()
    clock.at(25, airbyte.start)
    assert client.sources() == []


def test_the_limits_of_a_retry_policy(settings_with: Any, clock: FakeClock) -> None:
    settings = settings_with(airbyte_url=UNREACHABLE)
    for policy, seconds in (
        (RetryPolicy(delay=10, max_retries=3), 30),
        (RetryPolicy(delay=10, max_retries=3, max_seconds=15), 10),
        (RetryPolicy(delay=10, max_retries=0), 0),
    ):
        started = clock.now
        with pytest.raises(AirbyteUnreachableError):
            AirbyteClient.from_settings(settings, policy).sources()
        assert clock.now - started == seconds


SOURCE = {"sourceType": "postgres", "host": "db.test", "port": 5432, "database": "d", "username": "u"}


def test_a_request_that_creates_an_object_is_not_repeated(airbyte: AirbyteStandIn, settings_with: Any) -> None:
    airbyte.fail(1, 503, method="POST", path="/sources", after=True)
    client = AirbyteClient.from_settings(settings_with())
    with pytest.raises(AirbyteUnreachableError, match="HTTP 503"):
        client.create_source("one", SOURCE)
    assert len(airbyte.workspace.sources) == 1


def test_a_rate_limit_is_waited_out_as_long_as_airbyte_says(
    airbyte: AirbyteStandIn, settings_with: Any, clock: FakeClock
) -> None:
    airbyte.rate_limit = RateLimit(requests=2, seconds=20, now=clock.monotonic)
    messages: list[str] = []
    client = AirbyteClient.from_settings(settings_with())
    client.transport._on_retry = messages.append
    for _ in range(3):
        client.sources()
    # The token and the first listing fill the limit; each pair after it waits once.
    assert airbyte.rate_limit.refused == 1
    assert clock.now == 20
    assert messages == [
        f"Airbyte at {airbyte.url} has received more requests than it accepts (HTTP 429). Retrying in 20 s."
    ]


def test_a_creation_beyond_the_rate_limit_is_repeated_as_it_was_not_carried_out(
    airbyte: AirbyteStandIn, settings_with: Any, clock: FakeClock
) -> None:
    airbyte.rate_limit = RateLimit(requests=2, seconds=5, now=clock.monotonic)
    client = AirbyteClient.from_settings(settings_with())
    client.sources()
    client.create_source("one", SOURCE)
    assert len(airbyte.workspace.sources) == 1
    assert clock.now == 5


def test_a_command_does_not_wait_for_a_rate_limit_beyond_its_patience(
    airbyte: AirbyteStandIn, settings_with: Any, clock: FakeClock
) -> None:
    airbyte.rate_limit = RateLimit(requests=1, seconds=3600, now=clock.monotonic)
    with pytest.raises(AirbyteUnreachableError, match="more requests than it accepts"):
        AirbyteClient.from_settings(settings_with()).sources()
    assert clock.now == 0


def test_a_page_of_a_proxy_is_an_outage(settings_with: Any, proxy_url: str, clock: FakeClock) -> None:
    client = AirbyteClient.from_settings(settings_with(airbyte_url=proxy_url))
    with pytest.raises(AirbyteUnreachableError, match=r"not a JSON object.*DVD_RENTAL_AIRBYTE_URL"):
        client.sources()
    assert clock.now == 30


def test_a_refusal_does_not_quote_a_secret() -> None:
    response = {"detail": 'cannot parse {"client_secret": "planted"}'}
    error = AirbyteRefusedError(400, "POST /jobs", response, ["planted"])
    assert "planted" not in str(error)
    assert "***" in str(error)


def test_an_entry_in_netrc_does_not_replace_the_token(
    settings_with: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert AirbyteClient.from_settings(settings_with()).sources() == []
