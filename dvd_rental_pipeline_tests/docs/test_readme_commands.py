"""The commands of the README, run as they are written, on a terminal of 80 columns."""

import re
import shlex
from pathlib import Path

import pytest

from dvd_rental_pipeline.core.settings import PROJECT_ROOT
from dvd_rental_pipeline_tests.end_to_end.command_line import CommandLine

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
# Two do not end by themselves: test_dev_server.py, test_watch.py. The other needs a dump.
NOT_FOLLOWED = ("dvd-rental dev", "dvd-rental run --watch", "dvd-rental source restore")


def readme_commands() -> list[str]:
    """The lines of the chapter "What to try" that can be followed, without comments, in their order."""
    _, _, chapter = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8").partition("## What to try")
    block = chapter.split("```")[1]
    lines = [shlex.join(shlex.split(line, comments=True)) for line in block.splitlines()]
    return [line for line in lines if line.startswith("dvd-rental ") and not line.startswith(NOT_FOLLOWED)]


def follow(command_line: CommandLine, line: str) -> str:
    """Run one line on a terminal, require success and lines that fit; returns what was shown."""
    code, shown = command_line.on_terminal(*shlex.split(line)[1:])
    text = ESCAPES.sub("", shown)
    assert code == 0, f"{line}:\n{text}"
    # A category of Python, such as DeprecationWarning. Warnings of a run are for the user.
    unwanted = re.search(r"Traceback|DEBUG|\w+Warning: ", text)
    assert not unwanted, f"{line} shows {unwanted}"
    borders = [row for row in re.split(r"[\r\n]+", text) if row[:1] in tuple("┏┃┡│└╭╰")]
    assert [row for row in borders if len(row) > 80] == [], line
    return text


def test_the_readme_shows_the_main_commands() -> None:
    programs = {line.split()[1] for line in readme_commands()}
    assert programs >= {"run", "query", "source", "checks", "doctor"}


@pytest.mark.parametrize("arguments", ["doctor", "--help", "--version", "source status", "run --help"])
def test_commands_that_need_no_run_fit_the_terminal(arguments: str, tmp_path: Path) -> None:
    text = follow(CommandLine(tmp_path / "home"), f"dvd-rental {arguments}")
    assert text.strip()


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_the_readme_can_be_followed_word_for_word(tmp_path: Path) -> None:
    command_line = CommandLine(tmp_path / "home", seconds=1800)
    try:
        follow(command_line, "dvd-rental run")
        for line in readme_commands():
            assert follow(command_line, line).strip()
    finally:
        command_line.run("source", "stop")
