"""Every column is traced to the columns of the source that make its value."""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from dvd_rental_pipeline.core.catalog import Privacy
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.publishing.documentation.lineage import ColumnName, Lineage, LineageError, trace
from dvd_rental_pipeline.transform.manifest import Model, read_model


def origins(lineage: Lineage, column: str) -> set[str]:
    table, _, name = column.rpartition(".")
    assert name in lineage.columns[table], f"{table} has no {name}"
    return {str(origin).removeprefix("dvd_rental.") for origin in lineage.origins(ColumnName(table, name))}


@pytest.mark.parametrize(
    ("column", "source"),
    [
        ("reports.revenue_by_month.revenue", "payment.amount"),
        ("reports.revenue_by_month.month", "payment.payment_date"),
        ("reports.sales_by_country.rentals", "rental.rental_id"),
        ("reports.sales_by_country.customers", "customer.customer_id"),
        ("reports.genre_performance.category", "category.name"),
        ("marts.fct_rental.film_id", "inventory.film_id"),
        ("marts.fct_rental.due_at", "film.rental_duration"),
        ("marts.dim_customer.country", "country.country"),
    ],
)
def test_a_column_is_traced_to_its_source(column: str, source: str, lineage: Lineage) -> None:
    assert source in origins(lineage, column)


def test_a_sum_of_payments_comes_from_their_amounts_alone(lineage: Lineage) -> None:
    assert origins(lineage, "marts.fct_payment.amount") == {"payment.amount"}
    assert origins(lineage, "reports.sales_by_country.revenue") == {"payment.amount"}


def test_every_column_of_a_model_comes_from_the_source(lineage: Lineage) -> None:
    from_nowhere = [
        f"{table}.{column}"
        for table, columns in lineage.columns.items()
        if table not in lineage.raw_tables
        for column in columns
        if not lineage.origins(ColumnName(table, column))
    ]
    assert from_nowhere == []


def test_the_columns_found_in_the_sql_are_those_that_are_declared(lineage: Lineage, model: Model) -> None:
    for name, table in model.tables.items():
        assert sorted(lineage.columns[name]) == sorted(column.name for column in table.columns), name


def test_secret_columns_stay_in_the_raw_tables(lineage: Lineage) -> None:
    secret = {
        ColumnName(f"{DVD_RENTAL.name}.{table.name}", column.name)
        for table in DVD_RENTAL.tables
        for column in table.columns
        if column.privacy is Privacy.SECRET
    }
    assert ColumnName("dvd_rental.staff", "password") in secret
    assert ColumnName("dvd_rental.staff", "picture") in secret
    read = {source for sources in lineage.parents.values() for source in sources}
    assert secret & read == set()


def test_a_project_that_is_not_compiled_is_told(manifest: Mapping[str, Any], model: Model) -> None:
    nodes = {
        unique_id: {key: value for key, value in node.items() if key != "compiled_code"}
        for unique_id, node in manifest["nodes"].items()
    }
    with pytest.raises(LineageError, match="not compiled"):
        trace({**manifest, "nodes": nodes}, model)


def small_project(sql: str) -> Mapping[str, Any]:
    """A manifest of one model over one source table, as far as lineage reads it."""
    columns = {name: {"name": name, "description": ""} for name in ("sale_id", "price", "sold_at")}
    return {
        "metadata": {"adapter_type": "duckdb"},
        "sources": {
            "source.shop.sales": {
                "unique_id": "source.shop.sales",
                "resource_type": "source",
                "source_name": "shop",
                "name": "sales",
                "description": "",
                "columns": columns,
                "relation_name": '"db"."shop"."sales"',
            }
        },
        "nodes": {
            "model.shop.report": {
                "unique_id": "model.shop.report",
                "resource_type": "model",
                "name": "report",
                "schema": "reports",
                "config": {"schema": "reports"},
                "description": "",
                "columns": {},
                "relation_name": '"db"."reports"."report"',
                "depends_on": {"nodes": ["source.shop.sales"]},
                "compiled_code": re.sub(r"\bsales\b", '"db"."shop"."sales"', sql, count=1),
            },
            "test.shop.key": {
                "resource_type": "test",
                "attached_node": None,
                "depends_on": {"nodes": ["source.shop.sales"]},
                "test_metadata": {"name": "primary_key", "kwargs": {"columns": ["sale_id"]}},
            },
        },
    }


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select count(*) as found from sales", {"sale_id"}),
        ("with s as (select price from sales) select count(*) as found from s", {"sale_id"}),
        ("with s as (select 1 as one from sales) select sum(one) as found from s", {"sale_id"}),
        (
            "with s as (select price, count(*) as n from sales group by 1) select max(n) found from s",
            {"sale_id"},
        ),
        ("select sum(price) as found from sales where sold_at is not null", {"price"}),
        ("select row_number() over (order by price) as found from sales", {"price"}),
        ("with s as (select * from sales) select coalesce(price, 0) as found from s", {"price"}),
        (
            "with s as (select price, sold_at from sales), "
            "u as (select price from s union all select sold_at from s) select price as found from u",
            {"price", "sold_at"},
        ),
        ("select 'a word' as found from sales", set()),
    ],
)
def test_what_makes_a_value_is_traced(sql: str, expected: set[str]) -> None:
    manifest = small_project(sql)
    lineage = trace(manifest, read_model(manifest, []))
    assert {name.column for name in lineage.origins(ColumnName("reports.report", "found"))} == expected
