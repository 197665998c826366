"""`dvd-rental source ...`: the PostgreSQL database that is replicated."""

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
from dvd_rental_pipeline.core.settings import Deployment, Settings

if TYPE_CHECKING:
    from dvd_rental_pipeline.ingestion.postgres_cdc.outcome import TableVerification
    from dvd_rental_pipeline.sample.source import Source

app = typer.Typer(no_args_is_help=True, help="The PostgreSQL database that the pipeline replicates.")
app.add_typer(source_setup.app, name="setup")


@app.command()
def start() -> None:
    """Start the embedded PostgreSQL and keep it until `source stop`."""
    source = _source()
    with progress() as tell:
        tell("starting PostgreSQL")
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
    """Tell where the source is, whether it runs, and how many rows it holds. Starts nothing."""
    status = _source().status()
    if as_json:
        print(json.dumps(status.as_dict(), indent=2))
        return
    table = Table(show_header=False, box=None)
    for name, value in status.as_dict().items():
        if name != "row_counts":
            table.add_row(name.replace("_", " "), "" if value is None else escape(str(value)))
    for name, rows in (status.row_counts or {}).items():
        table.add_row(f"rows in {name}", f"{rows:,}")
    Console(highlight=False, soft_wrap=True).print(table)


@app.command()
def generate(
    scale: Annotated[
        float,
        typer.Option(min=0.01, max=1000, help="1 is about the size of the original: 16 thousand rentals."),
    ] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same data.")] = 42,
) -> None:
    """Fill the embedded PostgreSQL with sample data; what it held is replaced."""
    source = _source()
    from dvd_rental_pipeline.sample.dvd_rental.generator import generate as generator

    with progress() as tell, source.embedded.lease() as url:
        counts = generator.generate(url, scale=scale, seed=seed, progress=tell)
    show_counts(counts, "rows")


@app.command()
def restore(
    path: Annotated[Path, typer.Argument(help="dvdrental.tar, a custom-format dump, or plain SQL.")],
) -> None:
    """Fill the embedded PostgreSQL from a dump; what it held is replaced once the dump is in."""
    source = _source()
    from dvd_rental_pipeline.sample.restore import restore as dump

    with progress() as tell, source.embedded.lease() as url:
        counts = dump.restore(url, path, progress=tell)
    show_counts(counts, "rows")


@app.command()
def simulate(
    events: Annotated[int, typer.Option(min=1, help="How many business events.")] = 500,
    rate: Annotated[
        float | None, typer.Option(min=0.001, help="Events a second; without it, all at once.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed makes the same choices.")] = None,
) -> None:
    """Let business go on: rentals, returns, payments, changes and deletions."""
    source = _source()
    from dvd_rental_pipeline.sample.dvd_rental import simulator

    with progress() as tell, source.open(tell) as url:
        counts = simulator.simulate(url, events=events, rate=rate, seed=seed, progress=tell)
    show_counts(counts, "events")


@app.command()
def verify(
    sample: Annotated[
        int | None,
        typer.Option(min=1, help="Compare about this many rows of larger tables, and the number of all."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print an array of objects.")] = False,
) -> None:
    """Compare every replicated table with its source, row by row, at one moment; exit code 1 on a difference.

    Changes that the next sync will bring are no difference. Nothing is changed on either side.
    """
    settings = Settings.load()
    if settings.deployment is not Deployment.LOCAL:
        raise settings.unavailable("comparing the tables of Airbyte row by row")
    source = _source()
    from dataclasses import asdict

    from dvd_rental_pipeline.ingestion.postgres_cdc.verify.verification import Verifier
    from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL

    with progress() as tell, source.open(tell) as url:
        verifier = Verifier(
            url,
            settings.warehouse_path,
            list(DVD_RENTAL.primary_keys()),
            source_schema=DVD_RENTAL.source_schema,
            target_schema=DVD_RENTAL.name,
            slot=settings.replication_slot,
            on_progress=tell,
        )
        found = list(verifier.verify(sample_rows=sample).values())
    if as_json:
        print(json.dumps([{**asdict(table), "agrees": table.agrees} for table in found], indent=2))
    else:
        _show_verification(found)
    differing = [table.table for table in found if not table.agrees]
    if differing:
        messages.print(f"[bold red]{len(differing)} of {len(found)} tables differ[/]: {', '.join(differing)}")
        messages.print("`dvd-rental run --full-refresh` copies every table anew.")
        raise typer.Exit(1)
    messages.print(f"All {len(found)} tables are level with their source.")


def _show_verification(found: Sequence["TableVerification"]) -> None:
    table = Table()
    table.add_column("table", no_wrap=True)
    for heading in ("in source", "compared", "pending"):
        table.add_column(heading, justify="right")
    table.add_column("found")
    for it in found:
        counts = {"missing": it.missing, "surplus": it.surplus, "differing": it.differing}
        different = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
        numbers = (it.source_rows, it.compared_rows, it.pending)
        table.add_row(
            it.table,
            *(f"{number:,}" if it.error is None else "" for number in numbers),
            escape(it.error or (f"{different}: {'; '.join(it.keys)}" if different else "equal")),
        )
    Console(highlight=False).print(table)


def _source() -> "Source":
    from dvd_rental_pipeline.sample.source import Source

    settings = Settings.load()
    return Source(
        settings.postgres_dir,
        external_url=settings.source_url.get_secret_value() if settings.source_url else None,
        port=settings.source_port,
    )
