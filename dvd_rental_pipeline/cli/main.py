"""The `dvd-rental` command, assembled from its groups."""

import atexit
import gc
import os
import sys
import threading
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
    # What a command imports stays until its end: to look for garbage as often as Python does by default takes
    # an eighth of the time until the graph is loaded, and to look through all of it a third of a second more.
    gc.set_threshold(50_000, 100, 100)
    try:
        app()
    except SystemExit as end:
        _end_process(end.code)
        raise


def _end_process(code: str | int | None) -> None:
    """End the process as Python does, except that it does not free its memory first.

    To free a loaded graph object by object takes more than a second. If a thread still works, or a message has
    to be shown, it returns, and Python ends the process.
    """
    others = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
    if isinstance(code, str) or not all(thread.daemon for thread in others):
        return
    # No public alternative: `os._exit()` runs no exit handlers.
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


if __name__ == "__main__":
    main()
