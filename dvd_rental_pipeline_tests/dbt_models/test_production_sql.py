"""The models compile for Snowflake without an account, to SQL that is valid in Snowflake's grammar."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlglot

from dvd_rental_pipeline.core.settings import DBT_PROJECT_DIR
from dvd_rental_pipeline_tests.dbt_runner import run_dbt
from dvd_rental_pipeline_tests.parsed_project import ParsedProject


@dataclass(frozen=True)
class Compiled:
    """The text of each compiled statement, and what sqlglot parses it to, by path."""

    texts: Mapping[Path, str]
    parsed: Mapping[Path, Sequence[sqlglot.Expr | None]]


@pytest.fixture(scope="module", params=["production", pytest.param("branch", marks=pytest.mark.slow)])
def compiled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, parsed_project: ParsedProject
) -> Compiled:
    folder = tmp_path_factory.mktemp(request.param)
    completed = run_dbt(
        "compile",
        "--target",
        request.param,
        "--no-populate-cache",
        "--no-introspect",
        "--no-write-json",
        target_path=folder,
        environment={},
        manifest=parsed_project.manifest(request.param),
    )
    assert completed.succeeded, completed.stdout
    texts = {path: path.read_text() for path in (folder / "compiled" / "dvd_rental").rglob("*.sql")}
    return Compiled(
        texts, {path: sqlglot.parse(statement, read="snowflake") for path, statement in texts.items()}
    )


def test_every_statement_parses_as_snowflake_sql(compiled: Compiled) -> None:
    models = {path.stem for path in (DBT_PROJECT_DIR / "models").rglob("*.sql")}
    assert models <= {path.stem for path in compiled.texts}
    for path, statements in compiled.parsed.items():
        assert len(statements) == 1, path


def test_window_frames_have_the_form_of_snowflakes_documentation(compiled: Compiled) -> None:
    """`rows between ... and ...`, and none that begins after the current row."""
    frames = [
        (path.name, frame)
        for path, text in compiled.texts.items()
        for frame in re.findall(r"\b(?:rows|range)\s+[^)]*?(?:preceding|following|row)\b[^)]*", text, re.I)
    ]
    assert frames
    for path, frame in frames:
        assert re.match(r"(rows|range)\s+between\s+(unbounded|\d+)\s+preceding\s+and\s+", frame, re.I), (
            path,
            frame,
        )


def test_every_function_is_one_of_snowflake(compiled: Compiled) -> None:
    """sqlglot knows most functions of Snowflake; the others are listed, after a look at its documentation."""
    unknown = {
        call.name.lower()
        for statements in compiled.parsed.values()
        for statement in statements
        if statement is not None
        for call in statement.find_all(sqlglot.exp.Anonymous)
    }
    assert unknown == set()


def test_names_are_stored_in_upper_case(compiled: Compiled) -> None:
    """A quoted name in lower case is another name in Snowflake."""
    for path, statements in compiled.parsed.items():
        for statement in statements:
            assert statement is not None
            quoted = {
                each.name for each in statement.find_all(sqlglot.exp.Identifier) if each.args.get("quoted")
            }
            assert quoted == {name for name in quoted if name == name.upper()}, path


def test_no_statement_reads_the_clock(compiled: Compiled) -> None:
    clocks = {"current_date", "current_timestamp", "now()", "getdate", "sysdate"}
    for path, text in compiled.texts.items():
        assert not any(clock in text.lower() for clock in clocks), path
