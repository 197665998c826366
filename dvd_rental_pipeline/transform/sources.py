"""dbt's declaration of the raw tables, rendered from the catalogue so that the two cannot differ.

Without tests: a step that checks a table is never held up by that table's other checks, and dbt's must be.
`checks/replicated_tables.py` has them.
`python -m dvd_rental_pipeline.transform.sources` writes it; a test tells when it is out of date.
"""

from pathlib import Path
from typing import Any

import yaml

from dvd_rental_pipeline.core.catalog import CHANGE_CAPTURE_COLUMNS, Column, Domain, Privacy, Table
from dvd_rental_pipeline.core.settings import DBT_PROJECT_DIR
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL

HEADER = (
    "# Rendered from the catalogue by `python -m dvd_rental_pipeline.transform.sources`: change it there.\n"
)


def sources_file(domain: Domain) -> Path:
    """Where dbt finds the sources of `domain`."""
    return DBT_PROJECT_DIR / "models" / "staging" / f"_{domain.name}__sources.yml"


def render_sources(domain: Domain) -> str:
    """The text of `sources_file(domain)`."""
    source = {
        "name": domain.name,
        "schema": domain.name,
        "description": f"{domain.description} Replicated by change data capture.",
        "tables": [_table(table) for table in domain.tables],
    }
    text: str = yaml.safe_dump(
        {"version": 2, "sources": [source]}, sort_keys=False, width=110, allow_unicode=True
    )
    return HEADER + text


def _table(table: Table) -> dict[str, Any]:
    return {
        "name": table.name,
        "description": f"Replica of {table.name}, {table.grain}; deleted rows stay as tombstones.",
        "columns": [_column(column) for column in (*table.columns, *CHANGE_CAPTURE_COLUMNS)],
    }


def _column(column: Column) -> dict[str, Any]:
    rendered: dict[str, Any] = {"name": column.name, "description": column.description}
    if column.privacy is Privacy.PERSONAL:
        rendered["config"] = {"meta": {"pii": True}}
    elif column.privacy is Privacy.SECRET:
        rendered["config"] = {"meta": {"private": True}}
    return rendered


if __name__ == "__main__":
    sources_file(DVD_RENTAL).write_text(render_sources(DVD_RENTAL), encoding="utf-8")
