"""`dvd-rental airbyte ...`: the source, destination and connection in Airbyte."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dvd_rental_pipeline.cli.terminal import SOMETHING_TO_DO, messages
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.settings import ENV_PREFIX, Settings

if TYPE_CHECKING:
    from dvd_rental_pipeline.assembly.declaration import CapturePipeline
    from dvd_rental_pipeline.ingestion.airbyte.client import AirbyteClient, AirbyteJob
    from dvd_rental_pipeline.ingestion.airbyte.desired_config import DesiredConfig
    from dvd_rental_pipeline.ingestion.airbyte.plan import AirbytePlan

app = typer.Typer(no_args_is_help=True, help="The source, destination and connection in Airbyte.")


@app.command()
def plan() -> None:
    """Show how Airbyte differs from the catalogue and the settings. Exit code 2 if it does."""
    plans, outdated = [], False
    for _, client, _, plan in _plan_pipelines():
        _show_plan(plan)
        outdated |= _warn_of_outdated_connectors(client, plan)
        plans.append(plan)
    if outdated:
        raise typer.Exit(SOMETHING_TO_DO)
    _exit_with_code_of(plans)


@app.command()
def apply(
    send_secrets: Annotated[
        bool,
        typer.Option("--secrets", help="Send passwords and keys again, which a plan cannot compare."),
    ] = False,
) -> None:
    """Create or change the source, destination and connection. Does nothing the second time."""
    from dvd_rental_pipeline.ingestion.airbyte.plan import apply_plan, make_plan

    for pipeline, client, desired, plan in _plan_pipelines():
        _show_plan(plan)
        connection_id = apply_plan(client, desired, plan, send_secrets=send_secrets)
        messages.print("Nothing to do." if plan.is_empty and not send_secrets else "Done.")
        _show_connection_url(client, connection_id)
        _warn_of_outdated_connectors(client, make_plan(client, desired, connection_id))
        print(f"{ENV_PREFIX}{pipeline.connection_setting.upper()}={connection_id}")


@app.command()
def status() -> None:
    """Show the last jobs of the connection and its drift. Exit code 2 if there is any."""
    from dvd_rental_pipeline.ingestion.airbyte.plan import ObjectKind

    plans = []
    for _, client, _, plan in _plan_pipelines():
        connection_id = plan.ids[ObjectKind.CONNECTION]
        if connection_id is None:
            raise PipelineError("The connection does not exist yet: `dvd-rental airbyte apply` creates it.")
        jobs = client.jobs(connection_id, limit=10)
        _show_connection_url(client, connection_id)
        _show_jobs(jobs)
        _show_plan(plan)
        plans.append(plan)
    _exit_with_code_of(plans)


def _plan_pipelines() -> Iterator[tuple["CapturePipeline", "AirbyteClient", "DesiredConfig", "AirbytePlan"]]:
    from dvd_rental_pipeline.ingestion.airbyte.client import AirbyteClient
    from dvd_rental_pipeline.ingestion.airbyte.desired_config import desired_config
    from dvd_rental_pipeline.ingestion.airbyte.plan import make_plan
    from dvd_rental_pipeline.pipelines.registry import PIPELINES

    settings = Settings.load()
    for pipeline in PIPELINES:
        if not pipeline.is_configured(settings):
            variable = f"{ENV_PREFIX}{pipeline.source_setting.upper()}"
            messages.print(f"{pipeline.domain.name} is left out: {variable} is not set.")
            continue
        slot, source_setting = pipeline.slot(settings), pipeline.source_setting
        desired = desired_config(settings, pipeline.domain, slot=slot, source_setting=source_setting)
        client = AirbyteClient.from_settings(settings)
        connection_id = getattr(settings, pipeline.connection_setting)
        yield pipeline, client, desired, make_plan(client, desired, connection_id)


def _warn_of_outdated_connectors(client: "AirbyteClient", plan: "AirbytePlan") -> bool:
    """Report connectors that are too old. Nothing is known of those of objects that do not exist yet."""
    from dvd_rental_pipeline.ingestion.airbyte.connector_versions import REQUIRED, outdated_connectors

    ids = {str(kind): id_ for kind, id_ in plan.ids.items() if kind in REQUIRED and id_ is not None}
    outdated = outdated_connectors(client, ids)
    for message in outdated:
        messages.print(f"[bold yellow]{escape(message)}[/]")
    return bool(outdated)


def _exit_with_code_of(plans: Sequence["AirbytePlan"]) -> None:
    if not all(plan.is_empty for plan in plans):
        raise typer.Exit(SOMETHING_TO_DO)


def _show_connection_url(client: "AirbyteClient", connection_id: str) -> None:
    messages.print(f"Connection: {client.connection_url(connection_id)}", soft_wrap=True)


def _show_jobs(jobs: Sequence["AirbyteJob"]) -> None:
    table = Table()
    for heading in ("job", "type", "status", "started", "duration", "rows", "bytes"):
        table.add_column(heading, justify="right" if heading in {"job", "rows", "bytes"} else "left")
    for job in jobs:
        texts = (str(job.id), job.type, job.status, job.started_at or "", job.duration or "")
        sizes = (job.rows, job.bytes)
        table.add_row(
            *(escape(text) for text in texts), *("" if size is None else f"{size:,}" for size in sizes)
        )
    Console(highlight=False).print(table)


def _show_plan(plan: "AirbytePlan") -> None:
    from dvd_rental_pipeline.ingestion.airbyte.plan import ObjectKind

    table = Table()
    for heading in ("", "field", "current", "desired"):
        table.add_column(heading)
    for kind in ObjectKind:
        differences = plan.differences_of(kind)
        if plan.ids[kind] is None:
            table.add_row(f"[green]+[/] {kind}", "", "", "to be created")
        elif differences:
            table.add_row(f"[yellow]~[/] {kind}", "", "", "to be changed")
        else:
            table.add_row(f"  {kind}", "", "", "up to date")
        for difference in differences:
            row = (difference.path, difference.current or "", difference.desired or "removed")
            table.add_row("", *(escape(text) for text in row))
    Console(highlight=False, soft_wrap=True).print(table)
