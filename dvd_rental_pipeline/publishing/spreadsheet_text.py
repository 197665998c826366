"""Text in CSV files that a spreadsheet would execute: formulas get an apostrophe in front, as OWASP advises."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

# The minus is last: elsewhere in the brackets below it would be a range.
_STARTS = ("=", "+", "@", "\t", "\r", "-")
_FORMULA = rf"\A([{''.join(_STARTS)}])"


def safe_cell(value: object) -> object:
    """`value`, with an apostrophe in front if it is text that begins like a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_STARTS) else value


def safe_batch(batch: "pa.RecordBatch") -> "pa.RecordBatch":
    """`batch` with every text column as `safe_cell` gives it."""
    import pyarrow as pa  # noqa: PLC0415 - only extracts need it
    import pyarrow.compute as pc  # noqa: PLC0415 - only extracts need it

    columns = [
        pc.replace_substring_regex(column, _FORMULA, r"'\1") if pa.types.is_string(column.type) else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)
