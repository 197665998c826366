"""The statements behind `load` and `merge`, which DuckDB and Snowflake share; identifiers arrive quoted."""

from collections.abc import Collection, Sequence

from dvd_rental_pipeline.warehouse.errors import WarehouseError
from dvd_rental_pipeline.warehouse.interface import Session, TableName


def insert_statement(target: str, staged: str, columns: Sequence[str]) -> str:
    """INSERT of all rows of `staged`."""
    names = ", ".join(columns)
    return f"insert into {target} ({names}) select {names} from {staged}"


def merge_statement(target: str, staged: str, columns: Sequence[str], key: Sequence[str]) -> str:
    """MERGE of all rows of `staged` by `key`."""
    matches = " and ".join(f"target.{column} = staged.{column}" for column in key)
    changes = ", ".join(f"{column} = staged.{column}" for column in columns if column not in key)
    update = f"when matched then update set {changes} " if changes else ""
    names = ", ".join(columns)
    values = ", ".join(f"staged.{column}" for column in columns)
    return (
        f"merge into {target} as target using {staged} as staged on {matches} "
        f"{update}when not matched then insert ({names}) values ({values})"
    )


def require_columns(table: TableName, existing: Collection[str], incoming: Sequence[str]) -> None:
    """Reject columns that `table` lacks; names compare without case.

    Raises:
        WarehouseError: there are such columns.
    """
    known = {column.lower() for column in existing}
    unknown = [column for column in incoming if column.lower() not in known]
    if unknown:
        raise WarehouseError(f"Cannot load into {table}: it has no column {', '.join(unknown)}.")


def require_unique_key(session: Session, table: TableName, staged: str, key: Sequence[str]) -> None:
    """Reject rows of `staged` whose `key` (quoted columns) is NULL or occurs twice.

    Raises:
        WarehouseError: there are such rows, or the key is empty.
    """
    if not key:
        raise WarehouseError(f"Cannot merge into {table}: the key has no columns.")
    names = ", ".join(key)
    is_null = " or ".join(f"{column} is null" for column in key)
    ((null_keys,),) = session.execute(f"select count(*) from {staged} where {is_null}").values
    ((duplicates,),) = session.execute(
        f"select count(*) from (select {names} from {staged} group by {names} having count(*) > 1) as repeated"
    ).values
    if null_keys or duplicates:
        raise WarehouseError(
            f"Cannot merge into {table} by {names}: {null_keys} rows have a NULL in the key, "
            f"{duplicates} keys occur more than once."
        )
