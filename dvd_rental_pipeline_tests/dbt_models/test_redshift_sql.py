"""The models of sales compile with dbt-redshift, to valid SQL of Redshift. No cluster runs it."""

from pathlib import Path

import pytest
import sqlfluff

from dvd_rental_pipeline.core.settings import DBT_PROJECT_DIR
from dvd_rental_pipeline_tests.dbt_runner import run_dbt
from dvd_rental_pipeline_tests.parsed_project import ParsedProject


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory, sales_project: ParsedProject) -> Path:
    """The folder with the compiled statements."""
    folder = tmp_path_factory.mktemp("redshift")
    completed = run_dbt(
        "compile",
        "--target",
        "redshift",
        "--select",
        "source:sales+",
        "--no-populate-cache",
        "--no-introspect",
        target_path=folder,
        environment={},
        manifest=sales_project.manifest("redshift"),
        project_dir=sales_project.project_dir,
    )
    assert completed.succeeded, completed.stdout
    return folder / "compiled" / "dvd_rental"


@pytest.mark.slow
def test_every_statement_of_sales_parses_as_redshift_sql(compiled: Path) -> None:
    statements = {path: path.read_text() for path in compiled.rglob("*.sql")}
    models = {path.stem for path in (DBT_PROJECT_DIR / "models").glob("*/sales/*.sql")}
    assert len(models) > 10
    assert models <= {path.stem for path in statements}
    for path, statement in statements.items():
        assert sqlfluff.parse(f"{statement.strip()}\n", dialect="redshift"), path
