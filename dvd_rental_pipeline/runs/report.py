"""The result of a run for a person: layers, seconds, failures and warnings."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from dvd_rental_pipeline.assembly.raw_assets import NOTICE
from dvd_rental_pipeline.automation.failure_messages import is_check_failure, step_failure_message
from dvd_rental_pipeline.core.groups import table_group
from dvd_rental_pipeline.core.private_api.dagster import BaseAssetGraph
from dvd_rental_pipeline.core.run_tags import FORCED
from dvd_rental_pipeline.quality.findings import failure_detail
from dvd_rental_pipeline.transform.reused import REUSED

# In the order in which they are built, by the tag `layer` of their assets.
LAYERS = ("raw", "processed", "warehouse", "staging", "snapshots", "marts", "reports", "site")
DBT_SECONDS = "Execution Duration"


@dataclass(frozen=True)
class Layer:
    """What a run built in one asset group. `rows` leaves out views, which are not counted."""

    group: str
    tables: int
    rows: int
    checks_passed: int
    checks_warned: int
    checks_failed: int
    seconds: float


@dataclass(frozen=True)
class RunReport:
    """The result of a run. `problems` and `warnings` are sentences, one per failed step or check.

    `reports` are the names of the reports that were built, `pages` the addresses of published pages by the name
    of their asset. `reused_assets` and `reused_checks` are the numbers of those that are current without work.
    """

    run_id: str
    success: bool
    seconds: float
    step_seconds: Mapping[str, float]
    layers: Sequence[Layer]
    problems: Sequence[str]
    warnings: Sequence[str]
    reports: Sequence[str]
    pages: Mapping[str, str]
    reused_assets: int = 0
    reused_checks: int = 0


def build_report(
    definitions: dg.Definitions,
    results: Sequence[dg.ExecuteInProcessResult],
    seconds: float,
    left_out: Sequence[str] = (),
) -> RunReport:
    """The report on `results`, the parts of one run, which took `seconds`; `left_out`: what was not built."""
    checks = [check for result in results for check in result.get_asset_check_evaluations()]
    events = [event for result in results for event in result.all_events]
    return RunReport(
        run_id=results[0].run_id,
        success=all(result.success for result in results),
        seconds=seconds,
        step_seconds={
            str(event.step_key): event.step_success_data.duration_ms / 1000
            for event in events
            if event.is_step_success
        },
        layers=_layers(definitions, events, checks),
        problems=[
            *_step_failures(events),
            *_check_failures(checks, dg.AssetCheckSeverity.ERROR),
            *left_out,
        ],
        warnings=[
            *_forced(results[0]),
            *_notices(events),
            *_check_failures(checks, dg.AssetCheckSeverity.WARN),
        ],
        reports=_reports(definitions, events),
        pages=_pages(events),
        reused_assets=sum(REUSED in each.metadata for each in _materializations(events)),
        reused_checks=sum(REUSED in check.metadata for check in checks),
    )


def _materializations(events: Sequence[dg.DagsterEvent]) -> Sequence[dg.AssetMaterialization]:
    return [event.materialization for event in events if event.is_step_materialization]


def _notices(events: Sequence[dg.DagsterEvent]) -> Sequence[str]:
    """What ingestion reports about the source."""
    return [
        str(materialization.metadata[NOTICE].value)
        for materialization in _materializations(events)
        if NOTICE in materialization.metadata
    ]


def _forced(result: dg.ExecuteInProcessResult) -> Sequence[str]:
    checks = result.dagster_run.tags.get(FORCED)
    return [] if checks is None else [f"built although blocking checks had failed (--force): {checks}"]


def _reports(definitions: dg.Definitions, events: Sequence[dg.DagsterEvent]) -> Sequence[str]:
    graph = definitions.resolve_asset_graph()
    keys = {materialization.asset_key for materialization in _materializations(events)}
    return sorted(key.path[-1] for key in keys if graph.get(key).tags.get("layer") == "reports")


def _pages(events: Sequence[dg.DagsterEvent]) -> Mapping[str, str]:
    return {
        materialization.asset_key.path[-1]: str(materialization.metadata["address"].value)
        for materialization in _materializations(events)
        if "address" in materialization.metadata
    }


def _layers(
    definitions: dg.Definitions,
    events: Sequence[dg.DagsterEvent],
    checks: Sequence[dg.AssetCheckEvaluation],
) -> Sequence[Layer]:
    """The layers in the order in which they are built."""
    graph = definitions.resolve_asset_graph()
    tables: Counter[str] = Counter()
    rows: Counter[str] = Counter()
    for materialization in _materializations(events):
        group = _group(graph, materialization.asset_key)
        tables[group] += 1
        row_count = materialization.metadata.get("dagster/row_count")
        rows[group] += int(row_count.value) if row_count else 0  # type: ignore[arg-type]
    outcomes = Counter((_group(graph, check.asset_key), _outcome(check)) for check in checks)
    seconds = _seconds(graph, events)
    built = {*tables, *(group for group, _ in outcomes)}
    layers = {_group(graph, node.key): node.tags.get("layer", "") for node in graph.asset_nodes}
    order = sorted(
        built,
        key=lambda group: (LAYERS.index(layers[group]) if layers[group] in LAYERS else len(LAYERS), group),
    )
    return [
        Layer(
            group=group,
            tables=tables[group],
            rows=rows[group],
            checks_passed=outcomes[group, "passed"],
            checks_warned=outcomes[group, "warned"],
            checks_failed=outcomes[group, "failed"],
            seconds=seconds.get(group, 0.0),
        )
        for group in order
    ]


def _group(graph: BaseAssetGraph[Any], key: dg.AssetKey) -> str:
    node = graph.get(key)
    return table_group(node.group_name, node.tags.get("layer", ""))


def _seconds(graph: BaseAssetGraph[Any], events: Sequence[dg.DagsterEvent]) -> Mapping[str, float]:
    """The seconds of each layer: those of its steps; of a step that builds several, those of its models."""
    groups: defaultdict[str, set[str]] = defaultdict(set)
    models: defaultdict[tuple[str, str], float] = defaultdict(float)
    durations: dict[str, float] = {}
    for event in events:
        step = str(event.step_key)
        if event.is_step_materialization and event.asset_key is not None:
            group = _group(graph, event.asset_key)
            groups[step].add(group)
            duration = event.materialization.metadata.get(DBT_SECONDS)
            models[step, group] += float(duration.value) if duration else 0.0  # type: ignore[arg-type]
        elif event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data.asset_check_key
            groups[step].add(_group(graph, check.asset_key))
        elif event.is_step_success:
            durations[step] = event.step_success_data.duration_ms / 1000
    seconds: defaultdict[str, float] = defaultdict(float)
    for step, built in groups.items():
        for group in built:
            seconds[group] += durations.get(step, 0.0) if len(built) == 1 else models[step, group]
    return seconds


def _outcome(check: dg.AssetCheckEvaluation) -> str:
    if check.passed:
        return "passed"
    return "failed" if check.severity is dg.AssetCheckSeverity.ERROR else "warned"


def _step_failures(events: Sequence[dg.DagsterEvent]) -> Sequence[str]:
    """Failures of steps, without those whose only cause is a check, which is reported itself."""
    return [
        f"{event.step_key}: {step_failure_message(event)}"
        for event in events
        if event.is_step_failure and not is_check_failure(event)
    ]


def _check_failures(
    checks: Sequence[dg.AssetCheckEvaluation], severity: dg.AssetCheckSeverity
) -> Sequence[str]:
    """A sentence for each failed check; one for all tables where a check of the same name failed."""
    failed = [check for check in checks if not check.passed and check.severity is severity]
    by_name: dict[str, list[dg.AssetCheckEvaluation]] = {}
    for check in failed:
        by_name.setdefault(check.check_name, []).append(check)
    return [_describe(same_name) for same_name in by_name.values()]


def _describe(checks: Sequence[dg.AssetCheckEvaluation]) -> str:
    if len(checks) == 1:
        check = checks[0]
        name = f"check {check.asset_key.to_user_string()}:{check.check_name}"
        detail = failure_detail(check)
        return f"{name} failed: {detail}" if detail else f"{name} failed"
    found = {check.asset_key.path[-1]: (failure_detail(check) or "failed").rstrip(".") for check in checks}
    details = "; ".join(f"{table}: {detail}" for table, detail in sorted(found.items()))
    return f"check {checks[0].check_name} failed for {len(checks)} tables: {details}."
