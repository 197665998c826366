"""One run of the graph in this process: what `dvd-rental run` does, apart from how it is shown."""

import os
import sys
import time
import uuid
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import psutil

from dvd_rental_pipeline.core.errors import PipelineError, UnwritableFolderError
from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.quality.anomaly_bounds import LEARNT_BOUNDS
from dvd_rental_pipeline.runs.history import RunHistory

PROCESS_TAG = "dvd_rental/process"
DBT_SECONDS = "Execution Duration"


@dataclass(frozen=True)
class Layer:
    """What a run built in one group of assets. `rows` leaves out views, which are not counted."""

    group: str
    tables: int
    rows: int
    checks_passed: int
    checks_warned: int
    checks_failed: int
    seconds: float


@dataclass(frozen=True)
class RunReport:
    """How a run ended. `problems` and `warnings` are sentences, one for each step or check.

    `pages` are the addresses of what it published, by the name of the asset.
    """

    run_id: str
    success: bool
    seconds: float
    step_seconds: Mapping[str, float]
    layers: Sequence[Layer]
    problems: Sequence[str]
    warnings: Sequence[str]
    pages: Mapping[str, str]


def run_graph(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    *,
    selection: str | None = None,
    full_refresh: bool = False,
    log_file: Path,
    on_event: Callable[[dg.EventLogEntry], None],
) -> RunReport:
    """Materialize the graph, or `selection` in Dagster's selection syntax, with its checks.

    Whatever the steps print goes to `log_file`. `on_event` is told each event as it happens.

    Raises:
        PipelineError: the selection cannot be read or selects nothing.
        KeyboardInterrupt: the run was interrupted; Dagster has noted it.
    """
    keys = _selected_keys(definitions, selection)
    job = definitions.resolve_implicit_global_asset_job_def().get_subset(asset_selection=set(keys))
    run_config = _full_refresh_config(definitions, keys) if full_refresh else None
    return _execute(job, definitions, instance, run_config=run_config, log_file=log_file, on_event=on_event)


def run_checks(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    *,
    selection: str | None = None,
    accept: bool = False,
    log_file: Path,
    on_event: Callable[[dg.EventLogEntry], None],
) -> RunReport:
    """Evaluate the checks of all assets, or of `selection`, on the data as they are: nothing is materialized.

    With `accept`, numbers beyond their learnt bounds pass, and are learnt. Otherwise as `run_graph`.
    """
    graph = definitions.resolve_asset_graph()
    assets = None if selection is None else set(_selected_keys(definitions, selection))
    checks = {key for key in graph.asset_check_keys if assets is None or key.asset_key in assets}
    if not checks:
        raise PipelineError(f"No asset of the selection {selection!r} has a check. Try `group:marts`.")
    job = definitions.resolve_implicit_global_asset_job_def()
    return _execute(
        job.get_subset(asset_selection=set(), asset_check_selection=checks),
        definitions,
        instance,
        run_config={"ops": {LEARNT_BOUNDS: {"config": {"accept": True}}}} if accept else None,
        log_file=log_file,
        on_event=on_event,
    )


def _execute(
    job: dg.JobDefinition,
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    *,
    run_config: Mapping[str, Any] | None = None,
    log_file: Path,
    on_event: Callable[[dg.EventLogEntry], None],
) -> RunReport:
    started = time.monotonic()
    run_id = str(uuid.uuid4())
    instance.add_event_listener(run_id, on_event)
    with _output_to(log_file):
        result = job.execute_in_process(
            run_config=run_config,
            instance=instance,
            run_id=run_id,
            tags={PROCESS_TAG: _this_process()},
            raise_on_error=False,
        )
    if any(_is_interrupted(event) for event in result.all_events if event.is_step_failure):
        raise KeyboardInterrupt
    checks = list(result.get_asset_check_evaluations())
    return RunReport(
        run_id=run_id,
        success=result.success,
        seconds=time.monotonic() - started,
        step_seconds=_step_seconds(result),
        layers=_layers(definitions, result, checks),
        problems=[*_step_failures(result), *_check_failures(checks, dg.AssetCheckSeverity.ERROR)],
        warnings=_check_failures(checks, dg.AssetCheckSeverity.WARN),
        pages=_pages(result),
    )


@contextmanager
def open_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """The Dagster instance of DAGSTER_HOME, or else the one beside the rest of the local state.

    Runs whose process has died are closed, so that they do not stand as running for ever.

    Raises:
        PipelineError: the folder cannot be written.
    """
    if settings.dagster_home is not None:
        instance = dg.DagsterInstance.get()
    else:
        try:
            settings.dagster_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UnwritableFolderError(settings.dagster_dir, error) from error
        instance = dg.DagsterInstance.local_temp(
            str(settings.dagster_dir),
            overrides={
                "telemetry": {"enabled": False},
                "storage": {
                    "custom": {
                        "module": RunHistory.__module__,
                        "class": RunHistory.__name__,
                        "config": {"base_dir": str(settings.dagster_dir)},
                    }
                },
            },
        )
    with instance:
        _close_dead_runs(instance)
        yield instance


def _close_dead_runs(instance: dg.DagsterInstance) -> None:
    unfinished = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
    for run in instance.get_runs(dg.RunsFilter(statuses=unfinished)):
        process = run.tags.get(PROCESS_TAG)
        if process is not None and not _is_alive(process):
            instance.report_run_failed(run, "The process of this run has died.")


