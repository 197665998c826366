"""The condition on blocking checks equals Dagster's own, nested, over any history of checks."""

from collections.abc import Mapping

import dagster as dg
from dagster import AutomationCondition
from hypothesis import event, given, settings
from hypothesis import strategies as st

from dvd_rental_pipeline.automation.blocking_checks import UpstreamBlockingChecksPassed

# Inputs of each asset: a diamond, a view on a view, and a path of another length.
GRAPH: Mapping[str, list[str]] = {
    "raw": [],
    "other_raw": [],
    "view": ["raw"],
    "view_of_view": ["view", "other_raw"],
    "fact": ["view_of_view", "view"],
    "report": ["fact", "other_raw"],
}
CHECKS = [(asset, kind) for asset in GRAPH for kind in ("blocking", "warning")]


def _nested() -> AutomationCondition:  # type: ignore[type-arg]
    passed = AutomationCondition.all_deps_blocking_checks_passed()
    two_levels = AutomationCondition.all_deps_match(passed)
    return passed & two_levels & AutomationCondition.all_deps_match(two_levels)


def _definitions(condition: AutomationCondition) -> dg.Definitions:  # type: ignore[type-arg]
    def build(name: str) -> dg.AssetsDefinition:
        kinds = [kind for owner, kind in CHECKS if owner == name]
        checks = [dg.AssetCheckSpec(kind, asset=name, blocking=kind == "blocking") for kind in kinds]

        # An asset that is requested has its checks requested: the roots never are.
        given_condition = condition if GRAPH[name] else None

        @dg.asset(name=name, deps=GRAPH[name], check_specs=checks, automation_condition=given_condition)
        def asset() -> dg.MaterializeResult:  # type: ignore[type-arg]
            return dg.MaterializeResult()

        return asset

    return dg.Definitions(assets=[build(name) for name in GRAPH])


NESTED, FLAT = _definitions(_nested()), _definitions(UpstreamBlockingChecksPassed(levels=3))

histories = st.one_of(
    st.tuples(st.just("build"), st.sampled_from(list(GRAPH))),
    st.tuples(st.just("pass"), st.sampled_from(CHECKS)),
    st.tuples(st.just("fail"), st.sampled_from(CHECKS)),
)


def _record(instance: dg.DagsterInstance, happened: tuple[str, object]) -> None:
    kind, subject = happened
    if kind == "build":
        instance.report_runless_asset_event(dg.AssetMaterialization(str(subject)))
    else:
        asset, check = subject  # type: ignore[misc]
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(asset_key=dg.AssetKey(asset), check_name=check, passed=kind == "pass")
        )


def _requested(definitions: dg.Definitions, instance: dg.DagsterInstance) -> set[object]:
    result = dg.evaluate_automation_conditions(definitions, instance)
    return {each.key for each in result.results if not each.true_subset.is_empty}


@settings(max_examples=15)
@given(st.lists(histories, max_size=12))
def test_equals_the_nested_conditions_of_dagster(history: list[tuple[str, object]]) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        for asset in GRAPH:
            _record(instance, ("build", asset))
        for check in CHECKS:
            _record(instance, ("pass", check))
        for each in history:
            _record(instance, each)
        requested = _requested(FLAT, instance)
        assert requested == _requested(NESTED, instance)
        event(f"requested: {len(requested)}")


def test_the_evaluation_names_the_check_that_is_waited_for() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        for check in CHECKS:
            _record(instance, ("fail" if check == ("raw", "blocking") else "pass", check))
        result = dg.evaluate_automation_conditions(FLAT, instance)
        evaluations = {each.key: each.serializable_evaluation for each in result.results}
    report = evaluations[dg.AssetKey("fact")]
    assert report.metadata["waits for"].value == "raw:blocking"
