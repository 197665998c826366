"""`dvd-rental sales ...`: sample files for the sales pipeline."""

from pathlib import Path
from typing import Annotated

import typer

from dvd_rental_pipeline.cli.terminal import messages, progress
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.settings import Settings

app = typer.Typer(no_args_is_help=True, help="The sales files, which others drop into a folder or bucket.")


@app.command()
def generate(
    months: Annotated[int, typer.Option(min=1, max=120, help="Number of months, from January 2023.")] = 24,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same files.")] = 42,
    folder: Annotated[
        Path | None, typer.Option(help="Where to write them; by default, the folder that the pipeline reads.")
    ] = None,
) -> None:
    """Write sample files: two a month, with some records that are not valid, and corrections."""
    location = Settings.load().sales_landing if folder is None else str(folder)
    if location.startswith("s3://"):
        raise PipelineError(f"The sales files are at {location}. Write them to a folder: --folder FOLDER.")
    from dvd_rental_pipeline.sample.sales.generator import generate_sales

    with progress() as report:
        files = generate_sales(Path(location), months=months, seed=seed, on_progress=report)
    messages.print(f"{len(files)} files are in {location}", soft_wrap=True)
