"""dbt's declaration of the raw tables, rendered from a domain's catalogue so that the two cannot differ.

It has no tests: a blocking check of an asset does not block a step that checks the same asset, and the checks
of the raw tables, in `quality/raw_tables.py`, must block the dbt step.
"""

from pathlib import Path
from typing import Any

import yaml

from dvd_rental_pipeline.core.catalog import CHANGE_CAPTURE_COLUMNS, Column, Domain, Privacy, Table
from dvd_rental_pipeline.core.settings import DBT_PROJECT_DIR

HEADER = (
    "# Rendered from the catalogue by `python -m dvd_rental_pipeline.pipelines.render`: "
    "change the catalogue, not this file.\n"
)


def sources_file(domain: Domain) -> Path:
    """Path of the file with the sources of `domain`."""
    return DBT_PROJECT_DIR / "models" / "staging" / f"_{domain.name}__sources.yml"


def render_sources(domain: Domain) -> str:
    """The text of `sources_file(domain)`."""
    source = {
        "name": domain.name,
        "schema": domain.name,
        "description": f"{domain.description} Replicated by change data capture.",
        "tables": [_render_table(table) for table in domain.tables],
    }
    text: str = yaml.safe_dump(
        {"version": 2, "sources": [source]}, sort_keys=False, width=110, allow_unicode=True
    )
    return HEADER + text


def _render_table(table: Table) -> dict[str, Any]:
    return {
        "name": table.name,
        "description": f"Replica of {table.name}, {table.grain}; deleted rows stay as tombstones.",
        "columns": [_render_column(column) for column in (*table.columns, *CHANGE_CAPTURE_COLUMNS)],
    }


def _render_column(column: Column) -> dict[str, Any]:
    rendered: dict[str, Any] = {"name": column.name, "description": column.description}
    if column.privacy is Privacy.PERSONAL:
        rendered["config"] = {"meta": {"pii": True}}
    elif column.privacy is Privacy.SECRET:
        rendered["config"] = {"meta": {"private": True}}
    return rendered
