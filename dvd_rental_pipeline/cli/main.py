"""The `dvd-rental` command, assembled from its groups."""

from importlib.metadata import version
from typing import Annotated

import typer

from dvd_rental_pipeline.cli import (
    airbyte,
    checks,
    dev,
    doctor,
    metrics,
    query,
    rehearse,
    reports,
    run,
    sales,
    site,
    snowflake,
    source,
)
from dvd_rental_pipeline.cli.terminal import CommandGroup
from dvd_rental_pipeline.core.program import run_program

app = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="PostgreSQL, replicated into a warehouse and modelled with dbt, as one Dagster graph.",
)
app.command()(run.run)
app.command()(dev.dev)
app.command()(reports.reports)
app.command()(reports.show)
app.command()(query.query)
app.command()(site.site)
app.command()(doctor.doctor)
app.command()(rehearse.rehearse)
app.command()(metrics.metrics)
app.add_typer(source.app, name="source")
app.add_typer(sales.app, name="sales")
app.add_typer(checks.app, name="checks")
app.add_typer(airbyte.app, name="airbyte")
app.add_typer(snowflake.app, name="snowflake")


def show_version(wanted: bool) -> None:
    """Print the versions of the project and of what it is built on, and end the program."""
    if wanted:
        names = ("dvd-rental-pipeline", "dagster", "dbt-core", "duckdb")
        print(", ".join(f"{name} {version(name)}" for name in names))
        raise typer.Exit


@app.callback()
def options(
    _: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print versions and exit.")
    ] = False,
) -> None:
    """Accept the options that stand before a command."""


def main() -> None:
    """Run the command line."""
    run_program(app)


if __name__ == "__main__":
    main()
