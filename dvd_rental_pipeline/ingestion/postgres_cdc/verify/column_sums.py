"""What the columns of a table add up to: a number that is the same in every database.

Two copies of a table can so be compared without moving their rows: by the number of values that are not null,
of numbers and truths also by their sum, of texts by the sum of their lengths.
"""

from collections.abc import Mapping

from dvd_rental_pipeline.core.catalog import Column, Table

_NUMBERS = ("smallint", "integer", "bigint", "numeric")
_TEXTS = ("character varying", "text")


def sums_sql(table: Table, relation: str, condition: str = "true") -> str:
    """A select of the table's name and its sums, as one text, over the rows of `relation` under `condition`."""
    told = " || ',' || ".join(sql for column in table.columns for sql in _sums(column))
    return f"select '{table.name}' as name, {told} as sums from {relation} where {condition}"


def differing_columns(table: Table, left: str, right: str) -> tuple[str, ...]:
    """The columns whose sums are not the same in two answers to `sums_sql`, in the table's order."""
    labels = [column.name for column in table.columns for _ in _sums(column)]
    pairs: Mapping[str, list[tuple[str, str]]] = {column.name: [] for column in table.columns}
    for name, pair in zip(labels, zip(left.split(","), right.split(","), strict=True), strict=True):
        pairs[name].append(pair)
    return tuple(name for name, found in pairs.items() if any(here != there for here, there in found))


def _sums(column: Column) -> list[str]:
    """The sums of one column, each in a form that every database prints alike."""
    sums = [f"cast(count({column.name}) as varchar)"]
    if column.type.endswith("[]"):
        return sums
    # Airbyte writes money as a float. Six places are more than any column of ours has.
    if column.type.startswith(_NUMBERS):
        sums.append(_printed(f"cast({column.name} as numeric(38, 6))"))
    elif column.type.startswith(_TEXTS):
        sums.append(_printed(f"cast(length({column.name}) as numeric(38, 6))"))
    elif column.type == "boolean":
        sums.append(_printed(f"cast(case when {column.name} then 1 else 0 end as numeric(38, 6))"))
    return sums


def _printed(value: str) -> str:
    return f"cast(cast(coalesce(sum({value}), 0) as numeric(38, 6)) as varchar)"
