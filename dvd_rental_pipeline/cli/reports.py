"""`dvd-rental reports` and `show`: what there is to read, and one of them."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated

import typer

from dvd_rental_pipeline.cli.rows import print_rows, require_one_format
from dvd_rental_pipeline.cli.terminal import progress
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.warehouse.interface import Reader, Rows, Warehouse

if TYPE_CHECKING:
    from dvd_rental_pipeline.transform.manifest import DbtModel

SCHEMA = "reports"


def reports(
    as_json: Annotated[bool, typer.Option("--json", help="Print an array of objects.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values with a header.")] = False,
) -> None:
    """List the reports: question, grain, owner, rows, and until when their data reach."""
    require_one_format(as_json=as_json, as_csv=as_csv)
    settings = Settings.load()
    with progress() as show_progress:
        show_progress("reading the reports")
        models = _read_models(settings)
        with _warehouse(settings, show_progress).reading() as reader:
            counts, as_of = _read_state(reader)
    values = [
        (
            name,
            _question(model),
            _grain(model),
            model.owner,
            counts.get(name),
            as_of if name in counts else None,
        )
        for name, model in models.items()
    ]
    columns = ["report", "question", "grain", "owner", "rows", "as_of"]
    print_rows(Rows(columns, values), as_json=as_json, as_csv=as_csv)


def show(
    name: Annotated[str, typer.Argument(help="Name of a report, e.g. top_films.")],
    limit: Annotated[int, typer.Option(help="Rows to print; 0 for all.", min=0)] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print an array of objects.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values with a header.")] = False,
) -> None:
    """Print a report, fitted to the width of the terminal."""
    require_one_format(as_json=as_json, as_csv=as_csv)
    settings = Settings.load()
    name = name.removeprefix(f"{SCHEMA}/").removeprefix(f"{SCHEMA}.")
    models = _read_models(settings)
    if name not in models:
        similar = ", ".join(get_close_matches(name, models, n=3, cutoff=0.5))
        advice = f"Similar: {similar}." if similar else "`dvd-rental reports` lists them."
        raise PipelineError(f"There is no report {name!r}. {advice}")
    with progress() as show_progress:
        warehouse = _warehouse(settings, show_progress)
        with warehouse.reading() as reader:
            if name not in _read_tables(reader):
                raise PipelineError(f"The report {name} has not been built yet: `dvd-rental run` builds it.")
            bound = f" limit {limit}" if limit else ""
            rows = reader.query(f"select * from {SCHEMA}.{name}{bound}")
    print_rows(rows, as_json=as_json, as_csv=as_csv)


def _warehouse(settings: Settings, on_wait: object) -> Warehouse:
    from dvd_rental_pipeline.warehouse.deployment import open_warehouse

    return open_warehouse(settings, {"command": "show"}, on_wait)  # type: ignore[arg-type]


def _read_models(settings: Settings) -> Mapping[str, "DbtModel"]:
    """The reports of the dbt project by name, in alphabetical order."""
    from dvd_rental_pipeline.transform.manifest import read_manifest
    from dvd_rental_pipeline.transform.parsing import update_manifest

    manifest = read_manifest(update_manifest(settings))
    found = {model.name: model for model in manifest.models.values() if model.schema == SCHEMA}
    return dict(sorted(found.items()))


def _read_tables(reader: Reader) -> Sequence[str]:
    rows = reader.query(
        f"select lower(table_name) from information_schema.tables where lower(table_schema) = '{SCHEMA}'"
    )
    return [str(name) for (name,) in rows.values]


def _read_state(reader: Reader) -> tuple[Mapping[str, int], str | None]:
    """The row count of each report that exists, and the day of the latest event in the data."""
    tables = _read_tables(reader)
    if not tables:
        return {}, None
    union = " union all ".join(f"select '{name}', count(*) from {SCHEMA}.{name}" for name in tables)
    counts = {str(name): int(count) for name, count in reader.query(union).values}
    ((as_of,),) = reader.query("select cast(cast(max(as_of) as date) as varchar) from marts.data_as_of").values
    return counts, as_of


def _question(model: "DbtModel") -> str:
    """The question that the report answers: the first sentence of its description."""
    end = model.description.find("?")
    return model.description[: end + 1] if end >= 0 else model.description.partition(". ")[0]


def _grain(model: "DbtModel") -> str:
    start = model.description.find("One row per")
    return "" if start < 0 else model.description[start:].partition(".")[0].partition(",")[0]
