"""Extracts hold what the warehouse holds, without personal data, in each format."""

import csv
import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dvd_rental_pipeline.publishing.extracts import files
from dvd_rental_pipeline.publishing.extracts.asset import write_index
from dvd_rental_pipeline.publishing.extracts.files import (
    HYPER_FILE,
    Extract,
    extract_tables,
    write_extracts,
    write_hyper,
)
from dvd_rental_pipeline.transform.manifest import Manifest
from dvd_rental_pipeline_tests.publishing.report_tables import HOSTILE, PERSON, ReportTables, fill


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory, manifest: Manifest) -> ReportTables:
    tables = ReportTables(tmp_path_factory.mktemp("tables"), manifest)
    fill(tables)
    tables.insert("reports.revenue_by_day", {"date_day": date(2025, 1, 1), "revenue": Decimal("-0.05")})
    return tables


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("extracts")


@pytest.fixture(scope="module")
def extracts(tables: ReportTables, folder: Path, manifest: Manifest) -> list[Extract]:
    declared = extract_tables(manifest, "dvd_rental", manifest.private_columns())
    return list(write_extracts(declared, tables.warehouse, folder))


def test_every_mart_and_report_is_extracted(extracts: list[Extract], manifest: Manifest) -> None:
    expected = {
        model.key
        for unique_id, model in manifest.models.items()
        if model.schema in {"marts", "reports"} and manifest.domains_of(unique_id) <= {"dvd_rental"}
    }
    assert {(extract.table.schema, extract.table.name) for extract in extracts} == expected


def test_parquet_and_csv_hold_the_rows_of_the_warehouse(
    extracts: list[Extract], tables: ReportTables, folder: Path
) -> None:
    for extract in extracts:
        expected = tables.query(extract.table.sql)
        stored = pq.read_table(folder / f"{extract.table.path}.parquet")
        assert [tuple(row.values()) for row in stored.to_pylist()] == expected, extract.table.name
        with (folder / f"{extract.table.path}.csv").open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        assert header == list(extract.table.columns)
        assert len(rows) == extract.rows == len(expected)
    with (folder / "reports/top_films.csv").open(encoding="utf-8", newline="") as file:
        assert HOSTILE in {row["title"] for row in csv.DictReader(file)}


def test_a_table_that_no_sheet_can_hold_has_no_csv(
    tables: ReportTables, manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sheet would show the first rows alone."""
    declared = extract_tables(manifest, "dvd_rental", manifest.private_columns())
    rows = {table.name: len(tables.query(table.sql)) for table in declared}
    longest = max(rows.values())
    monkeypatch.setattr(files, "MOST_CSV_ROWS", longest - 1)
    written = write_extracts(declared, tables.warehouse, tmp_path)
    write_index(written, None, tmp_path)
    without = {name for name, count in rows.items() if count == longest}
    assert {extract.table.name for extract in written if extract.csv_bytes is None} == without
    listed = json.loads((tmp_path / "tables.json").read_text(encoding="utf-8"))
    assert {table["table"] for table in listed if table["csv"] is None} == without
    for table in listed:
        assert (tmp_path / table["parquet"]).exists()
        assert (tmp_path / f"{table['schema']}/{table['table']}.csv").exists() == (table["csv"] is not None)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert page.count("no CSV: too long for a sheet") == len(without)
    assert all(f'href="{table["csv"]}"' in page for table in listed if table["csv"] is not None)


def test_personal_data_stay_in_the_warehouse(extracts: list[Extract], folder: Path) -> None:
    (customer,) = [extract for extract in extracts if extract.table.name == "customer_360"]
    assert set(customer.table.hidden) == {"customer_name", "email", "phone", "address", "postal_code"}
    for extract in extracts:
        columns = pq.read_schema(folder / f"{extract.table.path}.parquet").names
        assert not {*PERSON, "first_name", "last_name"} & set(columns), extract.table.name
        text = (folder / f"{extract.table.path}.csv").read_text(encoding="utf-8")
        assert [value for value in PERSON.values() if value in text] == []


def test_a_tableau_extract_holds_the_same_rows(
    extracts: list[Extract], tables: ReportTables, folder: Path
) -> None:
    pantab = pytest.importorskip("pantab", reason="needs the extra `tableau`")
    assert write_hyper(extracts, folder) == folder / HYPER_FILE
    stored = pantab.frames_from_hyper(folder / HYPER_FILE, return_type="pyarrow")
    by_name = {schema_and_table[-1]: table for schema_and_table, table in stored.items()}
    assert by_name.keys() == {extract.table.name for extract in extracts}
    for extract in extracts:
        expected = [
            tuple(float(value) if isinstance(value, Decimal) else value for value in row)
            for row in tables.query(extract.table.sql)
        ]
        rows = [tuple(row.values()) for row in by_name[extract.table.name].to_pylist()]
        assert sorted(map(json.dumps, _text(rows))) == sorted(map(json.dumps, _text(expected)))


def _text(rows: list[tuple[object, ...]]) -> list[list[str]]:
    # A decimal that became a double may differ in its last binary digit.
    return [[str(round(value, 6) if isinstance(value, float) else value) for value in row] for row in rows]
