"""`dvd-rental query`: one read-only statement on the warehouse."""

from typing import Annotated

import typer

from dvd_rental_pipeline.cli.rows import print_rows, require_one_format
from dvd_rental_pipeline.cli.terminal import progress
from dvd_rental_pipeline.core.settings import Settings

# DuckDB would list the tables of one schema, which has none.
_ALL_TABLES = """
    select lower(table_schema) as table_schema, lower(table_name) as table_name, lower(table_type) as table_type
    from information_schema.tables
    where lower(table_schema) != 'information_schema'
    order by 1, 2
"""


def query(
    sql: Annotated[
        str, typer.Argument(help="One read-only statement, e.g. 'select * from reports.top_films'.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print an array of objects.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values with a header.")] = False,
) -> None:
    """Run a read-only SQL statement on the warehouse and print its rows; `show tables` lists all tables."""
    require_one_format(as_json=as_json, as_csv=as_csv)
    settings = Settings.load()
    from dvd_rental_pipeline.warehouse.deployment import open_warehouse

    if sql.strip().rstrip(";").lower() == "show tables":
        sql = _ALL_TABLES
    with progress() as show:
        rows = open_warehouse(settings, {"command": "query"}, show).query(sql)
    print_rows(rows, as_json=as_json, as_csv=as_csv)
