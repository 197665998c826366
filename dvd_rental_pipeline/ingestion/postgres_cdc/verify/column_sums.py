"""Sums of a table's columns that every database computes and prints alike.

With them, two copies of a table can be compared without moving their rows: by the number of values that are not
null, by the sum of numbers and booleans, and by the total length of texts.

Airbyte's destination-snowflake loads texts without the white space at their edges, and empty ones as null. So
texts are compared without that white space, and blank ones as null. Secret columns are not compared: Airbyte
loads none.
"""

from collections.abc import Mapping, Sequence

from dvd_rental_pipeline.core.catalog import Column, Privacy, Table

_NUMBERS = ("smallint", "integer", "bigint", "numeric")
_TEXTS = ("character varying", "text")
# Types that Airbyte does not load as text.
_TYPED = (*_NUMBERS, "boolean", "date", "time", "real", "double precision")
# As characters: the dialects escape them differently.
_WHITE_SPACE = " \t\n\r"


def sums_sql(table: Table, relation: str, condition: str = "true") -> str:
    """A query for the table's name and its sums, as one text, over the rows of `relation` under `condition`."""
    sums = " || ',' || ".join(expression for column in _compared(table) for expression in _sums(column))
    return f"select '{table.name}' as name, {sums} as sums from {relation} where {condition}"


def differing_columns(table: Table, left: str, right: str) -> tuple[str, ...]:
    """The columns whose sums differ between two results of `sums_sql`, in the table's order."""
    labels = [column.name for column in _compared(table) for _ in _sums(column)]
    pairs: Mapping[str, list[tuple[str, str]]] = {column.name: [] for column in _compared(table)}
    for name, pair in zip(labels, zip(left.split(","), right.split(","), strict=True), strict=True):
        pairs[name].append(pair)
    return tuple(name for name, sums in pairs.items() if any(one != other for one, other in sums))


def _compared(table: Table) -> Sequence[Column]:
    return [column for column in table.columns if column.privacy is not Privacy.SECRET]


def _sums(column: Column) -> list[str]:
    """The expressions for the sums of one column."""
    value = column.name
    if not column.type.startswith((*_TYPED, "bytea")) and not column.type.endswith("[]"):
        value = f"nullif(ltrim(rtrim(cast({value} as varchar), '{_WHITE_SPACE}'), '{_WHITE_SPACE}'), '')"
    sums = [f"cast(count({value}) as varchar)"]
    if column.type.endswith("[]"):
        return sums
    # Airbyte writes money as a float. Six decimal places are more than any declared column has.
    if column.type.startswith(_NUMBERS):
        sums.append(_sum_text(f"cast({value} as numeric(38, 6))"))
    elif column.type.startswith(_TEXTS):
        sums.append(_sum_text(f"cast(length({value}) as numeric(38, 6))"))
    elif column.type == "boolean":
        sums.append(_sum_text(f"cast(case when {value} then 1 else 0 end as numeric(38, 6))"))
    return sums


def _sum_text(value: str) -> str:
    return f"cast(cast(coalesce(sum({value}), 0) as numeric(38, 6)) as varchar)"
