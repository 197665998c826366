"""Every column is traced to the source columns that its value is computed from."""

import re

import pytest

from dvd_rental_pipeline.core.catalog import Privacy
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.publishing.documentation.entity_model import EntityModel, read_entity_model
from dvd_rental_pipeline.publishing.documentation.lineage import ColumnName, Lineage, LineageError, trace
from dvd_rental_pipeline.transform.manifest import Manifest
from dvd_rental_pipeline_tests.transform import small_manifests
from dvd_rental_pipeline_tests.transform.small_manifests import data_test, manifest_of, source


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


def test_a_sum_of_payments_is_computed_from_amounts_alone(lineage: Lineage) -> None:
    assert origins(lineage, "marts.fct_payment.amount") == {"payment.amount"}
    assert origins(lineage, "reports.sales_by_country.revenue") == {"payment.amount"}


# Written in the SQL: names of periods, figures, attributes, methods and tables, and their order.
LABELS = {
    "staging.implausible_times": {"table_name", "column_name"},
    "reports.country_rankings": {"period"},
    "reports.film_rankings": {"period"},
    "reports.genre_rankings": {"period"},
    "reports.headline_figures": {"grain", "figure", "grain_order", "figure_order", "unit"},
    "reports.customer_demographics": {"attribute"},
    "reports.revenue_forecasts": {"method", "horizon"},
    "reports.forecast_accuracy": {"method", "horizon", "is_used"},
    "reports.revenue_trend": {"forecast_method"},
}


def test_every_column_of_a_model_but_labels_has_source_columns(lineage: Lineage) -> None:
    without_origin = {
        table: {column for column in columns if not lineage.origins(ColumnName(table, column))}
        for table, columns in lineage.columns.items()
        if table not in lineage.raw_tables
    }
    assert {table: columns for table, columns in without_origin.items() if columns} == LABELS


def test_the_columns_of_the_sql_are_the_declared_ones(lineage: Lineage, model: EntityModel) -> None:
    for name, table in model.tables.items():
        assert sorted(lineage.columns[name]) == sorted(column.name for column in table.columns), name


def test_secret_columns_are_used_by_no_model(lineage: Lineage) -> None:
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


def test_a_project_that_is_not_compiled_is_an_error() -> None:
    manifest = manifest_of(small_manifests.model("reports.report", [], sql=None))
    with pytest.raises(LineageError, match="not compiled"):
        trace(manifest, read_entity_model(manifest, []))


def small_project(sql: str) -> Manifest:
    """One model, with `sql` over one source table."""
    sales = source("shop.sales", ["sale_id", "price", "sold_at"])
    compiled = re.sub(r"\bsales\b", sales["relation_name"], sql, count=1)
    return manifest_of(
        sales,
        small_manifests.model("reports.report", [sales["unique_id"]], sql=compiled),
        data_test("key", [sales["unique_id"]], kind="primary_key", arguments={"columns": ["sale_id"]}),
    )


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
def test_only_columns_that_a_value_is_computed_from_are_traced(sql: str, expected: set[str]) -> None:
    manifest = small_project(sql)
    lineage = trace(manifest, read_entity_model(manifest, []))
    assert {name.column for name in lineage.origins(ColumnName("reports.report", "found"))} == expected
