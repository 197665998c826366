"""The notebook on extracts runs on the files that a run publishes."""

import json
from pathlib import Path
from typing import Any

import pytest

from dvd_rental_pipeline.core.settings import PROJECT_ROOT
from dvd_rental_pipeline.publishing.extracts.asset import write_index
from dvd_rental_pipeline.publishing.extracts.files import extract_tables, write_extracts
from dvd_rental_pipeline.transform.manifest import read_manifest
from dvd_rental_pipeline_tests.parsed_project import ParsedProject
from dvd_rental_pipeline_tests.publishing.report_tables import ReportTables, fill


def test_the_notebook_shows_tables_and_sums(
    tmp_path: Path, parsed_project: ParsedProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = read_manifest(parsed_project.target_path("local") / "manifest.json")
    tables = ReportTables(tmp_path, manifest)
    fill(tables)
    tables.insert("marts.dim_film", {"film_id": 1, "category": "Drama"}, {"film_id": 2, "category": "Action"})
    tables.insert(
        "marts.fct_payment",
        *({"payment_id": number, "film_id": 1 + number % 2, "amount": number} for number in range(1, 5)),
    )
    folder = tmp_path / "site" / "extracts"
    folder.mkdir(parents=True)
    declared = extract_tables(manifest, "dvd_rental", manifest.private_columns())
    write_index(write_extracts(declared, tables.warehouse, folder), None, folder)
    monkeypatch.setenv("DVD_RENTAL_HOME", str(tmp_path))
    shown = run_cells(PROJECT_ROOT / "docs" / "extracts.ipynb")
    assert set(shown[0]["table"]) >= {"revenue_by_month", "fct_payment"}
    assert list(shown[1].columns) == ["Store 1, City 1", "Store 2, City 2"]
    assert {name: float(amount) for name, amount in shown[2].items()} == {"Drama": 6.0, "Action": 4.0}


def run_cells(notebook: Path) -> list[Any]:
    """Execute the cells; returns the value of the last expression of each, as a notebook shows it."""
    names: dict[str, Any] = {}
    shown = []
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            *statements, expression = cell["source"]
            exec("".join(statements), names)  # noqa: S102 - a file of this project
            shown.append(eval(expression, names))  # noqa: S307 - a file of this project
    return shown
