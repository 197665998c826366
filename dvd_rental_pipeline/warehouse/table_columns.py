"""The tables that exist in a warehouse, with their columns."""

from collections.abc import Collection, Mapping

from dvd_rental_pipeline.warehouse.interface import Reader, TableName


def read_table_columns(reader: Reader, schemas: Collection[str]) -> Mapping[TableName, str]:
    """The columns of each table and view of `schemas`, as text with names and types; names in lower case.

    Raises:
        WarehouseError: the warehouse cannot be queried.
    """
    names = ", ".join(f"'{schema.lower()}'" for schema in sorted(schemas))
    rows = reader.query(
        "select lower(table_schema), lower(table_name), column_name, data_type from information_schema.columns"
        f" where lower(table_schema) in ({names}) order by 1, 2, ordinal_position"
    ).values
    columns: dict[TableName, list[str]] = {}
    for schema, table, column, data_type in rows:
        columns.setdefault(TableName(str(schema), str(table)), []).append(f"{column} {data_type}")
    return {table: ", ".join(described) for table, described in columns.items()}
