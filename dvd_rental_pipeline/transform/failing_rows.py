"""A sample of the rows that fail a dbt test, as metadata of its check, without private columns.

dbt reports only their number. The test's SQL is executed again for a few of the rows.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import dagster as dg

from dvd_rental_pipeline.core.catalog import Domain, Privacy
from dvd_rental_pipeline.core.runbook import ERROR, SAMPLE
from dvd_rental_pipeline.transform.dbt_results import NodeResult
from dvd_rental_pipeline.transform.manifest import Manifest
from dvd_rental_pipeline.warehouse.errors import WarehouseError
from dvd_rental_pipeline.warehouse.interface import Reader, Rows

SAMPLE_ROWS = 5
SAMPLE_COLUMNS = 8
SAMPLED_TESTS = 30  # a broken source fails hundreds of tests at once
NOT_PASSED = {"fail", "warn", "error"}


def failed_tests(results: Iterable[NodeResult]) -> Sequence[NodeResult]:
    """The tests among `results` that failed, warned, or could not be executed."""
    return [
        result for result in results if result.unique_id.startswith("test.") and result.status in NOT_PASSED
    ]


def describe_failures(
    failures: Sequence[NodeResult], manifest: Manifest, domains: Sequence[Domain], reader: Reader
) -> Mapping[str, Mapping[str, dg.MetadataValue]]:
    """Metadata for the check of each failed test, by the test's unique id: a sample of rows, or dbt's error.

    There is no sample if the rows cannot be queried.
    """
    private = private_columns(manifest, domains)
    described: dict[str, Mapping[str, dg.MetadataValue]] = {}
    for failure in failures[:SAMPLED_TESTS]:
        if failure.status == "error":
            described[failure.unique_id] = {ERROR: dg.TextMetadataValue(_without_values(failure.message))}
        elif failure.sql:
            try:
                rows = reader.query(f"select * from (\n{failure.sql}\n) as failing limit {SAMPLE_ROWS}")
            except WarehouseError:
                continue
            sample = public_sample(rows, _declared_columns(failure.unique_id, manifest), private)
            if sample is not None:
                described[failure.unique_id] = {SAMPLE: sample}
    return described


def private_columns(manifest: Manifest, domains: Sequence[Domain]) -> Collection[str]:
    """Names, in lower case, of the columns that are private in any table of `manifest` or `domains`."""
    return manifest.private_columns() | {
        column.name.lower()
        for domain in domains
        for table in domain.tables
        for column in table.columns
        if column.privacy is not Privacy.PUBLIC
    }


def public_sample(
    rows: Rows, declared: Collection[str], private: Collection[str]
) -> dg.TableMetadataValue | None:
    """`rows` as a table without private columns; None if no column is left.

    `declared` are the columns, in lower case, of the tested tables. A column of any other name may contain the
    values of a private one, as `unique_field` does in dbt's test `unique`: only numbers, booleans and times of
    those are included.
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
    """`message` without quoted text: warehouses quote the value that they cannot convert."""
    return re.sub(r"'[^']*'", "'…'", message)


def _declared_columns(test_id: str, manifest: Manifest) -> Collection[str]:
    tables = [manifest.table(parent) for parent in manifest.tests[test_id].parents]
    return {column.name.lower() for table in tables for column in table.columns}


def _value(value: Any) -> str | int | float | bool | None:
    """`value` as a Dagster table accepts it; a decimal as its digits, which a float would change."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, datetime | date):
        return value.isoformat()
    return format(value, "f") if isinstance(value, Decimal) else str(value)
