"""Options of the program itself, and commands that answer in an empty home without starting a server.

And how the program ends.
"""

import os
import subprocess
import sys
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


# A command whose answer is still buffered when it ends, and which leaves a thread and an exit handler.
COMMAND = """
import atexit, threading, time, typer
from dvd_rental_pipeline.cli import main

def work():
    time.sleep(0.2)
    print("worked")

def command():
    print("answered")
    if {thread}:
        threading.Thread(target=work).start()
    atexit.register(lambda: open("handled", "w").close())
    raise typer.Exit({code})

main.app = typer.Typer()
main.app.command()(command)
main.main()
"""


@pytest.mark.parametrize(("code", "thread"), [(0, False), (2, False), (2, True)])
def test_a_command_ends_after_its_output_threads_and_exit_handlers(
    tmp_path: Path, code: int, thread: bool
) -> None:
    program = [sys.executable, "-c", COMMAND.format(code=code, thread=thread)]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["answered"] + ["worked"] * thread
    assert (done.returncode, done.stderr) == (code, "")
    assert (tmp_path / "handled").exists()


def test_a_command_whose_reader_has_gone_fails_quietly(tmp_path: Path) -> None:
    """As `dvd-rental show top_films | true` does."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        program = [sys.executable, "-c", COMMAND.format(code=0, thread=False)]
        done = subprocess.run(
            program, cwd=tmp_path, stdout=closed, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (1, "")
