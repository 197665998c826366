"""`dvd-rental checks accept-schema`: go on with a source whose schema differs from the catalogue."""

from typing import Annotated

import typer
from rich.markup import escape

from dvd_rental_pipeline.cli.terminal import messages, progress
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.settings import Settings


def accept_schema(
    tables: Annotated[
        list[str] | None, typer.Argument(help="Tables whose differences to accept; default: all.")
    ] = None,
) -> None:
    """Accept the present differences of the source's columns from the catalogue, after a review.

    The check `schema_matches_catalogue` then passes for exactly these differences, and others still block.
    """
    settings = Settings.load()
    with progress() as report:
        report("reading the columns of the source")
        from dvd_rental_pipeline.cli.source import open_source
        from dvd_rental_pipeline.ingestion.asset_keys import raw_key
        from dvd_rental_pipeline.ingestion.postgres_cdc.connect.source_facts import read_columns
        from dvd_rental_pipeline.ingestion.schema_differences import schema_differences
        from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
        from dvd_rental_pipeline.quality.accepted_schema import accept_differences
        from dvd_rental_pipeline.runs.instance import open_instance

        unknown = set(tables or ()) - {table.name for table in DVD_RENTAL.tables}
        if unknown:
            raise PipelineError(f"The catalogue has no table {', '.join(sorted(unknown))}.")
        with open_source().open(report, messages.print) as url:
            columns = read_columns(url, DVD_RENTAL)
        accepted = []
        with open_instance(settings) as instance:
            for table in DVD_RENTAL.tables:
                if tables and table.name not in tables:
                    continue
                lossy = [d.description for d in schema_differences(table, columns[table.name]) if d.is_lossy]
                if lossy:
                    accept_differences(instance, raw_key(DVD_RENTAL, table), lossy)
                accepted += [f"{table.name}.{description}" for description in lossy]
    if not accepted:
        messages.print("Nothing to accept: models can read every column.")
        return
    for description in accepted:
        messages.print(f"Accepted: {escape(description)}", soft_wrap=True)
    messages.print("`dvd-rental run` builds what these differences blocked.")