def _this_process() -> str:
    process = psutil.Process()
    return f"{process.pid}@{process.create_time()}"


def _is_alive(tag: str) -> bool:
    """A process id is used again after a while; together with its start time it is not."""
    pid, _, created = tag.partition("@")
    try:
        return str(psutil.Process(int(pid)).create_time()) == created
    except psutil.NoSuchProcess:
        return False


def _full_refresh_config(definitions: dg.Definitions, keys: Sequence[dg.AssetKey]) -> Mapping[str, Any]:
    """Run configuration that asks each step that knows of it for a full refresh."""
    ops = {definitions.resolve_assets_def(key).op for key in keys}
    return {
        "ops": {
            op.name: {"config": {"full_refresh": True}}
            for op in ops
            if "full_refresh" in getattr(op.config_schema.config_type, "fields", {})
        }
    }


def _selected_keys(definitions: dg.Definitions, selection: str | None) -> Sequence[dg.AssetKey]:
    graph = definitions.resolve_asset_graph()
    if selection is None:
        return sorted(graph.executable_asset_keys)
    try:
        with warnings.catch_warnings():
            # Dagster's own reading of `group:` uses a parameter that is in beta.
            warnings.simplefilter("ignore", dg.BetaWarning)
            keys = dg.AssetSelection.from_string(selection).resolve(graph)
    except (dg.DagsterError, ValueError) as error:
        raise PipelineError(f"Cannot read the selection {selection!r}: {error}") from error
    executable = sorted(keys & graph.executable_asset_keys)
    if not executable:
        raise PipelineError(
            f"The selection {selection!r} selects nothing that can be run. Try `group:reports`, "
            '`key:"marts/fct_rental"` or `+key:"reports/top_films"`.'
        )
    return executable


@contextmanager
def _output_to(log_file: Path) -> Iterator[None]:
    """Steps, and the programs they start, print to `log_file` instead of the terminal."""
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


def _step_seconds(result: dg.ExecuteInProcessResult) -> Mapping[str, float]:
    return {
        str(event.step_key): event.step_success_data.duration_ms / 1000
        for event in result.all_events
        if event.is_step_success
    }


def _pages(result: dg.ExecuteInProcessResult) -> Mapping[str, str]:
    materialized = [event.materialization for event in result.get_asset_materialization_events()]
    return {
        materialization.asset_key.path[-1]: str(materialization.metadata["address"].value)
        for materialization in materialized
        if "address" in materialization.metadata
    }


def _layers(
    definitions: dg.Definitions,
    result: dg.ExecuteInProcessResult,
    checks: Sequence[dg.AssetCheckEvaluation],
) -> Sequence[Layer]:
    graph = definitions.resolve_asset_graph()
    tables: Counter[str] = Counter()
    rows: Counter[str] = Counter()
    seconds: defaultdict[str, float] = defaultdict(float)
    for event in result.get_asset_materialization_events():
        materialization = event.materialization
        group = graph.get(materialization.asset_key).group_name
        tables[group] += 1
        row_count = materialization.metadata.get("dagster/row_count")
        rows[group] += int(row_count.value) if row_count else 0  # type: ignore[arg-type]
        duration = materialization.metadata.get(DBT_SECONDS) or materialization.metadata.get("seconds")
        seconds[group] += float(duration.value) if duration else 0.0  # type: ignore[arg-type]
    outcomes = Counter((graph.get(check.asset_key).group_name, _outcome(check)) for check in checks)
    return [
        Layer(
            group=group,
            tables=tables[group],
            rows=rows[group],
            checks_passed=outcomes[group, "passed"],
            checks_warned=outcomes[group, "warned"],
            checks_failed=outcomes[group, "failed"],
            seconds=seconds[group],
        )
        for group in dict.fromkeys([*tables, *(group for group, _ in outcomes)])
    ]


def _outcome(check: dg.AssetCheckEvaluation) -> str:
    if check.passed:
        return "passed"
    return "failed" if check.severity is dg.AssetCheckSeverity.ERROR else "warned"


def _is_interrupted(event: dg.DagsterEvent) -> bool:
    """Whether Dagster turned an interrupt into the failure of a step, as it does inside of one."""
    error = event.step_failure_data.error
    interrupts = {dg.DagsterExecutionInterruptedError.__name__, KeyboardInterrupt.__name__}
    return error is not None and error.cls_name in interrupts


def _step_failures(result: dg.ExecuteInProcessResult) -> Sequence[str]:
    problems = []
    for event in result.all_events:
        if event.is_step_failure:
            failure = event.step_failure_data
            if failure.user_failure_data is not None and failure.user_failure_data.description:
                told = failure.user_failure_data.description
            else:
                # Dagster wraps what a step raised; the innermost says what happened.
                error = failure.error
                while error is not None and error.cause is not None:
                    error = error.cause
                told = error.message.strip() if error else "no reason given"
            problems.append(f"{event.step_key}: {told}")
    return problems


def _check_failures(
    checks: Sequence[dg.AssetCheckEvaluation], severity: dg.AssetCheckSeverity
) -> Sequence[str]:
    problems = []
    for check in checks:
        if not check.passed and check.severity is severity:
            failed_rows = check.metadata.get("dagster_dbt/failed_row_count")
            found = f" ({failed_rows.value} rows)" if failed_rows else ""
            problems.append(f"check {check.asset_key.to_user_string()}:{check.check_name} failed{found}")
    return problems
