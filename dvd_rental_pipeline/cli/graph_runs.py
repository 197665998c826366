"""Load the graph for a command that runs it or its checks, and show progress and result."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from rich.markup import escape
from rich.table import Table

from dvd_rental_pipeline.cli.terminal import messages, progress
from dvd_rental_pipeline.core.home import require_free_space
from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.pipelines.registry import require_settings
from dvd_rental_pipeline.runs.asset_names import read_asset_names, write_asset_names
from dvd_rental_pipeline.transform.parsing import update_manifest

if TYPE_CHECKING:
    from dagster import DagsterInstance, Definitions

    from dvd_rental_pipeline.runs.report import RunReport

# The report that the documentation shows.
_EXAMPLE = "top_films"
_LISTED_STEPS = 4


@contextmanager
def load_graph(
    settings: Settings, selection: str | None
) -> Iterator[tuple["Definitions", "DagsterInstance", Callable[[str], None]]]:
    """Yield the graph, the instance that keeps its history, and a function that shows progress.

    Raises:
        PipelineError: `selection` names an asset that does not exist, or a setting is missing.
    """
    require_settings(settings)
    require_free_space(settings.home)
    if selection is not None and (names := read_asset_names(settings)) is not None:
        # A wrong one is refused before seconds pass. It is resolved once the graph is loaded.
        names.expand(selection)
    with progress() as report_progress:
        report_progress("loading the graph")
        with ThreadPoolExecutor(1) as second_thread:
            # dbt parses in a process of its own while this one imports Dagster.
            parsing = second_thread.submit(update_manifest, settings)
            from dvd_rental_pipeline.definitions import build_definitions
            from dvd_rental_pipeline.runs.instance import open_instance
            from dvd_rental_pipeline.runs.selection import asset_names

            parsing.result()
        definitions = build_definitions(settings)
        with open_instance(settings) as instance:
            write_asset_names(settings, asset_names(definitions))
            yield definitions, instance, report_progress


def seconds_since_start() -> float:
    """How long this process has run."""
    return time.time() - psutil.Process().create_time()


def show_run(report: "RunReport", settings: Settings, log_file: Path) -> None:
    """Print the layers of a run, its problems and warnings, and where to read more."""
    table = Table(title=f"Run {report.run_id[:8]}", title_justify="left")
    table.add_column("layer")
    for heading in ("tables", "rows", "checks", "seconds"):
        table.add_column(heading, justify="right")
    for layer in report.layers:
        checks = f"{layer.checks_passed} passed"
        if layer.checks_warned:
            checks += f", [yellow]{layer.checks_warned} warned[/]"
        if layer.checks_failed:
            checks += f", [bold red]{layer.checks_failed} failed[/]"
        rows = f"{layer.rows:,}" if layer.rows else ""
        table.add_row(layer.group, str(layer.tables), rows, checks, f"{layer.seconds:.1f}")
    messages.print(table)
    # The person has waited since the program started, not since the run did.
    waited = seconds_since_start()
    steps = {"loading the graph": waited - report.seconds, **report.step_seconds}
    longest = sorted(steps.items(), key=lambda step: -step[1])[:_LISTED_STEPS]
    listed = ", ".join(f"{step} {seconds:.1f} s" for step, seconds in longest if seconds >= 0.1)
    messages.print(f"{waited:.1f} s in total, most of it: {listed}", soft_wrap=True)
    if report.reused_assets:
        messages.print(
            f"Reused, since nothing has changed for them: assets {report.reused_assets}, "
            f"checks {report.reused_checks}",
            soft_wrap=True,
        )
    for warning in report.warnings:
        messages.print(f"[yellow]Warning:[/] {escape(warning)}", soft_wrap=True)
    for problem in report.problems:
        messages.print(f"[bold red]Failed:[/] {escape(problem)}", soft_wrap=True)
    if report.problems:
        page = report.pages.get("checks", "dvd-rental checks report")
        messages.print(f"Report on all checks: {page}\nOutput of the steps: {log_file}", soft_wrap=True)
    else:
        _show_results(report, settings)


def _show_results(report: "RunReport", settings: Settings) -> None:
    """What to look at after a run, the most useful first."""
    lines = []
    if report.reports:
        example = _EXAMPLE if _EXAMPLE in report.reports else report.reports[0]
        lines += [
            (f"dvd-rental show {example}", "one of the reports, in the terminal"),
            ("dvd-rental reports", "all reports: question, owner, rows, age"),
        ]
    if report.pages.keys() - {"checks", "docs"}:
        lines.append(("dvd-rental site --open", "charts, documentation, files, in the browser"))
    lines.append(("dvd-rental dev", "the graph, its checks and this run, in the browser"))
    width = max(len(command) for command, _ in lines)
    messages.print("\nExplore the result:")
    for command, meaning in lines:
        messages.print(f"  {command:{width}}   {meaning}")
    from dvd_rental_pipeline.warehouse.deployment import WarehouseKind, warehouse_kind

    match warehouse_kind(settings):
        case WarehouseKind.DUCKDB:
            warehouse = str(settings.warehouse_path)
        case WarehouseKind.POSTGRES:
            warehouse = "the database of DVD_RENTAL_WAREHOUSE_URL"
        case WarehouseKind.SNOWFLAKE:
            warehouse = f"the database {settings.snowflake_database}"
    messages.print(
        f"Report on all checks: {report.pages.get('checks', 'dvd-rental checks report')}", soft_wrap=True
    )
    messages.print(f"Warehouse: {warehouse}", soft_wrap=True)
