"""`dvd-rental run --watch`: rebuild the models that a saved file of the dbt project changes."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from dvd_rental_pipeline.cli.graph_runs import load_graph
from dvd_rental_pipeline.cli.terminal import messages
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.settings import DBT_PROJECT_DIR, Settings

if TYPE_CHECKING:
    from dvd_rental_pipeline.runs.report import RunReport
    from dvd_rental_pipeline.transform.changed_models import Signatures


def watch_models(settings: Settings, log_file: Path) -> None:
    """After each saved file, build the models that it changes and those below them, with their tests.

    Returns when interrupted.
    """
    from watchfiles import watch

    from dvd_rental_pipeline.transform.changed_models import read_signatures
    from dvd_rental_pipeline.transform.manifest import read_manifest
    from dvd_rental_pipeline.transform.parsing import is_input, update_manifest

    built = read_signatures(read_manifest(update_manifest(settings)), DBT_PROJECT_DIR)
    messages.print(f"\nWatching {DBT_PROJECT_DIR}: what a saved file changes is rebuilt. Ctrl-C ends this.")
    try:
        for changes in watch(DBT_PROJECT_DIR, watch_filter=lambda _, path: is_input(Path(path))):
            files = sorted({str(Path(path).relative_to(DBT_PROJECT_DIR)) for _, path in changes})
            messages.print(f"\nSaved: {escape(', '.join(files))}", soft_wrap=True)
            try:
                built = _rebuild(settings, built, log_file)
            except PipelineError as error:
                messages.print(f"[bold red]Error:[/] {escape(str(error))}", soft_wrap=True)
    except KeyboardInterrupt:
        messages.print("Watching has ended.")


def _rebuild(settings: Settings, built: "Signatures", log_file: Path) -> "Signatures":
    """Build what differs from `built`; returns the signatures of what the warehouse has now."""
    from dvd_rental_pipeline.runs.launch import run_graph
    from dvd_rental_pipeline.transform.changed_models import changed_models, models_below, read_signatures
    from dvd_rental_pipeline.transform.manifest import read_manifest
    from dvd_rental_pipeline.transform.parsing import update_manifest

    started = time.monotonic()
    with load_graph(settings, None) as (definitions, instance, report_progress):
        manifest = read_manifest(update_manifest(settings))
        saved = read_signatures(manifest, DBT_PROJECT_DIR)
        changed = changed_models(built, saved)
        if not changed:
            messages.print("No model changed.")
            return saved
        keys = models_below(manifest, changed)
        report = run_graph(
            definitions,
            instance,
            selection=" or ".join(f'key:"{schema}/{name}"' for schema, name in keys),
            log_file=log_file,
            report_progress=report_progress,
        )
    _show(report, [name for _, name in changed], len(keys), time.monotonic() - started)
    if report.success:
        return saved
    # The tables of what failed may be of the old or of the new code: the next saved file builds them again.
    return {key: signature for key, signature in saved.items() if key not in keys}


def _show(report: "RunReport", changed: list[str], models: int, seconds: float) -> None:
    """One line on the result, then the failed checks."""
    below = f" and {models - len(changed)} below" if models > len(changed) else ""
    passed = sum(layer.checks_passed for layer in report.layers)
    verdict = "[green]Built[/]" if report.success else "[bold red]Failed[/]"
    names = escape(", ".join(changed))
    messages.print(f"{verdict} {names}{below}: {passed} checks passed, {seconds:.1f} s", soft_wrap=True)
    for warning in report.warnings:
        messages.print(f"[yellow]Warning:[/] {escape(warning)}", soft_wrap=True)
    for problem in report.problems:
        messages.print(f"[bold red]Failed:[/] {escape(problem)}", soft_wrap=True)
