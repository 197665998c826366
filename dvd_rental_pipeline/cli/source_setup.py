"""`dvd-rental source setup ...`: prepare a PostgreSQL server, for change data capture or for reading."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dvd_rental_pipeline.cli.terminal import SOMETHING_TO_DO, messages
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.settings import Settings

if TYPE_CHECKING:
    import psycopg

    from dvd_rental_pipeline.assembly.declaration import CapturePipeline
    from dvd_rental_pipeline.ingestion.postgres_cdc.setup.step import CaptureRole, SetupStep


PipelineOption = Annotated[
    str, typer.Option("--pipeline", help="The pipeline whose source to prepare: dvd_rental or signups.")
]

app = typer.Typer(no_args_is_help=True, help="Prepare a PostgreSQL server as a source.")


@app.command()
def plan(
    as_sql: Annotated[
        bool, typer.Option("--sql", help="Print only the SQL statements, for another user to execute.")
    ] = False,
    name: PipelineOption = "dvd_rental",
) -> None:
    """Show the missing set-up steps and their SQL. Exit code 2 if steps are missing."""
    from dvd_rental_pipeline.ingestion.postgres_cdc.setup.steps import setup_steps

    pipeline = _pipeline(name)
    with _server_and_reader(pipeline) as (connection, reader):
        steps = setup_steps(connection, pipeline.domain, reader)
    if as_sql:
        for step in steps:
            for statement in step.shown:
                print(f"{statement};")
    else:
        _show_steps(steps)
    if not all(step.is_done for step in steps):
        raise typer.Exit(SOMETHING_TO_DO)


@app.command()
def apply(name: PipelineOption = "dvd_rental") -> None:
    """Execute the missing set-up steps: role, privileges, heartbeat table, publication, slot. Idempotent."""
    from dvd_rental_pipeline.ingestion.postgres_cdc.setup.steps import apply_steps, setup_steps

    pipeline = _pipeline(name)
    with _server_and_reader(pipeline) as (connection, reader):
        applied = [step for step in apply_steps(connection, pipeline.domain, reader) if step.statements]
        steps = setup_steps(connection, pipeline.domain, reader)
    messages.print(f"Done: {', '.join(step.subject for step in applied) or 'nothing was missing'}.")
    _show_steps(steps)
    if not all(step.is_done for step in steps):
        raise typer.Exit(SOMETHING_TO_DO)


@app.command()
def reader(
    database: Annotated[str, typer.Option(help="Database of the source; only totesys is read so.")] = "totesys",
    role: Annotated[str, typer.Option(help="Name of the role.")] = "totesys_reader",
) -> None:
    """Print the SQL of a read-only role for a source that is read by a watermark, for its owner to execute.

    The role gets no password: set one with psql's \\password, which does not log it.
    """
    from dvd_rental_pipeline.ingestion.postgres_watermark.reader_role import reader_role_sql
    from dvd_rental_pipeline.pipelines.totesys.catalog import TOTESYS

    for statement in reader_role_sql(TOTESYS, database, role):
        print(f"{statement};")


def _pipeline(name: str) -> "CapturePipeline":
    from dvd_rental_pipeline.pipelines.registry import PIPELINES

    found = {pipeline.domain.name: pipeline for pipeline in PIPELINES}
    if name not in found:
        raise PipelineError(f"{name!r} is not a replicated pipeline. Choose one of {', '.join(found)}.")
    return found[name]


@contextmanager
def _server_and_reader(
    pipeline: "CapturePipeline",
) -> Iterator[tuple["psycopg.Connection", "CaptureRole"]]:
    """Yield a connection to the source as its administrator, and the role that captures its changes."""
    settings = Settings.load()
    settings.require("the set-up of the source", "source_admin_url", pipeline.source_setting)
    if settings.source_admin_url is None:
        raise AssertionError("the setting was required above")
    url = getattr(settings, pipeline.source_setting).get_secret_value()
    admin_url = settings.source_admin_url.get_secret_value()
    from dvd_rental_pipeline.ingestion.postgres_cdc.connect.session import connect
    from dvd_rental_pipeline.ingestion.postgres_cdc.setup.step import CaptureRole

    reader = CaptureRole.of_url(url, pipeline.slot(settings))
    with connect(admin_url) as connection:
        yield connection, reader


def _show_steps(steps: Sequence["SetupStep"]) -> None:
    table = Table(show_header=False, box=None)
    for step in steps:
        mark = "[green]ok[/]" if step.is_done else "[yellow]to do[/]"
        table.add_row(mark, step.subject, escape(step.found))
        for line in (*step.shown, *([f"manual step: {step.manual_step}"] if step.manual_step else [])):
            table.add_row("", "", f"[bold]→[/] {escape(line)}")
    Console(highlight=False).print(table)
