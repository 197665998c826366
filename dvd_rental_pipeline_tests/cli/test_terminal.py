"""How every command ends: the exit code, and one message on stderr."""

import pytest
import typer
from typer.testing import CliRunner

from dvd_rental_pipeline.cli import terminal
from dvd_rental_pipeline.cli.terminal import CommandGroup
from dvd_rental_pipeline.core.errors import PipelineError

app = typer.Typer(cls=CommandGroup, pretty_exceptions_enable=False)


@app.command()
def refuse() -> None:
    raise PipelineError("Set [DVD_RENTAL_HOME] first.")


@app.command()
def interrupt() -> None:
    raise KeyboardInterrupt


@app.command()
def crash() -> None:
    raise ZeroDivisionError


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The messages that are printed to the terminal, with their markup."""
    printed: list[str] = []
    monkeypatch.setattr(terminal.messages, "print", lambda text, **_: printed.append(text))
    return printed


def test_a_pipeline_error_is_one_escaped_message_and_exit_code_1(messages: list[str]) -> None:
    assert CliRunner().invoke(app, ["refuse"]).exit_code == 1
    assert messages == ["[bold red]Error:[/] Set [DVD_RENTAL_HOME] first."]


def test_an_interrupt_is_one_message_and_exit_code_130(messages: list[str]) -> None:
    assert CliRunner().invoke(app, ["interrupt"]).exit_code == 130
    (message,) = messages
    assert message.startswith("Interrupted.")


def test_a_defect_keeps_its_traceback(messages: list[str]) -> None:
    result = CliRunner().invoke(app, ["crash"])
    assert isinstance(result.exception, ZeroDivisionError)
    assert messages == []
