"""`dvd-rental airbyte ...`: the source, destination and connection in Airbyte."""

from collections.abc import Iterator
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
    from dvd_rental_pipeline.ingestion.airbyte.api import Airbyte
    from dvd_rental_pipeline.ingestion.airbyte.desired_config import Wanted
    from dvd_rental_pipeline.ingestion.airbyte.plan import Plan

app = typer.Typer(no_args_is_help=True, help="The source, destination and connection in Airbyte.")


@app.command()
def plan() -> None:
    """Show how Airbyte differs from the catalogue and the settings. Exit code 2 when it does."""
    with _workspace_and_plan() as (_, _, plan):
        _show_plan(plan)
    if not plan.is_empty:
        raise typer.Exit(SOMETHING_TO_DO)


@app.command()
def apply(
    send_secrets: Annotated[
        bool,
        typer.Option("--secrets", help="Send passwords and keys again, which no plan can compare."),
    ] = False,
) -> None:
    """Create or change source, destination and connection. Does nothing the second time."""
    from dvd_rental_pipeline.ingestion.airbyte.plan import apply as carry_out

    with _workspace_and_plan() as (airbyte, wanted, plan):
        _show_plan(plan)
        connection_id = carry_out(airbyte, wanted, plan, send_secrets=send_secrets)
        link = airbyte.link(connection_id)
    messages.print("Nothing was to do." if plan.is_empty and not send_secrets else "Done.")
    messages.print(f"The connection is at {link}", soft_wrap=True)
    print(f"DVD_RENTAL_AIRBYTE_CONNECTION_ID={connection_id}")


@app.command()
def status() -> None:
    """Show the last jobs of the connection and what has drifted. Exit code 2 when something has."""
    from dvd_rental_pipeline.ingestion.airbyte.plan import Part

    with _workspace_and_plan() as (airbyte, _, plan):
        connection_id = plan.ids[Part.CONNECTION]
        if connection_id is None:
            raise PipelineError("There is no connection yet: `dvd-rental airbyte apply` makes it.")
        jobs = airbyte.jobs(connection_id, limit=10)
        messages.print(f"The connection is at {airbyte.link(connection_id)}", soft_wrap=True)
    table = Table()
    for heading in ("job", "type", "status", "started", "duration", "rows", "bytes"):
        table.add_column(heading, justify="right" if heading in {"job", "rows", "bytes"} else "left")
    for job in jobs:
        values = [job.get(name) for name in ("jobId", "jobType", "status", "startTime", "duration")]
        sizes = [job.get(name) for name in ("rowsSynced", "bytesSynced")]
        table.add_row(
            *("" if value is None else escape(str(value)) for value in values),
            *("" if size is None else f"{size:,}" for size in sizes),
        )
    Console(highlight=False).print(table)
    _show_plan(plan)
    if not plan.is_empty:
        raise typer.Exit(SOMETHING_TO_DO)


@contextmanager
def _workspace_and_plan() -> Iterator[tuple["Airbyte", "Wanted", "Plan"]]:
    """The workspace, what it should hold, and the difference."""
    from dvd_rental_pipeline.ingestion.airbyte.api import Airbyte
    from dvd_rental_pipeline.ingestion.airbyte.desired_config import wanted
    from dvd_rental_pipeline.ingestion.airbyte.plan import make_plan
    from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL

    settings = Settings.load()
    should = wanted(settings, DVD_RENTAL)
    with Airbyte.of_settings(settings) as airbyte:
        yield airbyte, should, make_plan(airbyte, should, settings.airbyte_connection_id)


def _show_plan(plan: "Plan") -> None:
    from dvd_rental_pipeline.ingestion.airbyte.plan import Part

    table = Table()
    for heading in ("", "field", "now", "wanted"):
        table.add_column(heading)
    for part in Part:
        differences = plan.of(part)
        if plan.ids[part] is None:
            table.add_row(f"[green]+[/] {part}", "", "", "to be created")
        elif differences:
            table.add_row(f"[yellow]~[/] {part}", "", "", "to be changed")
        else:
            table.add_row(f"  {part}", "", "", "as it should be")
        for difference in differences:
            row = (difference.path, difference.now or "", difference.wanted or "taken out")
            table.add_row("", *(escape(text) for text in row))
    Console(highlight=False, soft_wrap=True).print(table)
