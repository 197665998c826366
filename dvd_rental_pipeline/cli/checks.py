"""`dvd-rental checks ...`: evaluate the asset checks, or report on them."""

from pathlib import Path
from typing import Annotated

import typer

from dvd_rental_pipeline.cli.accept_schema import accept_schema
from dvd_rental_pipeline.cli.graph_runs import load_graph, show_run
from dvd_rental_pipeline.cli.terminal import messages, progress
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Evaluate the asset checks alone, or report on them.")

app.command("accept-schema")(accept_schema)

REPORT_FILES = {"html": "checks.html", "md": "checks.md", "json": "checks.json", "junit": "checks.xml"}
# Not evaluated is neither passed nor failed.
NOT_EVALUATED = 3


@app.command()
def run(
    select: Annotated[
        str | None,
        typer.Option(
            help="Assets whose checks to evaluate, in Dagster's selection syntax, e.g. 'group:marts'."
        ),
    ] = None,
    accept: Annotated[
        bool, typer.Option("--accept", help="Accept numbers outside their learned bounds, and learn from them.")
    ] = False,
) -> None:
    """Evaluate the checks, dbt's tests included, on the present data; materializes nothing.

    Exit code 1 if a blocking check failed or a check could not be evaluated.
    """
    settings = Settings.load()
    log_file = settings.home / "logs" / "run.log"
    with load_graph(settings, select) as (definitions, instance, report_progress):
        from dvd_rental_pipeline.runs.launch import run_checks

        report = run_checks(
            definitions,
            instance,
            selection=select,
            accept=accept,
            log_file=log_file,
            report_progress=report_progress,
        )
    show_run(report, settings, log_file)
    if not report.success:
        raise typer.Exit(1)


@app.command()
def report(
    formats: Annotated[
        str, typer.Option("--format", help="One or more of html, md, json and junit, separated by commas.")
    ] = "html",
    output: Annotated[
        str | None,
        typer.Option(
            help="Folder for the files, or `-` to print one format. Default: where runs publish the page."
        ),
    ] = None,
) -> None:
    """Report the latest result of every check, from the history of runs; evaluates nothing.

    Exit code 1 if a blocking check failed or could not be evaluated, 3 if none failed but some were not
    evaluated: both fail a CI job.
    """
    settings = Settings.load()
    chosen = list(dict.fromkeys(formats.split(",")))
    if unknown := set(chosen) - set(REPORT_FILES):
        raise PipelineError(
            f"Unknown format {', '.join(sorted(unknown))}: choose from {', '.join(REPORT_FILES)}."
        )
    if output == "-" and len(chosen) > 1:
        raise PipelineError("Only one format can be printed: give one --format, or a folder as --output.")
    with progress() as report_progress:
        report_progress("reading the history of the checks")
        from dvd_rental_pipeline.definitions import build_definitions
        from dvd_rental_pipeline.pipelines.registry import PIPELINES
        from dvd_rental_pipeline.publishing.check_report.rendering import read_full_report, render
        from dvd_rental_pipeline.runs.instance import open_instance
        from dvd_rental_pipeline.warehouse.deployment import open_warehouse

        definitions = build_definitions(settings)
        with open_instance(settings) as instance:
            report = read_full_report(
                definitions,
                [pipeline.domain for pipeline in PIPELINES],
                instance,
                settings,
                open_warehouse(settings, {"command": "report"}, report_progress).query,
            )
    messages.print(report.verdict)
    if output == "-":
        print(render(report, chosen[0], settings))
    else:
        # The page has one place, whoever writes it.
        folder = settings.site_dir / "checks" if output is None else Path(output)
        files = {**REPORT_FILES, "html": "index.html"} if output is None else REPORT_FILES
        for name in chosen:
            messages.print(str(_write(folder / files[name], render(report, name, settings))), soft_wrap=True)
    if report.blocking_failures:
        raise typer.Exit(1)
    if report.not_evaluated:
        raise typer.Exit(NOT_EVALUATED)


def _write(path: Path, text: str) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise PipelineError(
            f"Cannot write {path}: {error.strerror}. Choose another folder with --output."
        ) from None
    return path
