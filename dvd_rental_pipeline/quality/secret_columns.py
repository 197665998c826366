"""Whether secrets of the source, such as password hashes, stay in the raw tables."""

import dagster as dg

from dvd_rental_pipeline.core.catalog import Domain, Privacy
from dvd_rental_pipeline.core.runbook import FAILED_ROWS, RUNBOOK, Section
from dvd_rental_pipeline.warehouse.resource import Warehouse


def build_secret_columns_check(domain: Domain, asset: dg.AssetKey) -> dg.AssetChecksDefinition:
    """A check of the whole warehouse, shown at `asset`: no table but a raw one has a secret column."""
    secret = sorted(
        {column.name for table in domain.tables for column in table.columns if column.privacy is Privacy.SECRET}
    )

    @dg.asset_check(
        asset=asset,
        name="secret_columns_stay_raw",
        blocking=True,
        description=f"No table or view outside of the raw layer has a column called {' or '.join(secret)}.",
        metadata={RUNBOOK: Section.SECRET_COLUMNS.reference},
    )
    def secret_columns_stay_raw(warehouse: Warehouse) -> dg.AssetCheckResult:
        names = ", ".join(f"'{name}'" for name in secret)
        found = warehouse.query(
            "select table_schema, table_name, column_name from information_schema.columns"
            f" where lower(column_name) in ({names}) and lower(table_schema) <> '{domain.name}'"
            " and lower(table_schema) <> 'information_schema' order by 1, 2, 3"
        ).values
        leaks = [".".join(str(part).lower() for part in row) for row in found]
        return dg.AssetCheckResult(
            passed=not leaks,
            severity=dg.AssetCheckSeverity.ERROR,
            description=f"Secret columns: {', '.join(leaks)}." if leaks else "None left the raw layer.",
            metadata={FAILED_ROWS: len(leaks)},
        )

    return secret_columns_stay_raw
