"""The star of sales: complete, the same for any history of files, and equal in DuckDB and PostgreSQL."""

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dvd_rental_pipeline.core.settings import PROJECT_ROOT, Settings
from dvd_rental_pipeline.ingestion.files.drop_zone import DropFolder
from dvd_rental_pipeline.pipelines.sales.loading import load_files
from dvd_rental_pipeline.sample.sales.generator import generate_sales
from dvd_rental_pipeline.warehouse.deployment import open_warehouse
from dvd_rental_pipeline.warehouse.interface import Warehouse
from dvd_rental_pipeline_tests.dbt_runner import run_dbt
from dvd_rental_pipeline_tests.parsed_project import ParsedProject
from dvd_rental_pipeline_tests.pipelines.sales.sales_files import csv_text, drop, order_line

TABLES = (
    "marts.fct_sales", "marts.dim_sales_product", "marts.dim_sales_customer", "marts.dim_sales_territory",
    "marts.dim_sales_date", "marts.sales_quarantine",
    "reports.sales_by_territory", "reports.product_line_sales",
    "reports.price_against_list", "reports.customers_gained_and_lost", "reports.shipping_delay",
)  # fmt: skip


class Star:
    """A warehouse with sales, and dbt to build the star."""

    def __init__(self, home: Path, project: ParsedProject, warehouse_url: str | None = None) -> None:
        self.settings = Settings(home=home, warehouse_url=warehouse_url)
        self.project = project
        self.warehouse: Warehouse = open_warehouse(self.settings, {})

    def load(self, folder: Path) -> None:
        load_files(DropFolder(folder), self.warehouse, lambda _: None)

    def build(self, *arguments: str) -> str:
        target = self.settings.dbt_target
        with mock.patch.dict(os.environ):
            self.settings.export()
            completed = run_dbt(
                "build",
                "--select",
                "source:sales+",
                "--target",
                target,
                *arguments,
                target_path=self.settings.dbt_target_dir,
                environment={},
                manifest=self.project.manifest(target),
                project_dir=self.project.project_dir,
            )
        assert completed.succeeded, completed.stdout[-5000:]
        return completed.stdout

    def tables(self) -> Mapping[str, Counter[tuple[Any, ...]]]:
        """The rows of each table; the warehouse is opened once."""
        with self.warehouse.transaction() as session:
            return {
                table: Counter(tuple(row) for row in session.execute(f"select * from {table}").values)
                for table in TABLES
            }


@pytest.mark.slow
def test_generated_months_are_equal_in_duckdb_and_postgresql(
    sales_project: ParsedProject, tmp_path: Path, database_url: str
) -> None:
    files = tmp_path / "files"
    generate_sales(files, months=14)
    stars = (
        Star(tmp_path / "duckdb", sales_project),
        Star(tmp_path / "postgres", sales_project, database_url),
    )
    for star in stars:
        star.load(files)
        output = star.build()
        count = re.search(r"PASS=(\d+) WARN=0 ERROR=0 SKIP=0", output)
        assert count, output[-3000:]
        assert int(count[1]) > 45, "models, data tests and unit tests"
    duckdb_tables, postgres_tables = (star.tables() for star in stars)
    for table, rows in duckdb_tables.items():
        assert rows, f"{table} is empty: comparing it proves nothing"
        other = postgres_tables[table]
        assert rows == other, f"{table}: {list((rows - other).items())[:3]} {list((other - rows).items())[:3]}"
    query = "select sum(lost_customers) from reports.customers_gained_and_lost"
    assert stars[0].warehouse.query(query).values[0][0] > 0, "enough months for a customer to be lost"
    for title, form, sql in panels_of_the_warehouse():
        shown = stars[1].warehouse.query(sql)
        assert shown.values, f"{title} shows nothing"
        assert form == "table" or (shown.columns[0] == "time" and isinstance(shown.values[0][0], datetime)), (
            title
        )
    versions = (
        stars[0]
        .warehouse.query("select count(*), count(distinct product_code) from marts.dim_sales_product")
        .values[0]
    )
    assert versions[0] > versions[1], "some list prices changed"


def panels_of_the_warehouse() -> list[tuple[str, str, str]]:
    """Title, format and SQL of the panels of Grafana's dashboards that read the warehouse in PostgreSQL."""
    files = (PROJECT_ROOT / "deploy" / "grafana" / "dashboards").glob("*.json")
    panels = [
        (panel["title"], target["format"], target["rawSql"])
        for file in sorted(files)
        for panel in json.loads(file.read_text())["panels"]
        for target in panel["targets"]
        if "rawSql" in target and target["datasource"]["uid"] == "warehouse"
    ]
    assert len(panels) > 4
    return panels


