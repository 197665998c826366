"""The server of the API of new users, on the loopback interface."""

import math
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from dvd_rental_pipeline.core.http_server import REQUEST_SECONDS, QuietServer
from dvd_rental_pipeline.sample.signups_api.faults import Answer, Fault, as_json, misbehave
from dvd_rental_pipeline.sample.signups_api.users import COUNTRIES, build_page

PATH = "/api/1.4/"
_MAX_RESULTS = 5000
_MAX_PAGE = 10_000
_WINDOW_SECONDS = 300.0


@dataclass
class SignupsApi:
    """A running server.

    The next responses have the `faults`, one each, in order. `limit` users are given within five minutes, as by
    the real API; `requests` counts the requests. `customers` are e-mail addresses, with which some of the users
    sign up.
    """

    url: str = ""
    faults: deque[Fault] = field(default_factory=deque)
    retry_after: str = "0"
    limit: int = 20_000
    customers: Sequence[str] = ()
    requests: int = 0
    _given: deque[tuple[float, int]] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, target: str) -> Answer:
        """Return the response to a GET request of `target`, a path with its query."""
        parts = urlsplit(target)
        if parts.path.rstrip("/") != PATH.rstrip("/"):
            return as_json(404, {"error": "Not found"})
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        results = _number(query.get("results"), _MAX_RESULTS)
        page = _number(query.get("page"), _MAX_PAGE)
        asked = query.get("nat", "").upper().split(",")
        nationalities = [nationality for nationality in asked if nationality in COUNTRIES] or sorted(COUNTRIES)
        with self._lock:
            self.requests += 1
            fault = self.faults.popleft() if self.faults else None
            wait = self._wait(results) if fault is None else 0.0
        if wait > 0:
            return as_json(
                429,
                {"error": "You have exceeded the number of users per 5 minutes"},
                {"Retry-After": str(math.ceil(wait))},
            )
        document = build_page(
            query.get("seed", "none"),
            page,
            results,
            nationalities,
            datetime.now(UTC),
            customers=self.customers,
        )
        _select_fields(document, query)
        return misbehave(fault, document, retry_after=self.retry_after) if fault else as_json(200, document)

    def _wait(self, results: int) -> float:
        """Record `results` users as given; or return the seconds until as many may be given."""
        now = time.monotonic()
        while self._given and self._given[0][0] < now - _WINDOW_SECONDS:
            self._given.popleft()
        if sum(count for _, count in self._given) + results > self.limit:
            oldest = self._given[0][0] if self._given else now
            return max(oldest + _WINDOW_SECONDS - now, 1.0)
        self._given.append((now, results))
        return 0.0


class _Server(QuietServer, ThreadingHTTPServer):
    """A thread per connection."""


@contextmanager
def running_signups_api() -> Iterator[SignupsApi]:
    """Serve the API on a free port of the loopback interface meanwhile; `url` of the result is its address."""
    api = SignupsApi()

    class Handler(BaseHTTPRequestHandler):
        timeout = REQUEST_SECONDS

        def do_GET(self) -> None:
            answer = api.answer(self.path)
            # A client that refuses a body closes the connection.
            with suppress(ConnectionError):
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                length = len(answer.body) if answer.announced_length is None else answer.announced_length
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(answer.body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    api.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _number(text: str | None, maximum: int) -> int:
    """The real API takes 1 where a number is missing or out of range."""
    # Python refuses to convert thousands of digits.
    is_number = text is not None and text.isascii() and text.isdigit() and len(text) <= len(str(maximum))
    return int(text) if text and is_number and 1 <= int(text) <= maximum else 1


def _select_fields(document: dict[str, object], query: dict[str, str]) -> None:
    """Apply the parameters `inc` and `exc`."""
    included, excluded = query.get("inc"), query.get("exc", "").split(",")
    results = document["results"]
    assert isinstance(results, list)  # noqa: S101 - built above
    document["results"] = [
        {
            name: value
            for name, value in user.items()
            if (included is None or name in included.split(",")) and name not in excluded
        }
        for user in results
    ]
