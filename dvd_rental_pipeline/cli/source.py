"""`dvd-rental source ...`: manage, fill and compare the source database."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dvd_rental_pipeline.cli import source_setup
from dvd_rental_pipeline.cli.terminal import messages, progress, show_counts
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.settings import Deployment, Settings

if TYPE_CHECKING:
    from dvd_rental_pipeline.ingestion.postgres_cdc.outcome import TableVerification
    from dvd_rental_pipeline.sample.source import Source

app = typer.Typer(no_args_is_help=True, help="The PostgreSQL database that the pipeline replicates.")
app.add_typer(source_setup.app, name="setup")


@app.command()
def start() -> None:
    """Start the embedded PostgreSQL and keep it running until `source stop`."""
    source = _source()
    with progress() as report:
        report("starting PostgreSQL")
        status = source.embedded.start()
    messages.print(f"PostgreSQL {status.version} is running at {status.url}", soft_wrap=True)


@app.command()
def stop() -> None:
    """Stop the embedded PostgreSQL."""
    stopped = _source().embedded.stop()
    messages.print("PostgreSQL has stopped." if stopped else "PostgreSQL was not running.")


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show the URL of the source, whether it runs, and its row counts. Starts nothing."""
    status = _source().status()
    if as_json:
        print(json.dumps(status.as_dict(), indent=2))
        return
    table = Table(show_header=False, box=None)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")  # a URL must not be truncated
    for name, value in status.as_dict().items():
        if name != "row_counts":
            table.add_row(name.replace("_", " "), "" if value is None else escape(str(value)))
    for name, rows in (status.row_counts or {}).items():
        table.add_row(f"rows in {name}", f"{rows:,}")
    Console(highlight=False, soft_wrap=True).print(table)
    if not status.running and status.kind == "embedded":
        messages.print(
            "Commands that need the server start it; `dvd-rental source start` keeps it running.",
            soft_wrap=True,
        )


@app.command()
def generate(
    scale: Annotated[
        float,
        typer.Option(min=0.01, max=1000, help="1 is about the size of the original: 16,000 rentals."),
    ] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same data.")] = 42,
) -> None:
    """Replace the data of the embedded PostgreSQL by generated sample data."""
    source = _source()
    from dvd_rental_pipeline.sample.dvd_rental.generator import generate as generator

    with progress() as report, source.lease() as url:
        counts = generator.generate(url, scale=scale, seed=seed, on_progress=report)
    show_counts(counts, "rows")


@app.command()
def restore(
    path: Annotated[Path, typer.Argument(help="dvdrental.tar, a custom-format dump, or plain SQL.")],
) -> None:
    """Replace the data of the embedded PostgreSQL by a dump, once it is restored completely."""
    source = _source()
    from dvd_rental_pipeline.sample.restore import restore as dump

    with progress() as report, source.lease() as url:
        counts = dump.restore(url, path, source.database.tables, on_progress=report)
    show_counts(counts, "rows")


@app.command()
def simulate(
    events: Annotated[int, typer.Option(min=1, help="Number of business events.")] = 500,
    rate: Annotated[
        float | None, typer.Option(min=0.001, help="Events per second; default: without pauses.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed makes the same choices.")] = None,
) -> None:
    """Simulate business activity: rentals, returns, payments, changes and deletions."""
    source = _source()
    from dvd_rental_pipeline.sample.dvd_rental import simulator

    with progress() as report, source.open(report) as url:
        counts = simulator.simulate(url, events=events, rate=rate, seed=seed, on_progress=report)
    show_counts(counts, "events")


@app.command()
def verify(
    sample: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Of tables with more rows, compare a random sample of about this many, and the row count.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print an array of objects.")] = False,
) -> None:
    """Compare every raw table with its source row by row, at one point in time. Exit code 1 on a difference.

    Changes that the next sync will replicate are not a difference. Changes nothing on either side.
    """
    settings = Settings.load()
    if settings.deployment is not Deployment.LOCAL:
        raise settings.unavailable("comparing the tables of Airbyte row by row")
    if not settings.warehouse_path.exists():
        # Before the server is started and filled for nothing.
        raise PipelineError(
            f"There is no warehouse to compare: {settings.warehouse_path} does not exist. "
            "`dvd-rental run` creates it."
        )
    source = _source()
    from dataclasses import asdict

    from dvd_rental_pipeline.ingestion.postgres_cdc.verify.verification import Verifier
    from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL

    with progress() as report, source.open(report) as url:
        verifier = Verifier(
            url,
            settings.warehouse_path,
            list(DVD_RENTAL.primary_keys()),
            source_schema=DVD_RENTAL.source_schema,
            target_schema=DVD_RENTAL.name,
            slot=settings.replication_slot,
            on_progress=report,
        )
        verifications = list(verifier.verify(sample_rows=sample).values())
    if as_json:
        print(json.dumps([{**asdict(table), "agrees": table.agrees} for table in verifications], indent=2))
    else:
        _show_verifications(verifications)
    differing = [table.table for table in verifications if not table.agrees]
    if differing:
        messages.print(
            f"[bold red]{len(differing)} of {len(verifications)} tables differ[/]: {', '.join(differing)}"
        )
        messages.print("`dvd-rental run --full-refresh` copies every table again.")
        raise typer.Exit(1)
    messages.print(f"All {len(verifications)} tables equal their source.")


def _show_verifications(verifications: Sequence["TableVerification"]) -> None:
    table = Table()
    table.add_column("table", no_wrap=True)
    for heading in ("in source", "compared", "pending"):
        table.add_column(heading, justify="right")
    table.add_column("result")
    for verification in verifications:
        counts = {
            "missing": verification.missing,
            "surplus": verification.surplus,
            "differing": verification.differing,
        }
        differences = ", ".join(f"{count:,} {kind}" for kind, count in counts.items() if count)
        numbers = (verification.source_rows, verification.compared_rows, verification.pending)
        keys = "; ".join(verification.keys)
        result = verification.error or (f"{differences}: {keys}" if differences else "equal")
        table.add_row(
            verification.table,
            *(f"{number:,}" if verification.error is None else "" for number in numbers),
            escape(result),
        )
    Console(highlight=False).print(table)


def _source() -> "Source":
    from dvd_rental_pipeline.sample.dvd_rental.database import DVD_RENTAL_DATABASE
    from dvd_rental_pipeline.sample.source import Source

    settings = Settings.load()
    return Source(
        settings.postgres_dir,
        DVD_RENTAL_DATABASE,
        external_url=settings.source_url.get_secret_value() if settings.source_url else None,
        port=settings.source_port,
    )
