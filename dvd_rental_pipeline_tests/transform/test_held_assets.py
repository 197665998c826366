"""A run that a person starts does not build from a table whose blocking check failed."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.run_tags import FORCED
from dvd_rental_pipeline.runs.launch import run_graph
from dvd_rental_pipeline.runs.report import RunReport
from dvd_rental_pipeline.transform.held_assets import failed_checks_above

RAW, MART, REPORT, OTHER = (dg.AssetKey(name) for name in ("raw", "mart", "report", "other"))
CHECKS = [
    dg.AssetCheckSpec("agrees", asset=RAW, blocking=True),
    dg.AssetCheckSpec("is_recent", asset=RAW),
    dg.AssetCheckSpec("adds_up", asset=MART, blocking=True),
]


@dg.multi_asset(
    specs=[
        dg.AssetSpec(RAW),
        dg.AssetSpec(MART, deps=[RAW]),
        dg.AssetSpec(REPORT, deps=[MART]),
        dg.AssetSpec(OTHER),
    ],
    check_specs=CHECKS,
    can_subset=True,
)
def everything(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    for key in sorted(context.selected_asset_keys):
        yield dg.MaterializeResult(asset_key=key)
    for check in sorted(context.selected_asset_check_keys):
        yield dg.AssetCheckResult(asset_key=check.asset_key, check_name=check.name, passed=True)


DEFINITIONS = dg.Definitions([everything])
GRAPH = DEFINITIONS.resolve_asset_graph()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def evaluate(
    instance: dg.DagsterInstance, key: dg.AssetKey, name: str, *, passed: bool, warn: bool = False
) -> None:
    severity = dg.AssetCheckSeverity.WARN if warn else dg.AssetCheckSeverity.ERROR
    instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(asset_key=key, check_name=name, passed=passed, severity=severity)
    )


def build(instance: dg.DagsterInstance, selection: str, folder: Path, *, force: bool = False) -> RunReport:
    return run_graph(
        DEFINITIONS,
        instance,
        selection=selection,
        force=force,
        log_file=folder / "run.log",
        report_progress=lambda _: None,
    )


def test_what_a_failed_blocking_check_holds(instance: dg.DagsterInstance) -> None:
    assert failed_checks_above(GRAPH, instance, {REPORT}) == []
    evaluate(instance, RAW, "agrees", passed=False)
    agrees = dg.AssetCheckKey(RAW, "agrees")
    assert failed_checks_above(GRAPH, instance, {REPORT}) == [agrees]
    assert failed_checks_above(GRAPH, instance, {MART, REPORT}) == [agrees]
    assert failed_checks_above(GRAPH, instance, {RAW, MART, REPORT}) == [], "it is evaluated again"
    assert failed_checks_above(GRAPH, instance, {OTHER}) == []
    evaluate(instance, RAW, "agrees", passed=True)
    assert failed_checks_above(GRAPH, instance, {REPORT}) == []


def test_warnings_hold_nothing(instance: dg.DagsterInstance) -> None:
    evaluate(instance, RAW, "is_recent", passed=False)
    evaluate(instance, MART, "adds_up", passed=False, warn=True)
    assert failed_checks_above(GRAPH, instance, {REPORT}) == []


def test_a_run_is_refused_until_the_check_passes(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    evaluate(instance, RAW, "agrees", passed=False)
    with pytest.raises(PipelineError) as refusal:
        build(instance, "report", tmp_path)
    for part in ("raw:agrees", "docs/runbook.md", "dvd-rental checks run --select 'key:\"raw\"'", "--force"):
        assert part in str(refusal.value)
    assert instance.get_runs() == []
    evaluate(instance, RAW, "agrees", passed=True)
    assert build(instance, "report", tmp_path).success


def test_a_forced_run_builds_and_says_so(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    evaluate(instance, RAW, "agrees", passed=False)
    report = build(instance, "report", tmp_path, force=True)
    assert report.success
    assert report.warnings == ["built although blocking checks had failed (--force): raw:agrees"]
    (run,) = instance.get_runs()
    assert run.tags[FORCED] == "raw:agrees"
    assert FORCED not in (build(instance, "other", tmp_path, force=True) and instance.get_runs()[0].tags)
