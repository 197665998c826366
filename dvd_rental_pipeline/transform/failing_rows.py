"""Some of the rows that fail a dbt test, as metadata of its check, without anything private.

dbt tells only how many rows fail. The SQL that it ran is asked again, for a few of them.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import dagster as dg

from dvd_rental_pipeline.core.catalog import Domain, Privacy
from dvd_rental_pipeline.core.runbook import ERROR, SAMPLE
from dvd_rental_pipeline.warehouse.duckdb_file import Rows, WarehouseError
from dvd_rental_pipeline.warehouse.resource import Warehouse

SAMPLE_ROWS = 5
SAMPLE_COLUMNS = 8
SAMPLED_TESTS = 30  # a broken source fails hundreds at once, and more samples say no more
FAILED = {"fail", "warn"}


@dataclass(frozen=True)
class FailedTest:
    """A test that did not pass, as dbt's run results tell it."""

    unique_id: str
    status: str
    message: str
    sql: str


def failed_tests(run_results: Mapping[str, Any]) -> Sequence[FailedTest]:
    """The tests of `run_results` (dbt's artifact) that failed, warned, or could not be run."""
    return [
        FailedTest(
            unique_id=result["unique_id"],
            status=result["status"],
            message=result.get("message") or "",
            sql=result.get("compiled_code") or "",
        )
        for result in run_results["results"]
        if result["unique_id"].startswith("test.") and result["status"] in {*FAILED, "error"}
    ]


def describe_failures(
    failures: Sequence[FailedTest], manifest: Mapping[str, Any], domain: Domain, warehouse: Warehouse
) -> Mapping[str, Mapping[str, dg.MetadataValue]]:
    """What the check of each failed test shows beside its count, by dbt's id of the test.

    A test whose rows cannot be asked for has no sample: it has failed anyway.
    """
    private = private_columns(manifest, domain)
    described: dict[str, Mapping[str, dg.MetadataValue]] = {}
    for failure in failures[:SAMPLED_TESTS]:
        if failure.status == "error":
            described[failure.unique_id] = {ERROR: dg.TextMetadataValue(_without_values(failure.message))}
        elif failure.sql:
            try:
                rows = warehouse.query(f"select * from (\n{failure.sql}\n) as failing limit {SAMPLE_ROWS}")
            except WarehouseError:
                continue
            declared = _declared_columns(failure.unique_id, manifest)
            sample = showable(rows, declared, private)
            if sample is not None:
                described[failure.unique_id] = {SAMPLE: sample}
    return described


def private_columns(manifest: Mapping[str, Any], domain: Domain) -> Collection[str]:
    """The names, in lower case, of columns that are private in any table of `manifest` or `domain`."""
    nodes = [*manifest["nodes"].values(), *manifest["sources"].values()]
    return {
        name.lower()
        for node in nodes
        for name, column in node.get("columns", {}).items()
        if {"pii", "private"} & {key for key, value in _meta(column).items() if value}
    } | {
        column.name
        for table in domain.tables
        for column in table.columns
        if column.privacy is not Privacy.PUBLIC
    }


def showable(rows: Rows, declared: Collection[str], private: Collection[str]) -> dg.TableMetadataValue | None:
    """`rows` as a table without what is private; none if nothing is left to show.

    `declared` are the columns, in lower case, of the tested tables. Under any other name a private column may
    hide, such as the `unique_field` of dbt's test `unique`: of those only numbers, truths and times are shown.
    """
    positions = [
        position
        for position, name in enumerate(rows.columns)
        if name.lower() not in private
        and (
            name.lower() in declared
            or not any(isinstance(row[position], str | bytes | list | dict) for row in rows.values)
        )
        and any(row[position] is not None for row in rows.values)
    ][:SAMPLE_COLUMNS]
    if not positions:
        return None
    columns = [rows.columns[position].lower() for position in positions]
    records = [
        dg.TableRecord(dict(zip(columns, (_value(row[position]) for position in positions), strict=True)))
        for row in rows.values
    ]
    return dg.TableMetadataValue(records, dg.TableSchema([dg.TableColumn(name, "any") for name in columns]))


def _without_values(message: str) -> str:
    """`message` without what stands in quotation marks: warehouses quote the value that they stumbled over."""
    return re.sub(r"'[^']*'", "'…'", message)


def _declared_columns(test_id: str, manifest: Mapping[str, Any]) -> Collection[str]:
    tested = manifest["nodes"][test_id]["depends_on"]["nodes"]
    tables = [manifest["nodes"].get(unique_id) or manifest["sources"][unique_id] for unique_id in tested]
    return {name.lower() for table in tables for name in table.get("columns", {})}


def _meta(column: Mapping[str, Any]) -> Mapping[str, Any]:
    meta: Mapping[str, Any] = column.get("config", {}).get("meta") or column.get("meta") or {}
    return meta


def _value(value: Any) -> str | int | float | bool | None:
    """As Dagster's tables take it; a decimal as its digits, which a float would change."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, datetime | date):
        return value.isoformat()
    return format(value, "f") if isinstance(value, Decimal) else str(value)
