"""Row counts and column sums of the raw tables, for ingestion resources that do not write them themselves."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import dagster as dg

from dvd_rental_pipeline.core.catalog import Domain, Table
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.ingestion.postgres_cdc.verify.column_sums import sums_sql
from dvd_rental_pipeline.warehouse.errors import WarehouseUnavailableError
from dvd_rental_pipeline.warehouse.interface import Warehouse


@dataclass(frozen=True)
class RawCounts:
    """By table: the metadata of its materialization, or why it cannot be read."""

    metadata: Mapping[str, Mapping[str, dg.MetadataValue]]
    failures: Mapping[str, str]


def count_raw_tables(warehouse: Warehouse, domain: Domain) -> RawCounts:
    """Count the live rows and the tombstones of every raw table of `domain`, with the time of the last change.

    One query counts all tables; if it fails, each table is counted alone, so that one missing table does not
    prevent the others from being counted.

    Raises:
        WarehouseUnavailableError: the warehouse cannot be reached.
    """
    try:
        return RawCounts(_count(warehouse, domain, domain.tables), {})
    except WarehouseUnavailableError:
        # Counting each table alone would only wait again for each.
        raise
    except PipelineError:
        metadata: dict[str, Mapping[str, dg.MetadataValue]] = {}
        failures: dict[str, str] = {}
        for table in domain.tables:
            try:
                metadata |= _count(warehouse, domain, (table,))
            except WarehouseUnavailableError:
                raise
            except PipelineError as error:
                failures[table.name] = f"it cannot be read in the warehouse. {error}"
        return RawCounts(metadata, failures)


def sum_raw_tables(warehouse: Warehouse, domain: Domain, names: Collection[str]) -> Mapping[str, str]:
    """The column sums over the live rows of the raw tables `names`, by table (see `column_sums`).

    Raises:
        WarehouseError: a table cannot be read, or the warehouse cannot be reached.
    """
    queries = [
        sums_sql(table, f"{domain.name}.{table.name}", "_ab_cdc_deleted_at is null")
        for table in domain.tables
        if table.name in names
    ]
    return (
        {str(name): str(sums) for name, sums in warehouse.query("\nunion all\n".join(queries)).values}
        if queries
        else {}
    )


def delivered_lsns(warehouse: Warehouse, domain: Domain, after: int) -> set[int]:
    """The distinct values of `_ab_cdc_lsn` in the raw tables: the greatest of each table, and all over `after`.

    Raises:
        WarehouseError: a table cannot be read, or the warehouse cannot be reached.
    """
    tables = [f"{domain.name}.{table.name}" for table in domain.tables]
    selects = [f"select max(_ab_cdc_lsn) as lsn from {table}" for table in tables] + [
        f"select distinct _ab_cdc_lsn as lsn from {table} where _ab_cdc_lsn > {after}" for table in tables
    ]
    rows = warehouse.query("\nunion all\n".join(selects)).values
    return {int(lsn) for (lsn,) in rows if lsn is not None}


def _count(
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
    counts: dict[str, Mapping[str, dg.MetadataValue]] = {}
    for name, live, tombstones, changed_at, extracted_at in rows.values:
        metadata: dict[str, dg.MetadataValue] = {
            "dagster/row_count": dg.IntMetadataValue(int(live)),
            "tombstones": dg.IntMetadataValue(int(tombstones)),
        }
        if changed_at is not None:
            metadata["last_change_at"] = dg.TextMetadataValue(str(changed_at))
        if extracted_at is not None:
            metadata["last_extracted_at"] = dg.TextMetadataValue(str(extracted_at))
        counts[name] = metadata
    return counts
