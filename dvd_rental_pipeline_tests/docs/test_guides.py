"""What the guides name is there: commands with their options, settings, chapters, files."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from dvd_rental_pipeline.cli.main import app
from dvd_rental_pipeline.core.settings import PROJECT_ROOT, Settings

GUIDES = [PROJECT_ROOT / "README.md", *sorted((PROJECT_ROOT / "docs").glob("*.md"))]
COMMAND = re.compile(r"(?<![\w/-])dvd-rental (?P<words>[a-z][^`\n#|;&]*)")
SETTING = re.compile(r"DVD_RENTAL_[A-Z0-9_]*[A-Z0-9]")
# Names that look like settings: a service user in Snowflake.
OTHER_NAMES = {"DVD_RENTAL_TRANSFORMER", "DVD_RENTAL_REPORTER", "DVD_RENTAL_LOADER"}


def commands(text: str) -> Iterator[list[str]]:
    """The words after each `dvd-rental`, in blocks of code and between backticks."""
    code = re.findall(r"```.*?```|`[^`\n]+`", text, flags=re.DOTALL)
    for piece in code:
        for match in COMMAND.finditer(piece):
            yield match["words"].split()


def complaint(words: list[str]) -> str | None:
    """What is wrong with a command, if anything."""
    command: Any = typer.main.get_command(app)
    rest = list(words)
    while hasattr(command, "commands") and rest:
        name = rest.pop(0).rstrip(",.:")
        if name not in command.commands:
            return f"dvd-rental {' '.join(words)}: there is no command {name}"
        command = command.commands[name]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    for option in (word.strip("[],").partition("=")[0] for word in rest if re.match(r"\[?--[a-z]", word)):
        if option not in known:
            return f"dvd-rental {' '.join(words)}: it has no option {option}"
    return None


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
def test_every_command_and_option_exists(guide: Path) -> None:
    assert [wrong for words in commands(guide.read_text()) if (wrong := complaint(words))] == []


def test_the_commands_are_found_at_all() -> None:
    guide = (PROJECT_ROOT / "docs" / "production.md").read_text()
    found = [" ".join(words) for words in commands(guide)]
    for begins in ("airbyte apply", "snowflake plan", "source setup apply", "doctor", "run"):
        assert any(command.startswith(begins) for command in found)
    assert complaint(["airbyte", "aply"]) is not None
    assert complaint(["run", "--fast"]) is not None


@pytest.mark.parametrize("guide", [*GUIDES, PROJECT_ROOT / ".env.example"], ids=lambda path: path.name)
def test_every_setting_exists(guide: Path) -> None:
    known = {f"DVD_RENTAL_{name.upper()}" for name in Settings.model_fields} | OTHER_NAMES
    assert set(SETTING.findall(guide.read_text())) - known == set()


def test_every_setting_is_described_in_the_example() -> None:
    example = (PROJECT_ROOT / ".env.example").read_text()
    ours = [name for name, field in Settings.model_fields.items() if not field.validation_alias]
    assert [name for name in ours if f"DVD_RENTAL_{name.upper()}=" not in example] == []


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
def test_every_link_leads_somewhere(guide: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", guide.read_text()):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        file = guide.parent / path if path else guide
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


def anchors(guide: Path) -> set[str]:
    """What its headings are called in links."""
    headings = re.findall(r"^#+ (.*)$", guide.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
