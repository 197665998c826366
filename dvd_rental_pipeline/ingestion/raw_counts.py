"""Counting the raw tables in the warehouse, for ways of ingestion that do not write them themselves."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import dagster as dg

from dvd_rental_pipeline.core.catalog import Domain, Table
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.ingestion.postgres_cdc.verify.column_sums import sums_sql
from dvd_rental_pipeline.warehouse.duckdb_file import WarehouseUnavailableError
from dvd_rental_pipeline.warehouse.resource import Warehouse


@dataclass(frozen=True)
class RawCounts:
    """By table: what its materialization shows, or why it cannot be read."""

    metadata: Mapping[str, Mapping[str, dg.MetadataValue]]
    failures: Mapping[str, str]


def count_raw_tables(warehouse: Warehouse, domain: Domain) -> RawCounts:
    """Count the live rows and the tombstones of every raw table of `domain`, and tell their last change.

    Asks for all at once, and only if that fails for each alone: so one table that is missing hides no other.

    Raises:
        WarehouseUnavailableError: the warehouse cannot be reached.
    """
    try:
        return RawCounts(_ask(warehouse, domain, domain.tables), {})
    except WarehouseUnavailableError:
        # To ask for each alone would only wait as many times.
        raise
    except PipelineError:
        metadata: dict[str, Mapping[str, dg.MetadataValue]] = {}
        failures: dict[str, str] = {}
        for table in domain.tables:
            try:
                metadata |= _ask(warehouse, domain, (table,))
            except WarehouseUnavailableError:
                raise
            except PipelineError as error:
                failures[table.name] = f"it cannot be read in the warehouse. {error}"
        return RawCounts(metadata, failures)


def sum_raw_tables(warehouse: Warehouse, domain: Domain, names: Collection[str]) -> Mapping[str, str]:
    """What the columns of the live rows of some raw tables add up to, by table (see `column_sums`).

    Raises:
        WarehouseError: a table cannot be read, or the warehouse cannot be reached.
    """
    asked = [
        sums_sql(table, f"{domain.name}.{table.name}", "_ab_cdc_deleted_at is null")
        for table in domain.tables
        if table.name in names
    ]
    return (
        {str(name): str(sums) for name, sums in warehouse.query("\nunion all\n".join(asked)).values}
        if asked
        else {}
    )


def _ask(
    warehouse: Warehouse, domain: Domain, tables: tuple[Table, ...]
) -> dict[str, Mapping[str, dg.MetadataValue]]:
    rows = warehouse.query(
        "\nunion all\n".join(
            f"select '{table.name}', count(*) - count(_ab_cdc_deleted_at), count(_ab_cdc_deleted_at),"
            f" max(_ab_cdc_updated_at), cast(max(_airbyte_extracted_at) as varchar)"
            f" from {domain.name}.{table.name}"
            for table in tables
        )
    )
    found: dict[str, Mapping[str, dg.MetadataValue]] = {}
    for name, live, tombstones, changed_at, extracted_at in rows.values:
        metadata: dict[str, dg.MetadataValue] = {
            "dagster/row_count": dg.IntMetadataValue(int(live)),
            "tombstones": dg.IntMetadataValue(int(tombstones)),
        }
        if changed_at is not None:
            metadata["last_change_at"] = dg.TextMetadataValue(str(changed_at))
        if extracted_at is not None:
            metadata["last_extracted_at"] = dg.TextMetadataValue(str(extracted_at))
        found[name] = metadata
    return found
