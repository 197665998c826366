"""Load rows with COPY: Python values in the text format, NumPy columns in the binary format."""

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql

from dvd_rental_pipeline.sample.dvd_rental.generator.clock import NEVER

_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
_END = struct.pack(">h", -1)


@dataclass(frozen=True)
class BinaryColumn:
    """A column in PostgreSQL's binary format, and a mask of the nulls."""

    binary: NDArray[Any]
    null: NDArray[np.bool_] | None = None


def smallints(values: NDArray[Any]) -> BinaryColumn:
    """Encode as smallint."""
    return BinaryColumn(values.astype(">i2"))


def integers(values: NDArray[Any]) -> BinaryColumn:
    """Encode as integer."""
    return BinaryColumn(values.astype(">i4"))


def timestamps(values: NDArray[np.int64]) -> BinaryColumn:
    """Encode microseconds as timestamp; NEVER is null."""
    return BinaryColumn(values.astype(">i8"), values == NEVER)


def money(cents: NDArray[np.int64]) -> BinaryColumn:
    """Encode amounts below 10,000.00 as numeric: two base-10,000 digits, one before the decimal point."""
    digits = np.zeros((len(cents), 6), dtype=">i2")
    digits[:, 0] = 2
    digits[:, 3] = 2
    digits[:, 4] = cents // 100
    digits[:, 5] = cents % 100 * 100
    return BinaryColumn(digits.view("V12").ravel())


def copy_columns(connection: psycopg.Connection, table: str, columns: Mapping[str, BinaryColumn]) -> None:
    """Append rows given as columns of equal length."""
    statement = _copy_statement(table, columns, sql.SQL("(format binary)"))
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(_SIGNATURE + _encode(list(columns.values())) + _END)


def copy_rows(
    connection: psycopg.Connection, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Append rows of Python values."""
    with (
        connection.cursor() as cursor,
        cursor.copy(_copy_statement(table, columns, sql.SQL("(format text)"))) as copy,
    ):
        for row in rows:
            copy.write_row(row)


def _copy_statement(table: str, columns: Iterable[str], options: sql.SQL) -> sql.Composed:
    return sql.SQL("copy {} ({}) from stdin with {}").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns)), options
    )


def _encode(columns: Sequence[BinaryColumn]) -> bytes:
    # A row is its number of fields, then each field's width and value; a null has the width -1 and no value.
    layout: list[tuple[str, Any]] = [("fields", ">i2")]
    for number, column in enumerate(columns):
        layout += [(f"width{number}", ">i4"), (f"value{number}", column.binary.dtype)]
    rows = np.zeros(len(columns[0].binary), dtype=layout)
    rows["fields"] = len(columns)
    for number, column in enumerate(columns):
        rows[f"width{number}"] = column.binary.dtype.itemsize
        rows[f"value{number}"] = column.binary
        if column.null is not None:
            rows[f"width{number}"][column.null] = -1
    if not any(column.null is not None and column.null.any() for column in columns):
        return rows.tobytes()
    as_bytes = rows.view(np.uint8).reshape(len(rows), rows.dtype.itemsize)
    is_present = np.ones(as_bytes.shape, dtype=np.bool_)
    for number, column in enumerate(columns):
        if column.null is not None and rows.dtype.fields is not None:
            start = rows.dtype.fields[f"value{number}"][1]
            is_present[column.null, start : start + column.binary.dtype.itemsize] = False
    return as_bytes[is_present].tobytes()
