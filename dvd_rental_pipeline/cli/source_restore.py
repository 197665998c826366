"""`dvd-rental source restore`: replace the data of the embedded PostgreSQL by a user's own dump."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from dvd_rental_pipeline.cli.terminal import messages, progress, show_counts

if TYPE_CHECKING:
    from dvd_rental_pipeline.ingestion.schema_differences import SchemaDifference
    from dvd_rental_pipeline.sample.source import Source

Paths = Annotated[
    list[Path],
    typer.Argument(
        help="A dump: dvdrental.tar or its folder, a custom-format dump, plain SQL, a zip of one. Several "
        "files, such as the schema and the data, are run in their order."
    ),
]


def restore_dumps(source: "Source", paths: Sequence[Path]) -> None:
    """Restore `paths`, and print the row counts, what was left out, and what differs from the catalogue.

    Raises:
        SourceError: the dumps cannot be restored.
    """
    from dvd_rental_pipeline.sample.database_owner import as_owner
    from dvd_rental_pipeline.sample.restore import restore as dump

    with progress() as report, source.lease() as url:
        restored = dump.restore(url, paths, source.database.tables, on_progress=report)
        differences, new_columns = _compare_with_catalogue(as_owner(url))
    show_counts(restored.row_counts, "rows")
    if restored.left_out:
        messages.print(f"Left out: {escape(', '.join(restored.left_out))}.", soft_wrap=True)
    _show_differences(
        "[yellow]Models read these columns and may fail on them[/]", [d for d in differences if d.is_lossy]
    )
    _show_differences(
        "These columns differ from the catalogue, which the models allow",
        [d for d in differences if not d.is_lossy],
    )
    if new_columns:
        messages.print(
            f"Columns that the catalogue does not have: {escape(', '.join(new_columns))}.", soft_wrap=True
        )


def _compare_with_catalogue(url: str) -> tuple[Sequence["SchemaDifference"], Sequence[str]]:
    """How the columns of the source differ from the catalogue, and the columns that only the source has."""
    from dvd_rental_pipeline.ingestion.postgres_cdc.connect.source_facts import read_columns
    from dvd_rental_pipeline.ingestion.schema_differences import schema_differences
    from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL

    columns = read_columns(url, DVD_RENTAL)
    differences = [
        difference
        for table in DVD_RENTAL.tables
        for difference in schema_differences(table, columns[table.name])
    ]
    new_columns = [
        f"{table.name}.{name}"
        for table in DVD_RENTAL.tables
        for name in columns[table.name]
        if name not in {column.name for column in table.columns}
    ]
    return differences, new_columns


def _show_differences(heading: str, differences: Sequence["SchemaDifference"]) -> None:
    if differences:
        text = "; ".join(f"{difference.table}.{difference.description}" for difference in differences)
        messages.print(f"{heading}: {escape(text)}.", soft_wrap=True)