def month(number: int, lines: Sequence[tuple[str, int, str, str]]) -> str:
    """A file of the month: order, day, list price, city of each line; an order is in one file or in several."""
    return csv_text(
        [
            order_line(
                order_number=order,
                order_line=str(at % 3 + 1),
                order_date=f"2024-{number:02}-{day:02}",
                ship_date="",
                list_price=price,
                city=city,
            )
            for at, (order, day, price, city) in enumerate(lines)
        ]
    )


LINES = st.lists(
    st.tuples(
        st.sampled_from(["1", "2", "3"]),
        st.integers(1, 5),
        st.sampled_from(["9", "10", "x"]),
        st.sampled_from("AB"),
    ),
    max_size=5,
)
Files: TypeAlias = Mapping[tuple[int, str, int], Sequence[tuple[str, int, str, str]]]
"""The lines of each file, by month, part and revision."""
FILES = st.dictionaries(
    st.tuples(st.integers(1, 3), st.sampled_from(["", "_a"]), st.integers(1, 2)), LINES, min_size=1, max_size=6
)


@dataclass
class Orders:
    """The same files, loaded in the order of their names and in another one."""

    folder: Callable[[str], Path]
    project: ParsedProject
    build_options: Sequence[str]

    def compare(self, files: Files, data: st.DataObject) -> None:
        """Require equal stars, in which every record of the highest revisions is once."""
        contents = {
            f"sales_2024-{number:02}{part}.r{revision}.csv": month(number, lines)
            for (number, part, revision), lines in files.items()
        }
        results = []
        for names in (sorted(contents), data.draw(st.permutations(sorted(contents)))):
            star = Star(self.folder("home"), self.project)
            folder = self.folder("files")
            for name in names:
                drop(folder, name, contents[name])
                star.load(folder)
            star.build(*self.build_options)
            results.append(star.tables())
        assert results[0] == results[1]
        highest = {
            (number, part): max(r for n, p, r in files if (n, p) == (number, part)) for number, part, _ in files
        }
        records = sum(len(files[number, part, revision]) for (number, part), revision in highest.items())
        star_rows = sum(sum(results[0][f"marts.{name}"].values()) for name in ("fct_sales", "sales_quarantine"))
        assert star_rows == records, "every record is in fct_sales once or in the quarantine once"


UNIT_TESTS = ("--exclude-resource-type", "unit_test")


@pytest.mark.slow
@settings(max_examples=2, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(files=FILES, data=st.data())
def test_any_order_of_files_gives_the_same_star_and_loses_no_line(
    tmp_path_factory: pytest.TempPathFactory, sales_project: ParsedProject, files: Files, data: st.DataObject
) -> None:
    options = (*UNIT_TESTS, "--exclude-resource-type", "test")
    Orders(tmp_path_factory.mktemp, sales_project, options).compare(files, data)


@pytest.mark.heavy
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(files=FILES, data=st.data())
def test_any_order_of_files_passes_every_data_test(
    tmp_path_factory: pytest.TempPathFactory, sales_project: ParsedProject, files: Files, data: st.DataObject
) -> None:
    Orders(tmp_path_factory.mktemp, sales_project, UNIT_TESTS).compare(files, data)


@pytest.mark.slow
def test_a_late_file_inserts_its_version_and_moves_no_other(
    sales_project: ParsedProject, tmp_path: Path
) -> None:
    star, files = Star(tmp_path / "home", sales_project), tmp_path / "files"
    drop(files, "sales_2024-01.csv", month(1, [("1", 1, "9", "A")]))
    drop(files, "sales_2024-03.csv", month(3, [("3", 1, "9", "A"), ("4", 5, "11", "A")]))
    star.load(files)
    star.build("--exclude-resource-type", "unit_test")
    versions = "select product_version_key, list_price, valid_from, valid_to from marts.dim_sales_product"
    before = star.warehouse.query(versions).values
    drop(files, "sales_2024-02.csv", month(2, [("2", 2, "10", "A")]))
    star.load(files)
    star.build("--exclude-resource-type", "unit_test")
    after = star.warehouse.query(f"{versions} order by valid_from").values
    assert [(float(row[1]), str(row[2]), str(row[3])) for row in after] == [
        (9.0, "1900-01-01", "2024-02-02"),
        (10.0, "2024-02-02", "2024-03-01"),
        (9.0, "2024-03-01", "2024-03-05"),
        (11.0, "2024-03-05", "None"),
    ]
    assert {row[0] for row in before} < {row[0] for row in after}, "a version keeps its key"
    sold = star.warehouse.query(
        "select order_number, products.list_price from marts.fct_sales"
        " join marts.dim_sales_product as products using (product_version_key) order by 1"
    ).values
    assert [(row[0], float(row[1])) for row in sold] == [("1", 9.0), ("2", 10.0), ("3", 9.0), ("4", 11.0)]
