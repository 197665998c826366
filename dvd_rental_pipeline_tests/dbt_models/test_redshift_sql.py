"""The models of sales compile with dbt-redshift, to valid SQL of Redshift. No cluster runs it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlfluff

from dvd_rental_pipeline.core.settings import DBT_PROJECT_DIR


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the compiled statements."""
    target = tmp_path_factory.mktemp("redshift")
    completed = subprocess.run(
        [
            Path(sys.executable).parent / "dbt", "compile", "--target", "redshift", "--select", "source:sales+",
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


def test_every_statement_of_sales_parses_as_redshift_sql(compiled: Path) -> None:
    statements = {path: path.read_text() for path in compiled.rglob("*.sql")}
    models = {path.stem for path in (DBT_PROJECT_DIR / "models").glob("*/sales/*.sql")}
    assert len(models) > 10
    assert models <= {path.stem for path in statements}
    for path, statement in statements.items():
        assert sqlfluff.parse(f"{statement.strip()}\n", dialect="redshift"), path
