"""How a command prints the rows of a query: for a person, fitted to the terminal, or for a program."""

import csv
import json
import sys
from collections.abc import Sequence
from datetime import date, time
from decimal import Decimal

from rich.console import Console
from rich.markup import escape
from rich.rule import Rule
from rich.table import Table

from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.warehouse.interface import Rows

# Lines and blanks of a table: one column adds three characters.
_FRAME = 3


def require_one_format(*, as_json: bool, as_csv: bool) -> None:
    """Require at most one of the two options.

    Raises:
        PipelineError: both are set.
    """
    if as_json and as_csv:
        raise PipelineError("Choose one of --json and --csv.")


def print_rows(rows: Rows, *, as_json: bool = False, as_csv: bool = False) -> None:
    """Print `rows` to stdout: as JSON, as CSV, or for a person.

    A table where it fits into the width of the terminal, and otherwise each row as a list of its values.
    """
    if as_json:
        print(json.dumps(rows.records(), indent=2, default=_json_value))
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(rows.columns)
        writer.writerows(rows.values)
    else:
        console = Console(highlight=False)
        texts = [["" if value is None else str(value) for value in row] for row in rows.values]
        width = _table_width(rows.columns, texts)
        if not console.is_terminal:
            # A file has no width: nothing is cut or wrapped.
            console.width = max(console.width, width)
        if width <= console.width:
            _print_table(console, rows, texts)
        else:
            _print_vertically(console, rows, texts)


def _table_width(columns: Sequence[str], texts: Sequence[Sequence[str]]) -> int:
    widths = [max(map(len, [column, *values])) for column, *values in zip(columns, *texts, strict=True)]
    return sum(widths) + _FRAME * len(widths) + 1


def _print_table(console: Console, rows: Rows, texts: Sequence[Sequence[str]]) -> None:
    table = Table()
    for position, column in enumerate(rows.columns):
        is_number = any(isinstance(row[position], int | float | Decimal) for row in rows.values)
        table.add_column(escape(column), justify="right" if is_number else "left", no_wrap=True)
    for row in texts:
        table.add_row(*map(escape, row))
    console.print(table)


def _print_vertically(console: Console, rows: Rows, texts: Sequence[Sequence[str]]) -> None:
    for number, row in enumerate(texts, start=1):
        console.print(Rule(f"{number} of {len(texts)}", align="left"))
        grid = Table.grid(padding=(0, 2))
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        for column, value in zip(rows.columns, row, strict=True):
            grid.add_row(escape(column), escape(value))
        console.print(grid)


def _json_value(value: object) -> float | str:
    """The JSON value of a type that JSON lacks: a decimal is a number, a date or time is ISO 8601."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value)
