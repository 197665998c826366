"""PostgreSQL types, the DuckDB types that store them, and the expressions that convert values.

A value arrives in one of two ways. A snapshot sends it in binary where Arrow represents the type exactly, and
as text otherwise; the change stream always sends text. Both ways give the same value, because every text is the
type's own output form, in sessions with the same settings (`session.py`).

Values that DuckDB cannot store become NULL, and `_airbyte_meta` of the row records that, as Airbyte does:

- NaN in a numeric of fixed precision, a timestamp after the year 294246, a multi-dimensional array of a type
  that is otherwise a typed list.

Values that DuckDB stores in another form: infinite dates and timestamps as DuckDB's infinity; years BC;
numerics without precision, or of more than 38 digits, as VARCHAR, exactly; an array as a list (without bounds
other than 1; of several dimensions: its inner arrays as JSON text). Every type without a DuckDB equivalent
(enum, uuid, json, xml, interval, tsvector, inet, ranges, composite types ...) is VARCHAR in PostgreSQL's text
form.
"""

import json
from dataclasses import dataclass

_NUMERIC = 1700
_MAX_DECIMAL_PRECISION = 38


@dataclass(frozen=True)
class ColumnType:
    """How values of one column are converted from PostgreSQL to DuckDB.

    `{}` stands for the column in `source` and `exact` (PostgreSQL), and for a text in `parse` (DuckDB).
    """

    warehouse: str  # the DuckDB type
    source: str  # the expression that a snapshot selects
    parse: str  # from PostgreSQL's text form; never fails: a value that DuckDB cannot store gives NULL
    native: bool = False  # a snapshot's value needs no parsing
    exact: str | None = None  # when a native value is exact; otherwise the snapshot sends its text
    fallible: bool = False  # `parse` may give NULL for a value
    array: bool = False  # the change stream's text is converted to JSON before `parse`


@dataclass(frozen=True)
class PgType:
    """A base type as in `pg_type`; domains are already resolved to their base types."""

    oid: int
    modifier: int
    output_function: str  # quoted, with its schema
    element_oid: int  # 0: not an array
    element_delimiter: str


def column_type(pg_type: PgType) -> ColumnType:
    """How values of a PostgreSQL type are converted to DuckDB."""
    as_text = f"{pg_type.output_function}({{}})::text"
    if pg_type.oid in _NATIVE:
        return _NATIVE[pg_type.oid]
    if pg_type.oid == _NUMERIC:
        return _numeric(pg_type.modifier, as_text)
    if pg_type.oid == 1083:  # time
        return ColumnType("TIME", as_text, "TRY_CAST({} AS TIME)", fallible=True)
    if pg_type.element_oid and pg_type.element_delimiter == ",":
        return _array(pg_type.element_oid, f"array_to_json({as_text}::text[])::text")
    return ColumnType("VARCHAR", as_text, "{}")


def is_widening(old: str, new: str) -> bool:
    """Whether every value of the DuckDB type `old`, stored values included, is the same value in `new`."""
    if old == new:
        return True
    before, after = _decimal(old), _decimal(new)
    if before and after:
        return before[1] == after[1] and before[0] <= after[0]
    return before is not None and new == "VARCHAR"


def array_json(text: str) -> str:
    """A PostgreSQL array in its text form as JSON: elements are strings or null, inner arrays are arrays.

    The syntax is that of section 8.15.6 of PostgreSQL's manual, "Array Input and Output Syntax".

    Raises:
        ValueError: the text is not a complete array literal.
    """
    position = text.index("{")  # skips explicit bounds: [2:3]={...}
    stack: list[list[object]] = []
    end = len(text)
    while position < end:
        character = text[position]
        if character == "{":
            stack.append([])
            position += 1
        elif character == "}":
            position += 1
            closed = stack.pop()
            if not stack:
                return json.dumps(closed, ensure_ascii=False, separators=(",", ":"))
            stack[-1].append(closed)
        elif character == ",":
            position += 1
        elif character == '"':
            position, element = _quoted_element(text, position + 1)
            stack[-1].append(element)
        else:
            stop = position
            while text[stop] not in ",}":
                stop += 1
            element = text[position:stop]
            stack[-1].append(None if element == "NULL" else element)
            position = stop
    raise ValueError("not an array literal: it is not terminated")


