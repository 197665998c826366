"""`dvd-rental run`: materialize the graph once."""

import logging
from typing import Annotated

import typer

from dvd_rental_pipeline.cli.graph_runs import load_graph, show_run
from dvd_rental_pipeline.cli.watching import watch_models
from dvd_rental_pipeline.core.settings import Settings


def run(
    select: Annotated[
        str | None,
        typer.Option(
            help="Assets to materialize: a name such as top_films, or Dagster's selection syntax, "
            "e.g. '+group:marts'."
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Build although a blocking check of an input failed.")
    ] = False,
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Copy every table from scratch and rebuild everything.")
    ] = False,
    reuse: Annotated[
        bool,
        typer.Option(
            "--reuse/--no-reuse", help="Reuse models, tests and pages whose code and data have not changed."
        ),
    ] = True,
    watch: Annotated[
        bool, typer.Option("--watch", help="Then rebuild what each saved file of dbt/ changes, until Ctrl-C.")
    ] = False,
) -> None:
    """Materialize the rental pipeline, or a selection of the graph, and run its checks, once."""
    settings = Settings.load()
    log_file = settings.home / "logs" / "run.log"
    with load_graph(settings, select) as (definitions, instance, report_progress):
        from dvd_rental_pipeline.pipelines.registry import DEFAULT_JOB
        from dvd_rental_pipeline.runs.launch import run_graph

        report = run_graph(
            definitions,
            instance,
            selection=select,
            default_job=DEFAULT_JOB,
            full_refresh=full_refresh,
            reuse=reuse,
            force=force,
            log_file=log_file,
            report_progress=report_progress,
        )
    show_run(report, settings, log_file)
    if watch:
        watch_models(settings, log_file)
        return
    if not report.success or report.problems:
        if settings.alerts_topic is not None:
            # The run failure sensor covers only runs of a code location, which this is not.
            from dvd_rental_pipeline.automation.run_failures import send_failure

            alerts = definitions.resources["alerts"]  # type: ignore[index]
            log = logging.getLogger(__name__)
            send_failure(alerts, report.run_id, "dvd-rental run", "\n".join(report.problems), log)
        raise typer.Exit(1)
