"""`dvd-rental query`: one read-only statement on the warehouse."""

import csv
import json
import sys
from datetime import date, time
from decimal import Decimal
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dvd_rental_pipeline.cli.terminal import progress
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.settings import Settings


def query(
    sql: Annotated[
        str, typer.Argument(help="One read-only statement, e.g. 'select * from reports.top_films'.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print an array of objects.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values with a header.")] = False,
) -> None:
    """Run a read-only SQL statement on the warehouse and print its rows."""
    if as_json and as_csv:
        raise PipelineError("Choose one of --json and --csv.")
    settings = Settings.load()
    from dvd_rental_pipeline.warehouse.deployment import open_warehouse

    with progress() as show:
        rows = open_warehouse(settings, {"command": "query"}, show).query(sql)
    if as_json:
        print(json.dumps(rows.records(), indent=2, default=_json_value))
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(rows.columns)
        writer.writerows(rows.values)
    else:
        table = Table()
        for position, column in enumerate(rows.columns):
            numeric = any(isinstance(row[position], int | float | Decimal) for row in rows.values)
            table.add_column(escape(column), justify="right" if numeric else "left")
        for row in rows.values:
            table.add_row(*("" if value is None else escape(str(value)) for value in row))
        Console(highlight=False).print(table)


def _json_value(value: object) -> float | str:
    """The JSON value of a type that JSON lacks: a decimal is a number, a date or time is ISO 8601."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value)
