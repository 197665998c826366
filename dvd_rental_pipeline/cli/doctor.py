"""`dvd-rental doctor`: what is configured and what is missing."""

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table


def doctor() -> None:
    """Show what is configured, what is missing and how to fix it; never prints a secret."""
    from dvd_rental_pipeline.doctor.diagnosis import Health
    from dvd_rental_pipeline.doctor.examination import examine

    findings = examine()
    table = Table(show_header=False, box=None)
    marks = {Health.GOOD: "[green]ok[/]", Health.NOTE: "[yellow]note[/]", Health.BAD: "[bold red]fix[/]"}
    for finding in findings:
        table.add_row(marks[finding.health], finding.subject, escape(finding.found))
        if finding.remedy:
            table.add_row("", "", f"[bold]→[/] {escape(finding.remedy)}")
    Console(highlight=False).print(table)
    if any(finding.health is Health.BAD for finding in findings):
        raise typer.Exit(1)
