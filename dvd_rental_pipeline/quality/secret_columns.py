"""Whether secret columns of a source, such as password hashes, stay in the raw tables."""

from collections.abc import Collection

import dagster as dg

from dvd_rental_pipeline.core.catalog import Domain, Privacy, Table
from dvd_rental_pipeline.core.runbook import FAILED_ROWS, RUNBOOK, Section
from dvd_rental_pipeline.warehouse.resource import WarehouseResource

RelationName = tuple[str, str]
"""Schema and name, in lower case."""


def secret_tables(domain: Domain) -> list[Table]:
    """The tables of `domain` that have a secret column."""
    return [
        table for table in domain.tables if any(column.privacy is Privacy.SECRET for column in table.columns)
    ]


def build_secret_columns_check(
    domain: Domain,
    asset: dg.AssetKey,
    *,
    raw_schemas: Collection[str],
    unrelated: Collection[RelationName] = (),
) -> dg.AssetChecksDefinition:
    """A check of the whole warehouse, attached to `asset`: secret columns of `domain` appear in raw schemas
    alone.

    `unrelated` are relations built from other domains alone, in which a column may have the same name.
    """
    secret = sorted(
        {column.name for table in domain.tables for column in table.columns if column.privacy is Privacy.SECRET}
    )
    excluded = {name.lower() for name in (*raw_schemas, "information_schema")}

    @dg.asset_check(
        asset=asset,
        name="secret_columns_stay_raw",
        blocking=True,
        description=f"No table or view outside of the raw layer has a column named {' or '.join(secret)}.",
        metadata={RUNBOOK: Section.SECRET_COLUMNS.reference},
    )
    def secret_columns_stay_raw(warehouse: WarehouseResource) -> dg.AssetCheckResult:
        names = ", ".join(f"'{name}'" for name in secret)
        rows = warehouse.query(
            "select lower(table_schema), lower(table_name), lower(column_name) from information_schema.columns"
            f" where lower(column_name) in ({names}) order by 1, 2, 3"
        ).values
        leaks = [
            f"{schema}.{table}.{column}"
            for schema, table, column in rows
            if schema not in excluded and (schema, table) not in unrelated
        ]
        return dg.AssetCheckResult(
            passed=not leaks,
            severity=dg.AssetCheckSeverity.ERROR,
            description=f"Secret columns: {', '.join(leaks)}."
            if leaks
            else "No secret column left the raw layer.",
            metadata={FAILED_ROWS: len(leaks)},
        )

    return secret_columns_stay_raw
