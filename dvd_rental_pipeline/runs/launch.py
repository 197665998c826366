"""One run of the graph, or of its checks, in this process: what the commands do, apart from how it is shown."""

import os
import shlex
import sys
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg

from dvd_rental_pipeline.automation.failure_messages import is_interrupt
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.run_tags import CAUSE, FORCED, PROCESS
from dvd_rental_pipeline.quality.anomaly_bounds import ANOMALY_BOUNDS
from dvd_rental_pipeline.runs.instance import process_tag
from dvd_rental_pipeline.runs.progress import RunProgress
from dvd_rental_pipeline.runs.report import RunReport, build_report
from dvd_rental_pipeline.runs.selection import select_assets
from dvd_rental_pipeline.runs.unaffected import describe_left_out, unaffected_part
from dvd_rental_pipeline.transform.held_assets import describe_held, failed_checks_above

# A run, its rest, and the rest of that: a table may fail in ingestion, and another one in its checks.
_MAX_PARTS = 3
_MAX_COMMAND = 120


def run_graph(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    *,
    selection: str | None = None,
    default_job: str | None = None,
    full_refresh: bool = False,
    reuse: bool = True,
    force: bool = False,
    log_file: Path,
    report_progress: Callable[[str], None],
) -> RunReport:
    """Materialize `selection` in Dagster's selection syntax, with its checks.

    Without a selection, the assets of `default_job`, or else the whole graph.

    What has not changed is reused, unless `full_refresh` is set or `reuse` is not. If raw tables fail, what
    does not read them is built in further runs. The output of the steps goes to `log_file`; `report_progress`
    receives how far the run has come.

    Raises:
        PipelineError: the selection cannot be parsed or selects nothing, or a blocking check above it failed
            and `force` is not set.
        KeyboardInterrupt: the run was interrupted; Dagster has recorded it.
    """
    keys = select_assets(definitions, selection, default_job)
    graph = definitions.resolve_asset_graph()
    failed = failed_checks_above(graph, instance, set(keys))
    if failed and not force:
        raise PipelineError(f"{describe_held(failed)} `--force` builds in spite of it.")
    tags = {CAUSE: _command("dvd-rental run", selection)}
    if failed:
        tags[FORCED] = ", ".join(check.to_user_string() for check in failed)
    started = time.monotonic()
    job = definitions.resolve_implicit_global_asset_job_def()
    progress = RunProgress(len(keys) + len(graph.get_check_keys_for_assets(set(keys))), report_progress)

    def execute(
        subset: dg.JobDefinition, built: Collection[dg.AssetKey], target: Sequence[dg.AssetKey] = ()
    ) -> dg.ExecuteInProcessResult:
        return _execute(
            subset,
            instance,
            target=target,
            run_config=_run_config(
                definitions, built, {"full_refresh": full_refresh, "reuse": reuse and not full_refresh}
            ),
            tags=tags,
            log_file=log_file,
            progress=progress,
        )

    results = [execute(job, keys, target=keys)]
    left_out: list[str] = []
    while len(results) < _MAX_PARTS and (part := unaffected_part(definitions, results, keys)) is not None:
        subset = job.get_subset(asset_selection=set(part.assets), asset_check_selection=set(part.checks))
        left_out = [describe_left_out(part)]
        results.append(execute(subset, part.assets))
    return build_report(definitions, results, time.monotonic() - started, left_out)


def run_checks(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    *,
    selection: str | None = None,
    accept: bool = False,
    log_file: Path,
    report_progress: Callable[[str], None],
) -> RunReport:
    """Evaluate the checks of all assets, or of `selection`, on the present data: nothing is materialized.

    With `accept`, numbers outside of their learned bounds pass and are learned. Otherwise as `run_graph`.
    """
    graph = definitions.resolve_asset_graph()
    assets = None if selection is None else set(select_assets(definitions, selection))
    checks = {key for key in graph.asset_check_keys if assets is None or key.asset_key in assets}
    if not checks:
        raise PipelineError(f"No asset of the selection {selection!r} has a check. Try `group:marts`.")
    started = time.monotonic()
    job = definitions.resolve_implicit_global_asset_job_def()
    result = _execute(
        job.get_subset(asset_selection=set(), asset_check_selection=checks),
        instance,
        run_config={"ops": {ANOMALY_BOUNDS: {"config": {"accept": True}}}} if accept else None,
        tags={CAUSE: _command("dvd-rental checks run", selection)},
        log_file=log_file,
        progress=RunProgress(len(checks), report_progress),
    )
    return build_report(definitions, [result], time.monotonic() - started)


def _execute(
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    *,
    target: Sequence[dg.AssetKey] = (),
    run_config: Mapping[str, Any] | None = None,
    tags: Mapping[str, str],
    log_file: Path,
    progress: RunProgress,
) -> dg.ExecuteInProcessResult:
    """Execute `job`, or its assets `target` with all their checks, which the UI shows as the run's target."""
    run_id = str(uuid.uuid4())
    instance.add_event_listener(run_id, progress)
    with _output_to(log_file):
        result = job.execute_in_process(
            asset_selection=target,
            run_config=run_config,
            instance=instance,
            run_id=run_id,
            tags={PROCESS: process_tag(), **tags},
            raise_on_error=False,
        )
    if any(is_interrupt(event) for event in result.all_events if event.is_step_failure):
        raise KeyboardInterrupt
    return result


def _command(command: str, selection: str | None) -> str:
    """The command that started the run, for the list of runs in the UI."""
    text = command if selection is None else f"{command} --select {shlex.quote(selection)}"
    return text if len(text) <= _MAX_COMMAND else f"{text[: _MAX_COMMAND - 1]}…"


def _run_config(
    definitions: dg.Definitions, keys: Collection[dg.AssetKey], options: Mapping[str, bool]
) -> Mapping[str, Any]:
    """Run configuration that sets each of `options` for the steps that have it."""
    ops = {definitions.resolve_assets_def(key).op for key in keys}
    given = {
        op.name: {
            name: value
            for name, value in options.items()
            if name in getattr(op.config_schema.config_type, "fields", {})
        }
        for op in ops
    }
    return {"ops": {name: {"config": config} for name, config in given.items() if config}}


@contextmanager
def _output_to(log_file: Path) -> Iterator[None]:
    """Redirect the output of the steps, and of the programs they start, from the terminal to `log_file`."""
    log_file.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    saved = {fd: os.dup(fd) for fd in (1, 2)}
    with log_file.open("ab") as log:
        for fd in saved:
            os.dup2(log.fileno(), fd)
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for fd, copy in saved.items():
                os.dup2(copy, fd)
                os.close(copy)
