"""The servers of the site and of the metrics, sent what no browser and no Prometheus would send."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import HTTPServer
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.parser import text_string_to_metric_families

from dvd_rental_pipeline.publishing.metrics.server import MetricsHandler, metrics_server
from dvd_rental_pipeline.publishing.serving import SiteHandler, site_server

SECRET = "the password"
MARKUP = '"><script>alert(1)</script>\n{x="'
TARGETS = {
    "parent": "/../secret.txt",
    "parents": "/" + "../" * 40 + "etc/passwd",
    "encoded parent": "/%2e%2e/secret.txt",
    "encoded separator": "/..%2fsecret.txt",
    "backslash": "/..%5csecret.txt",
    "encoded twice": "/%252e%252e/secret.txt",
    "absolute path": "//etc/passwd",
    "absolute URL": "http://127.0.0.1/../secret.txt",
    "link to a file": "/link.txt",
    "file below a link": "/folder/secret.txt",
    "parent of a link": "/folder/../secret.txt",
    "null character": "/index.html%00.txt",
    "no UTF-8": "/%ff%fe",
    "long name": "/" + "a" * 5_000,
    "other host": "//evil.example/%2e%2e",
    "markup": "/<script>alert(1)</script>",
}
REQUESTS = {
    "no request": b"\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "unknown version": b"GET / HTTP/9.9\r\n\r\n",
    "markup as the method": b"<script>alert(1)</script> / HTTP/1.1\r\nHost: localhost:1\r\n\r\n",
    "writing": b"PUT /new.txt HTTP/1.1\r\nHost: localhost:1\r\nContent-Length: 2\r\n\r\nhi",
    "deleting": b"DELETE /index.html HTTP/1.1\r\nHost: localhost:1\r\n\r\n",
    "tracing": b"TRACE / HTTP/1.1\r\nHost: localhost:1\r\n\r\n",
    "long line": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    "long header": b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 5_000 + b"\r\n",
    "a length that is no number": b"POST / HTTP/1.1\r\nHost: localhost:1\r\nContent-Length: -9\r\n\r\n",
}


def serve(server: HTTPServer) -> Iterator[int]:
    """Serve meanwhile; yields the port."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield int(server.server_address[1])
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[int]:
    """The port of a server of a folder with links that lead out of it."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "index.html").write_text("<h1>home</h1>")
    (tmp_path / "secret.txt").write_text(SECRET)
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "folder").symlink_to(tmp_path)
    yield from serve(site_server(folder, 0))


@pytest.fixture
def metrics() -> Iterator[int]:
    """The port of a server of one metric whose label is markup."""
    registry = CollectorRegistry()
    Gauge("rows", "Rows", ["asset"], registry=registry).labels(MARKUP).set(7)
    yield from serve(metrics_server(registry, "127.0.0.1", 0))


@pytest.fixture(params=["site", "metrics"])
def port(request: pytest.FixtureRequest) -> int:
    """The port of each server in turn."""
    return int(request.getfixturevalue(request.param))


def send(port: int, request: bytes) -> bytes:
    """What the server answers to `request` until it closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        answer = bytearray()
        try:
            connection.sendall(request)
            with suppress(OSError):  # it may have closed the connection
                connection.shutdown(socket.SHUT_WR)
            while block := connection.recv(65536):
                answer += block
        except ConnectionError:
            # It refused a request before it had read all of it.
            pass
        return bytes(answer)


def get(port: int, target: str) -> bytes:
    return send(port, f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())


def assert_serving(port: int) -> None:
    assert get(port, "/").startswith((b"HTTP/1.0 200", b"HTTP/1.1 200"))


@pytest.mark.parametrize("name", TARGETS)
def test_the_site_serves_nothing_outside_of_its_folder(
    site: int, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    answer = get(site, TARGETS[name])

    # 301 adds the slash of a folder, within this site.
    assert answer.split(b" ", 2)[1] in {b"301", b"400", b"404"}, answer[:200]
    assert b"Location: //" not in answer
    assert SECRET.encode() not in answer
    assert b"root:" not in answer
    assert b"<script>" not in answer
    assert_serving(site)
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("name", REQUESTS)
def test_a_hostile_request_changes_nothing_and_shows_no_traceback(
    port: int, name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    answer = send(port, REQUESTS[name])

    assert b" 200 " not in answer[:20]
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"text/html" not in head or b"<script>" not in body
    assert not list(tmp_path.glob("*/new.txt"))
    assert_serving(port)
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("start", [b"", b"GET /", b"GET / HTTP/1.1\r\nHost: loc"])
def test_a_request_that_never_ends_is_given_up(
    port: int, start: bytes, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(SiteHandler, "timeout", 0.3)
    monkeypatch.setattr(MetricsHandler, "timeout", 0.3)
    before = threading.active_count()
    waiting = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(5)]
    try:
        for connection in waiting:
            connection.sendall(start)
        assert_serving(port)
        for connection in waiting:
            # The server closes it; nothing else ends this.
            assert b" 200 " not in connection.recv(65536)[:20]
    finally:
        for connection in waiting:
            connection.close()
    _wait(lambda: threading.active_count() <= before)
    assert "Traceback" not in capfd.readouterr().err


def test_a_client_that_leaves_early_shows_no_traceback(port: int, capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            # A reset instead of an orderly end.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost:1\r\n\r\n")
    assert_serving(port)
    assert "Traceback" not in capfd.readouterr().err


def test_markup_in_a_name_stays_within_the_label(metrics: int) -> None:
    head, _, text = get(metrics, "/metrics").decode().partition("\r\n\r\n")

    assert "Content-Type: text/plain" in head
    (family,) = text_string_to_metric_families(text)
    (sample,) = family.samples
    assert (sample.name, sample.labels, sample.value) == ("rows", {"asset": MARKUP}, 7.0)


@pytest.mark.parametrize(
    "query", ["name[]=" + "a" * 50_000, "name[]=%3Cscript%3E", "&".join(["name[]=x"] * 5_000)]
)
def test_a_hostile_query_of_metrics_gets_none(metrics: int, query: str) -> None:
    answer = get(metrics, f"/metrics?{query}")

    assert answer.split(b" ", 2)[1] in {b"200", b"414"}
    assert b"<script>" not in answer
    assert b"rows{" not in answer
    assert_serving(metrics)


def _wait(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