def _quoted_element(text: str, position: int) -> tuple[int, str]:
    parts: list[str] = []
    while True:
        quote = text.index('"', position)
        backslash = text.find("\\", position, quote)
        if backslash < 0:
            parts.append(text[position:quote])
            return quote + 1, "".join(parts)
        parts.append(text[position:backslash])
        parts.append(text[backslash + 1])
        position = backslash + 2


def _numeric(modifier: int, as_text: str) -> ColumnType:
    if modifier >= 0:
        precision = (modifier - 4) >> 16 & 0xFFFF
        # Eleven bits with a sign since PostgreSQL 15, which also allows a scale larger than the precision.
        scale = ((modifier - 4 & 0x7FF) ^ 1024) - 1024
        if 0 <= scale <= precision <= _MAX_DECIMAL_PRECISION:
            decimal = f"DECIMAL({precision},{scale})"
            return ColumnType(decimal, as_text, f"TRY_CAST({{}} AS {decimal})", fallible=True)
    return ColumnType("VARCHAR", as_text, "{}")


def _decimal(name: str) -> tuple[int, int] | None:
    if not name.startswith("DECIMAL("):
        return None
    precision, scale = name.removeprefix("DECIMAL(").removesuffix(")").split(",")
    return int(precision), int(scale)


def _array(element_oid: int, as_json: str) -> ColumnType:
    elements = "CAST(CAST({} AS JSON) AS VARCHAR[])"
    if element_oid not in _LIST_ELEMENTS:
        return ColumnType("VARCHAR[]", as_json, elements, array=True)
    warehouse = f"{_LIST_ELEMENTS[element_oid]}[]"
    parse = f"CASE WHEN NOT starts_with({{0}}, '[[') THEN CAST({elements.format('{0}')} AS {warehouse}) END"
    return ColumnType(warehouse, as_json, parse, fallible=True, array=True)


def _native(warehouse: str, name: str, parse: str) -> ColumnType:
    return ColumnType(warehouse, f"{{}}::pg_catalog.{name}", parse, native=True)


def _temporal(warehouse: str, name: str, exact: str) -> ColumnType:
    # PostgreSQL writes "0044-03-15 12:00:00 BC", DuckDB reads "0044-03-15 (BC) 12:00:00".
    before_christ = r"regexp_replace({0}, '^(\S+)( .*)? BC$', '\1 (BC)\2')"
    parse = f"TRY_CAST(CASE WHEN ends_with({{0}}, ' BC') THEN {before_christ} ELSE {{0}} END AS {warehouse})"
    return ColumnType(
        warehouse, f"{{}}::pg_catalog.{name}", parse, native=True, exact=exact, fallible=warehouse != "DATE"
    )


# By the oid of the type, which is fixed for built-in types (pg_type.dat).
_NATIVE = {
    16: _native("BOOLEAN", "bool", "CAST({} AS BOOLEAN)"),
    17: _native("BLOB", "bytea", "unhex(substr({}, 3))"),
    20: _native("BIGINT", "int8", "CAST({} AS BIGINT)"),
    21: _native("SMALLINT", "int2", "CAST({} AS SMALLINT)"),
    23: _native("INTEGER", "int4", "CAST({} AS INTEGER)"),
    25: _native("VARCHAR", "text", "{}"),
    700: _native("FLOAT", "float4", "CAST({} AS FLOAT)"),
    701: _native("DOUBLE", "float8", "CAST({} AS DOUBLE)"),
    # A cast of bpchar to text would lose the padding, which the change stream keeps.
    1042: _native("VARCHAR", "bpchar", "{}"),
    1043: _native("VARCHAR", "varchar", "{}"),
    1082: _temporal("DATE", "date", "isfinite({})"),
    1114: _temporal("TIMESTAMP", "timestamp", "{0} > '-infinity' AND {0} < '294246-12-31'"),
    1184: _temporal("TIMESTAMP WITH TIME ZONE", "timestamptz", "{0} > '-infinity' AND {0} < '294246-12-31'"),
}
_LIST_ELEMENTS = {16: "BOOLEAN", 20: "BIGINT", 21: "SMALLINT", 23: "INTEGER", 700: "FLOAT", 701: "DOUBLE"}
