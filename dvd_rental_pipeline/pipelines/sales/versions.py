"""The data versions of the raw tables of sales."""

import hashlib
from collections.abc import Mapping

from dvd_rental_pipeline.pipelines.sales.columns import SALES
from dvd_rental_pipeline.warehouse.interface import Reader, TableName


def read_sales_versions(reader: Reader) -> Mapping[TableName, str]:
    """One version for all tables: a file replaces its rows in each, and is noted with the time of loading.

    Raises:
        WarehouseError: the tables do not exist, or the warehouse cannot be queried.
    """
    rows = reader.query(
        "select file_name, status, sha256, cast(loaded_at as varchar) as loaded_at"
        f" from {SALES.name}.files order by file_name"
    ).values
    text = "\n".join(" ".join(str(value) for value in row) for row in rows)
    version = hashlib.sha256(text.encode()).hexdigest()[:32]
    return {TableName(SALES.name, table.name): version for table in SALES.tables}
