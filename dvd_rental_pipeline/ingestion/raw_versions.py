"""The data version of each raw table, read from the table itself: it changes with every change of a row.

Read from the warehouse, not from the history of runs: a sync that is killed may have written rows, and a
warehouse that is restored has the version of its own state. The same for every ingestion.
"""

import hashlib
import json
from collections.abc import Collection, Mapping

from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.ingestion.postgres_cdc.schemas import past_schema
from dvd_rental_pipeline.warehouse.interface import Reader, TableName
from dvd_rental_pipeline.warehouse.table_columns import read_table_columns

REPLICATION_STATE = TableName("_replication", "tables")
# Part of the stored state that changes without the table.
_NOT_DATA = ("stopped",)


def raw_schemas(domain: Domain) -> Collection[str]:
    """The schemas that determine the raw tables of `domain`, for `read_table_columns`."""
    return {domain.name, past_schema(domain.name), REPLICATION_STATE.schema}


def read_raw_versions(
    reader: Reader, domain: Domain, columns: Mapping[TableName, str] | None = None
) -> Mapping[str, str]:
    """The data version of every raw table of `domain` that exists, by the table's name.

    A change of a row, a full refresh and a change of the columns each give another version; a sync without
    changes gives the same. `columns` are those of `raw_schemas(domain)`, if they are known.

    Raises:
        WarehouseError: the warehouse cannot be queried.
    """
    if columns is None:
        columns = read_table_columns(reader, raw_schemas(domain))
    present = [table.name for table in domain.tables if TableName(domain.name, table.name) in columns]
    if not present:
        return {}
    # Counts and extremes of columns, which Snowflake answers from its metadata.
    selects = [
        f"select '{name}' as name, cast(count(*) as varchar) as row_count,"
        " cast(count(_ab_cdc_deleted_at) as varchar) as tombstones,"
        " cast(max(_ab_cdc_lsn) as varchar) as lsn, max(_ab_cdc_updated_at) as updated_at,"
        " cast(max(_airbyte_extracted_at) as varchar) as extracted_at,"
        f" cast(max(_airbyte_generation_id) as varchar) as generation from {domain.name}.{name}"
        for name in present
    ]
    contents = {str(name): values for name, *values in reader.query(" union all ".join(selects)).values}
    states = _read_replication_state(reader, domain) if REPLICATION_STATE in columns else {}
    return {
        name: _digest(
            contents[name],
            states.get(name),
            columns[TableName(domain.name, name)],
            columns.get(TableName(past_schema(domain.name), name)),
        )
        for name in present
    }


def _read_replication_state(reader: Reader, domain: Domain) -> Mapping[str, object]:
    """What the embedded replication has stored of each table, such as the labels of its enums."""
    rows = reader.query(
        f"select table_name, cast(facts as varchar) from {REPLICATION_STATE} where target = ?", [domain.name]
    ).values
    return {
        str(name): {key: value for key, value in json.loads(facts).items() if key not in _NOT_DATA}
        for name, facts in rows
    }


def _digest(*parts: object) -> str:
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
