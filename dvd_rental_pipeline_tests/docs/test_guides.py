"""Commands, options, settings, links and paths in the guides exist."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from dvd_rental_pipeline.cli.main import app
from dvd_rental_pipeline.core.settings import PROJECT_ROOT, Settings

GUIDES = [
    PROJECT_ROOT / "README.md",
    PROJECT_ROOT / "CONTRIBUTING.md",
    *sorted((PROJECT_ROOT / "docs").glob("*.md")),
]
COMMAND = re.compile(r"(?<![\w/-])dvd-rental (?P<arguments>[a-z][^`\n#|;&]*)")
SETTING = re.compile(r"DVD_RENTAL_[A-Z0-9_]*[A-Z0-9]")
# Constants of the package, and users and monitors in Snowflake.
OTHER_NAMES = {
    "DVD_RENTAL_PIPELINE",
    "DVD_RENTAL_TRANSFORMER",
    "DVD_RENTAL_REPORTER",
    "DVD_RENTAL_LOADER",
    "DVD_RENTAL_LOADING",
}
# A file or folder at the top of the project, without placeholders such as <pipeline>.
PROJECT_PATH = re.compile(
    r"`((?:dvd_rental_pipeline|dvd_rental_pipeline_tests|dbt|deploy|docs|benchmarks|\.[a-z]+)/[\w./-]+)`"
)
# Files of a home folder, which a run creates, and the environment.
CREATED = (".dvd_rental/", ".venv/")


def commands(text: str) -> Iterator[list[str]]:
    """The arguments of each `dvd-rental` command in code blocks and between backticks."""
    code = re.findall(r"```.*?```|`[^`\n]+`", text, flags=re.DOTALL)
    for block in code:
        for match in COMMAND.finditer(block):
            yield match["arguments"].split()


def command_error(arguments: list[str]) -> str | None:
    """Why a command would be rejected, or None."""
    command: Any = typer.main.get_command(app)
    rest = list(arguments)
    while hasattr(command, "commands") and rest:
        name = rest.pop(0).rstrip(",.:")
        if name not in command.commands:
            return f"dvd-rental {' '.join(arguments)}: unknown command {name}"
        command = command.commands[name]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    for option in (word.strip("[],").partition("=")[0] for word in rest if re.match(r"\[?--[a-z]", word)):
        if option not in known:
            return f"dvd-rental {' '.join(arguments)}: unknown option {option}"
    return None


def anchors(guide: Path) -> set[str]:
    """The anchors of its headings."""
    headings = re.findall(r"^#+ (.*)$", guide.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
def test_every_command_and_option_exists(guide: Path) -> None:
    assert [error for arguments in commands(guide.read_text()) if (error := command_error(arguments))] == []


def test_commands_are_found_and_wrong_ones_are_rejected() -> None:
    guide = (PROJECT_ROOT / "docs" / "production.md").read_text()
    found = [" ".join(arguments) for arguments in commands(guide)]
    for start in ("airbyte apply", "snowflake plan", "source setup apply", "doctor", "run"):
        assert any(command.startswith(start) for command in found)
    assert command_error(["airbyte", "aply"]) is not None
    assert command_error(["run", "--fast"]) is not None


@pytest.mark.parametrize("guide", [*GUIDES, PROJECT_ROOT / ".env.example"], ids=lambda path: path.name)
def test_every_setting_exists(guide: Path) -> None:
    known = {f"DVD_RENTAL_{name.upper()}" for name in Settings.model_fields} | OTHER_NAMES
    assert set(SETTING.findall(guide.read_text())) - known == set()


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
def test_every_link_has_a_target(guide: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", guide.read_text()):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        file = guide.parent / path if path else guide
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
def test_every_path_exists(guide: Path) -> None:
    paths = [path for path in PROJECT_PATH.findall(guide.read_text()) if not path.startswith(CREATED)]
    assert [path for path in paths if not (PROJECT_ROOT / path).exists()] == []


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (PROJECT_ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    used = {
        target
        for guide in GUIDES
        for target in re.findall(r"^make ([a-z]+)|`make ([a-z]+)`", guide.read_text(), flags=re.MULTILINE)
    }
    assert {"demo", "test"} <= {first or second for first, second in used} <= targets
