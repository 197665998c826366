"""`dvd-rental site`: the address of the pages, and a read-only server for this machine alone."""

import http.client
import re
import signal
import subprocess
import webbrowser
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dvd_rental_pipeline.cli.main import app
from dvd_rental_pipeline_tests.end_to_end.command_line import CommandLine


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DVD_RENTAL_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that were opened in the browser."""
    addresses: list[str] = []
    monkeypatch.setattr(webbrowser, "open", addresses.append)
    return addresses


def publish(home: Path) -> Path:
    site = home / "site"
    (site / "sales").mkdir(parents=True)
    (site / "index.html").write_text("<h1>home</h1>")
    (site / "sales" / "site.js").write_text("1")
    (home / "secret.txt").write_text("secret")
    return site / "index.html"


def test_without_pages_the_command_says_how_to_get_them(home: Path) -> None:
    result = CliRunner().invoke(app, ["site"])
    assert result.exit_code == 1
    assert "dvd-rental run" in result.stderr


def test_the_address_is_printed_and_opened(home: Path, opened: list[str]) -> None:
    index = publish(home)
    assert CliRunner().invoke(app, ["site"]).stdout.strip() == index.as_uri()
    assert opened == []
    assert CliRunner().invoke(app, ["site", "--open"]).exit_code == 0
    assert opened == [index.as_uri()]


def test_the_address_of_a_bucket_is_that_for_browsers(
    home: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVD_RENTAL_SITE_BUCKET", "pages")
    assert CliRunner().invoke(app, ["site"]).stdout.strip() == "s3://pages/index.html"
    refused = CliRunner().invoke(app, ["site", "--open"])
    assert (refused.exit_code, "DVD_RENTAL_SITE_URL" in refused.stderr) == (1, True)
    monkeypatch.setenv("DVD_RENTAL_SITE_URL", "https://reports.example.com/")
    assert CliRunner().invoke(app, ["site", "--open"]).exit_code == 0
    assert opened == ["https://reports.example.com/index.html"]
    assert CliRunner().invoke(app, ["site", "--serve"]).exit_code == 1


@pytest.fixture
def port(home: Path) -> Iterator[int]:
    """The port of a running `dvd-rental site --serve`, which is stopped with Ctrl-C."""
    publish(home)
    command_line = CommandLine(home)
    process = subprocess.Popen(
        command_line.command("site", "--serve", "--port", "0"),
        env=command_line.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    address = process.stdout.readline()
    found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/\n", address)
    assert found, address
    yield int(found[1])
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert "Stopped." in errors
    assert "Traceback" not in errors


def ask(port: int, path: str, method: str = "GET", host: str | None = None) -> tuple[int, str, str]:
    """Status, content type and text of a response."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", host or f"127.0.0.1:{port}")
    connection.endheaders()
    response = connection.getresponse()
    return response.status, response.getheader("Content-Type") or "", response.read().decode()


def test_pages_are_served_read_only_to_this_machine(port: int) -> None:
    assert ask(port, "/") == (200, "text/html; charset=utf-8", "<h1>home</h1>")
    assert ask(port, "/sales/site.js")[:2] == (200, "text/javascript; charset=utf-8")
    assert ask(port, "/sales/")[0] == 404, "folders are not listed"
    assert ask(port, "/../secret.txt")[0] == 404
    assert ask(port, "/%2e%2e/secret.txt")[0] == 404
    assert ask(port, "/index.html", "PUT")[0] == 501
    assert ask(port, "/", host=f"evil.example.com:{port}")[0] == 403
