"""The models compile for Snowflake without an account, to SQL that is valid in Snowflake's grammar."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import sqlglot

from dvd_rental_pipeline.core.settings import DBT_PROJECT_DIR

# Functions of Snowflake that sqlglot does not model.
FRAME = r"\b(?:rows|range)\s+(?:between|unbounded|current|\d+)\b[^)]*"
SNOWFLAKE_FUNCTIONS: set[str] = set()


@pytest.fixture(scope="module", params=["production", "branch"])
def compiled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the compiled statements."""
    target = tmp_path_factory.mktemp(request.param)
    completed = subprocess.run(
        [
            Path(sys.executable).parent / "dbt", "compile", "--target", request.param,
            "--no-populate-cache", "--no-introspect",
        ],
        cwd=DBT_PROJECT_DIR,
        env={
            **os.environ,
            "DBT_PROFILES_DIR": str(DBT_PROJECT_DIR),
            "DBT_TARGET_PATH": str(target),
            "DBT_LOG_PATH": str(target),
        },
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert completed.returncode == 0, completed.stdout + completed.stderr
    return target / "compiled" / "dvd_rental"


def test_every_statement_parses_as_snowflake_sql(compiled: Path) -> None:
    statements = {path: path.read_text() for path in compiled.rglob("*.sql")}
    models = {path.stem for path in (DBT_PROJECT_DIR / "models").rglob("*.sql")}
    assert models <= {path.stem for path in statements}
    for path, statement in statements.items():
        assert len(sqlglot.parse(statement, read="snowflake")) == 1, path


def test_window_frames_have_the_form_of_snowflakes_documentation(compiled: Path) -> None:
    """`rows between ... and ...`, and none that begins after the current row."""
    frames = [
        (path.name, frame)
        for path in compiled.rglob("*.sql")
        for frame in re.findall(
            r"\b(?:rows|range)\s+[^)]*?(?:preceding|following|row)\b[^)]*", path.read_text(), re.I
        )
    ]
    assert frames
    for path, frame in frames:
        assert re.match(r"(rows|range)\s+between\s+(unbounded|\d+)\s+preceding\s+and\s+", frame, re.I), (
            path,
            frame,
        )


def test_every_function_is_one_of_snowflake(compiled: Path) -> None:
    """sqlglot knows most functions of Snowflake; the others are listed, after a look at its documentation."""
    unknown = {
        call.name.lower()
        for path in compiled.rglob("*.sql")
        for statement in sqlglot.parse(path.read_text(), read="snowflake")
        if statement is not None
        for call in statement.find_all(sqlglot.exp.Anonymous)
    }
    assert unknown <= SNOWFLAKE_FUNCTIONS


def test_names_are_stored_in_upper_case(compiled: Path) -> None:
    """A quoted name in lower case is another name in Snowflake."""
    for path in compiled.rglob("*.sql"):
        for statement in sqlglot.parse(path.read_text(), read="snowflake"):
            assert statement is not None
            quoted = {
                each.name for each in statement.find_all(sqlglot.exp.Identifier) if each.args.get("quoted")
            }
            assert quoted == {name for name in quoted if name == name.upper()}, path


def test_no_statement_reads_the_clock(compiled: Path) -> None:
    clocks = {"current_date", "current_timestamp", "now()", "getdate", "sysdate"}
    for path in compiled.rglob("*.sql"):
        assert not any(clock in path.read_text().lower() for clock in clocks), path
