"""Options of the program itself, and commands that answer in an empty home without starting a server."""

from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dvd_rental_pipeline.cli.main import app


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder that does not exist yet."""
    folder = tmp_path / "home"
    monkeypatch.setenv("DVD_RENTAL_HOME", str(folder))
    return folder


def test_the_version_needs_no_command() -> None:
    done = CliRunner().invoke(app, ["--version"])
    assert done.exit_code == 0, done.output
    assert f"dvd-rental-pipeline {version('dvd-rental-pipeline')}, dagster {version('dagster')}" in done.stdout


def test_verify_without_a_warehouse_is_refused_before_a_server_is_started(home: Path) -> None:
    done = CliRunner().invoke(app, ["source", "verify"])
    assert done.exit_code == 1
    assert not (home / "postgres").exists()


def test_the_status_of_a_stopped_server_says_how_to_start_it(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    done = CliRunner().invoke(app, ["source", "status"])
    assert done.exit_code == 0, done.output
    assert "dvd-rental source start" in done.output + capfd.readouterr().err
    assert not home.exists()


@pytest.mark.parametrize("command", [["run"], ["checks", "run"], ["dev"]])
@pytest.mark.parametrize(
    ("deployment", "missing"),
    [("production", "DVD_RENTAL_AIRBYTE_CONNECTION_ID"), ("branch", "DVD_RENTAL_SNOWFLAKE_ACCOUNT")],
)
def test_missing_settings_are_told_before_the_graph_is_loaded(
    home: Path, capfd: pytest.CaptureFixture[str], command: list[str], deployment: str, missing: str
) -> None:
    done = CliRunner().invoke(app, command, env={"DVD_RENTAL_DEPLOYMENT": deployment})
    assert done.exit_code == 1
    assert f"{missing}: " in done.output + capfd.readouterr().err
    assert not home.exists(), "dbt has parsed its project"
