"""The sample server of the API, asked as its clients never would."""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from urllib.parse import quote, urlsplit

import pytest

from dvd_rental_pipeline.sample.signups_api.server import PATH, SignupsApi, running_signups_api


@pytest.fixture(scope="module")
def api() -> Iterator[SignupsApi]:
    with running_signups_api() as running:
        yield running


def ask(api: SignupsApi, target: str, method: str = "GET") -> tuple[int, bytes]:
    """Status and body of a response."""
    connection = http.client.HTTPConnection("127.0.0.1", int(urlsplit(api.url).port or 0), timeout=30)
    with closing(connection):
        connection.putrequest(method, target)
        connection.endheaders()
        response = connection.getresponse()
        return response.status, response.read()


@pytest.mark.parametrize(
    "query",
    [
        "results=" + "9" * 5_000,
        "page=" + "9" * 5_000,
        "results=-1&page=1e9",
        "results=%D9%A3",
        "seed=" + quote("'; drop table signups.users; --"),
        "nat=" + quote("<script>,../../etc/passwd"),
        "inc=__class__&exc=" + "a," * 5_000,
        "&".join(f"x{number}=1" for number in range(5_000)),
    ],
    ids=[
        "huge results",
        "huge page",
        "no numbers",
        "other digits",
        "SQL",
        "markup",
        "names",
        "many parameters",
    ],
)
def test_a_hostile_query_gets_a_page_as_if_it_were_not_there(
    api: SignupsApi, query: str, capfd: pytest.CaptureFixture[str]
) -> None:
    status, body = ask(api, f"{PATH}?{query}")
    assert status == 200
    assert len(json.loads(body)["results"]) == 1
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    "target", ["/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/api/", "//evil.example/"]
)
def test_there_is_nothing_but_the_api(api: SignupsApi, target: str) -> None:
    assert ask(api, target)[0] == 404
    assert ask(api, PATH, "POST")[0] == 501


def test_it_listens_on_the_loopback_interface_alone(api: SignupsApi) -> None:
    port = int(urlsplit(api.url).port or 0)
    with closing(socket.socket()) as other:
        # Another address of this machine: it would be refused as "in use" if the server listened on all.
        other.bind(("127.0.0.2", port))


def test_requests_that_never_end_hold_up_no_other(api: SignupsApi, capfd: pytest.CaptureFixture[str]) -> None:
    port = int(urlsplit(api.url).port or 0)
    with ExitStack() as waiting:
        for start in (b"", b"GET /", b"GET / HTTP/1.1\r\nHost: loc") * 5:
            waiting.enter_context(socket.create_connection(("127.0.0.1", port))).sendall(start)
        assert ask(api, PATH)[0] == 200
    assert ask(api, PATH)[0] == 200
    assert "Traceback" not in capfd.readouterr().err
