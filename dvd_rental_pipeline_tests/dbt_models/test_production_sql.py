"""The models compile for Snowflake without an account, to SQL that is valid in Snowflake's grammar."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlglot

from dvd_rental_pipeline.core.settings import DBT_PROJECT_DIR


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


def test_no_statement_reads_the_clock(compiled: Path) -> None:
    clocks = {"current_date", "current_timestamp", "now()", "getdate", "sysdate"}
    for path in compiled.rglob("*.sql"):
        assert not any(clock in path.read_text().lower() for clock in clocks), path
