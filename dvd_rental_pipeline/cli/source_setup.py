"""`dvd-rental source setup ...`: prepare a PostgreSQL server for change data capture."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dvd_rental_pipeline.cli.terminal import SOMETHING_TO_DO, messages
from dvd_rental_pipeline.core.settings import Settings

if TYPE_CHECKING:
    import psycopg

    from dvd_rental_pipeline.ingestion.postgres_cdc.setup.step import CaptureRole, SetupStep


app = typer.Typer(no_args_is_help=True, help="Prepare a PostgreSQL server for change data capture.")


@app.command()
def plan(
    as_sql: Annotated[
        bool, typer.Option("--sql", help="Print only the SQL statements, for another user to execute.")
    ] = False,
) -> None:
    """Show the missing set-up steps and their SQL. Exit code 2 if steps are missing."""
    from dvd_rental_pipeline.ingestion.postgres_cdc.setup.steps import setup_steps
    from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL

    with _server_and_reader() as (connection, reader):
        steps = setup_steps(connection, DVD_RENTAL, reader)
    if as_sql:
        for step in steps:
            for statement in step.shown:
                print(f"{statement};")
    else:
        _show_steps(steps)
    if not all(step.is_done for step in steps):
        raise typer.Exit(SOMETHING_TO_DO)


@app.command()
def apply() -> None:
    """Execute the missing set-up steps: role, privileges, heartbeat table, publication, slot. Idempotent."""
    from dvd_rental_pipeline.ingestion.postgres_cdc.setup.steps import apply_steps, setup_steps
    from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL

    with _server_and_reader() as (connection, reader):
        applied = [step for step in apply_steps(connection, DVD_RENTAL, reader) if step.statements]
        steps = setup_steps(connection, DVD_RENTAL, reader)
    messages.print(f"Done: {', '.join(step.subject for step in applied) or 'nothing was missing'}.")
    _show_steps(steps)
    if not all(step.is_done for step in steps):
        raise typer.Exit(SOMETHING_TO_DO)


@contextmanager
def _server_and_reader() -> Iterator[tuple["psycopg.Connection", "CaptureRole"]]:
    """Yield a connection to the source as its administrator, and the role that captures its changes."""
    settings = Settings.load()
    settings.require("the set-up of the source", "source_admin_url", "source_url")
    if settings.source_admin_url is None or settings.source_url is None:
        raise AssertionError("both settings were required above")
    from dvd_rental_pipeline.ingestion.postgres_cdc.connect.session import connect
    from dvd_rental_pipeline.ingestion.postgres_cdc.setup.step import CaptureRole

    reader = CaptureRole.of_url(settings.source_url.get_secret_value(), settings.replication_slot)
    with connect(settings.source_admin_url.get_secret_value()) as connection:
        yield connection, reader


def _show_steps(steps: Sequence["SetupStep"]) -> None:
    table = Table(show_header=False, box=None)
    for step in steps:
        mark = "[green]ok[/]" if step.is_done else "[yellow]to do[/]"
        table.add_row(mark, step.subject, escape(step.found))
        for line in (*step.shown, *([f"manual step: {step.manual_step}"] if step.manual_step else [])):
            table.add_row("", "", f"[bold]→[/] {escape(line)}")
    Console(highlight=False).print(table)
