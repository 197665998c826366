"""Which tables exist in the warehouse: one that the source lacks must not stop the checks of the others."""

from collections.abc import Collection, Iterable

from dvd_rental_pipeline.warehouse.interface import Warehouse


def present_tables(warehouse: Warehouse, schemas: Iterable[str]) -> Collection[tuple[str, str]]:
    """Schema and name, in lower case, of the tables and views of `schemas`.

    Raises:
        WarehouseError: the warehouse cannot be queried.
    """
    names = ", ".join(f"'{schema.lower()}'" for schema in sorted(schemas))
    rows = warehouse.query(
        "select lower(table_schema), lower(table_name) from information_schema.tables"
        f" where lower(table_schema) in ({names})"
    ).values
    return {(str(schema), str(table)) for schema, table in rows}
