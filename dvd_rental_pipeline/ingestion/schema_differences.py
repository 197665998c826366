"""How the columns of a source table differ from the catalogue, and whether the models can still read them.

The models cast what they read, so a type with more values is as good as the declared one. A type with fewer
values, or of another kind, may have lost something already.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dvd_rental_pipeline.core.catalog import Column, Table

_INTEGERS = {"smallint": 2, "integer": 4, "bigint": 8}
_TEXTS = ("text", "character varying", "character", "citext")
_TIMES = {"date": 1, "timestamp without time zone": 2, "timestamp with time zone": 2}
_TYPE = re.compile(
    r"(?P<name>[^(\[]+?)(?:\((?P<size>\d+)(?:,(?P<scale>-?\d+))?\))?(?P<rest> with.*)?(?P<array>\[\])?$"
)
_UNLIMITED = 1 << 30


@dataclass(frozen=True)
class SchemaDifference:
    """A column that differs from the catalogue; `is_lossy` is whether models may read wrong or missing values.

    `present` is the type in the source, as `format_type` prints it; None if the column does not exist.
    """

    table: str
    column: str
    declared: str
    present: str | None
    is_lossy: bool

    @property
    def description(self) -> str:
        """The difference as text, without the table."""
        if self.present is None:
            return f"{self.column} ({self.declared}) was dropped"
        return f"{self.column} is {self.present}, was {self.declared}"


def schema_differences(table: Table, present: Mapping[str, str]) -> Sequence[SchemaDifference]:
    """The declared columns of `table` that are missing or of another type; `present` has types by column."""
    return [
        SchemaDifference(
            table.name, column.name, column.type, present.get(column.name), is_lossy=_is_lossy(column, present)
        )
        for column in table.columns
        if present.get(column.name) != column.type
    ]


def _is_lossy(column: Column, present: Mapping[str, str]) -> bool:
    if not column.is_read:
        return False
    kind = present.get(column.name)
    return kind is None or not holds_every_value(kind, column.type)


def holds_every_value(kind: str, declared: str) -> bool:
    """Whether the PostgreSQL type `kind` has every value of the type `declared`, so that models can read it.

    Timestamps with and without a time zone are alike: the models convert them (`source_time`).
    """
    if kind == declared:
        return True
    new, old = _parse(kind), _parse(declared)
    if new.is_array != old.is_array:
        return False
    if old.name in _TEXTS:
        return new.name in _TEXTS and new.length >= old.length
    if old.name == "numeric":
        return new.name == "numeric" and new.scale >= old.scale and new.integer_digits >= old.integer_digits
    for sizes in (_INTEGERS, _TIMES):
        if old.name in sizes:
            return sizes.get(new.name, 0) >= sizes[old.name]
    # An enum, or another type of the application's own, is text in the warehouse.
    return old.is_custom and (new.is_custom or new.name in _TEXTS)


@dataclass(frozen=True)
class _ParsedType:
    name: str
    length: int  # of a text
    integer_digits: int  # of a numeric
    scale: int
    is_array: bool

    @property
    def is_custom(self) -> bool:
        return self.name not in _KNOWN


_KNOWN = {
    *_INTEGERS,
    *_TEXTS,
    *_TIMES,
    *(
        "numeric",
        "boolean",
        "bytea",
        "real",
        "double precision",
        "tsvector",
        "json",
        "jsonb",
        "uuid",
        "interval",
    ),
    *("time without time zone", "time with time zone", "inet", "xml"),
}


def _parse(kind: str) -> _ParsedType:
    match = _TYPE.match(kind)
    if match is None:
        return _ParsedType(kind, _UNLIMITED, _UNLIMITED, _UNLIMITED, is_array=False)
    # A precision stands in the middle: timestamp(3) without time zone.
    name = f"{match['name']}{match['rest'] or ''}"
    size, scale = match["size"], match["scale"]
    is_numeric = name == "numeric"
    scale_digits = int(scale or 0) if size else _UNLIMITED
    default_length = 1 if name == "character" and size is None else _UNLIMITED
    return _ParsedType(
        name,
        length=int(size) if size and not is_numeric else default_length,
        integer_digits=int(size) - scale_digits if size else _UNLIMITED,
        scale=scale_digits,
        is_array=match["array"] is not None,
    )
