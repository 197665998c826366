"""`dvd-rental rehearse`: what only the real accounts prove."""

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dvd_rental_pipeline.cli.terminal import progress
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.settings import Deployment, Settings


def rehearse(
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Also copy every table again, to prove that grants survive.")
    ] = False,
    plan: Annotated[bool, typer.Option("--plan", help="List the steps and their costs; run none.")] = False,
) -> None:
    """Check on the real accounts what no test can: a sync, its values, grants, masks, monitors.

    Exit code 1 if a step fails.
    """
    from dvd_rental_pipeline.doctor.rehearsal import STEPS, Rehearsal

    if plan:
        table = Table("step", "costs", "expected", box=None)
        for step in STEPS:
            table.add_row(f"{step.name}{' (--refresh)' if step.is_expensive else ''}", step.cost, step.expected)
        Console(highlight=False).print(table)
        return
    from dvd_rental_pipeline.pipelines.registry import PIPELINES

    settings = Settings.load()
    if settings.deployment is not Deployment.PRODUCTION:
        raise PipelineError(
            f"DVD_RENTAL_DEPLOYMENT={settings.deployment.value}: the rehearsal needs the services of "
            "production. Set DVD_RENTAL_DEPLOYMENT=production and its settings; `dvd-rental doctor` lists them."
        )
    failed = 0
    rehearsals = [Rehearsal(settings, each) for each in PIPELINES if each.is_configured(settings)]
    for rehearsal in rehearsals:
        rehearsal.require_settings()
    for rehearsal in rehearsals:
        table = Table(show_header=False, box=None, title=rehearsal.pipeline.domain.name, title_justify="left")
        with progress() as report:
            for step, outcome in rehearsal.run(expensive=refresh, on_start=report):
                failed += not outcome.passed
                table.add_row(
                    "[green]ok[/]" if outcome.passed else "[bold red]failed[/]",
                    step.name,
                    escape(outcome.found),
                )
        Console(highlight=False).print(table)
    if failed:
        raise typer.Exit(1)
