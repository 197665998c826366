"""The runbook has a section for each reference to it, and its commands exist."""

import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from dvd_rental_pipeline.cli.main import app
from dvd_rental_pipeline.core.runbook import RUNBOOK_FILE, RUNBOOK_PATH, Section
from dvd_rental_pipeline.core.settings import PROJECT_ROOT
from dvd_rental_pipeline.publishing.runbook_text import heading_anchor, read_runbook

PACKAGE = PROJECT_ROOT / "dvd_rental_pipeline"
SOURCES = [path for folder in (PACKAGE, PROJECT_ROOT / "dbt") for path in folder.rglob("*.*")]


def test_every_section_that_the_code_names_exists() -> None:
    assert [section.value for section in Section if section.value not in read_runbook(RUNBOOK_PATH)] == []


def test_the_code_names_every_section_of_the_runbook() -> None:
    assert set(read_runbook(RUNBOOK_PATH)) == {section.value for section in Section}


def test_every_literal_reference_in_the_code_has_a_section() -> None:
    sections = read_runbook(RUNBOOK_PATH)
    references = [
        (path.relative_to(PROJECT_ROOT), anchor)
        for path in SOURCES
        if path.suffix in {".py", ".sql", ".yml", ".html"} and "target" not in path.parts
        for anchor in re.findall(rf"{re.escape(RUNBOOK_FILE)}#([a-z0-9-]+)", path.read_text(encoding="utf-8"))
    ]
    assert [reference for reference in references if reference[1] not in sections] == []


def test_links_within_the_runbook_have_a_section() -> None:
    links = re.findall(r"\]\(#([^)]+)\)", RUNBOOK_PATH.read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if link not in read_runbook(RUNBOOK_PATH)] == []


@pytest.mark.parametrize("section", list(Section))
def test_a_section_states_the_first_command_and_what_releases_the_block(section: Section) -> None:
    text = read_runbook(RUNBOOK_PATH)[section].html
    assert "<p>First: " in text
    assert "<p>Released by: " in text


def test_every_command_of_the_runbook_exists() -> None:
    text = re.sub(r"\s+", " ", RUNBOOK_PATH.read_text(encoding="utf-8"))
    commands = {match.strip() for match in re.findall(r"`dvd-rental ((?:[a-z]+(?:-[a-z]+)* ?)+)", text)}
    assert {"doctor", "checks report", "source status"} <= commands
    root = typer.main.get_command(app)
    for command in commands:
        group = root
        for word in command.split():
            known = getattr(group, "commands", {})
            assert word in known, f"dvd-rental {command}: unknown command {word}"
            group = known[word]


def test_every_option_of_the_runbook_exists() -> None:
    text = re.sub(r"\s+", " ", RUNBOOK_PATH.read_text(encoding="utf-8"))
    used = set(re.findall(r"`dvd-rental run[^`]*?(--[a-z-]+)", text))
    shown = CliRunner().invoke(app, ["run", "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"}).output
    assert used
    assert [option for option in used if option not in shown] == []


def test_heading_anchors_are_those_of_github() -> None:
    assert heading_anchor("dbt tests") == "dbt-tests"
    assert heading_anchor("What's wrong, and `where`?") == "whats-wrong-and-where"


def test_without_a_runbook_there_are_no_sections(tmp_path: Path) -> None:
    assert read_runbook(tmp_path / "runbook.md") == {}


def test_html_in_the_runbook_is_escaped(tmp_path: Path) -> None:
    (tmp_path / "runbook.md").write_text("# Runbook\n\n## One\n\n<script>alert(1)</script> `a < b`\n")
    assert "<script>" not in read_runbook(tmp_path / "runbook.md")["one"].html
