"""The condition that holds an asset while a blocking check above it has not passed."""

from collections.abc import Iterator
from weakref import WeakKeyDictionary

import dagster as dg
from dagster import AutomationCondition, AutomationContext, AutomationResult

from dvd_rental_pipeline.core.private_api.dagster import AssetCheckExecutionResolvedStatus, AssetGraphView


class UpstreamBlockingChecksPassed(AutomationCondition[dg.AssetKey]):
    """Blocking checks passed, or are requested now: on the asset's inputs, and up to `levels` above the asset.

    Staging models are views, some of them on other views: a fault in a raw table shows through them although
    they were not rebuilt. Equal to `all_deps_blocking_checks_passed()` nested with `all_deps_match()`, but each
    check is read once: nested, they are read once for every path to them, for seconds.
    """

    def __init__(self, levels: int) -> None:
        self._levels = levels
        # By evaluation, so that the assets of one share what was read.
        self._passed: WeakKeyDictionary[AssetGraphView, dict[dg.AssetCheckKey, bool]] = WeakKeyDictionary()

    @property
    def name(self) -> str:
        return "upstream_blocking_checks_passed"

    @property
    def description(self) -> str:
        return f"Blocking checks have passed on its inputs, up to {self._levels} levels above"

    def get_label(self) -> str:
        return "blocking checks passed, two layers further up as well"

    @property
    def requires_cursor(self) -> bool:
        return False

    async def evaluate(  # type: ignore[override]  # Dagster awaits coroutines.
        self, context: AutomationContext[dg.AssetKey]
    ) -> AutomationResult[dg.AssetKey]:
        if context.candidate_subset.is_empty:
            return AutomationResult(context, context.get_empty_subset())
        for check in self._checks_above(context):
            requested = context.request_subsets_by_key.get(check)
            if (requested is None or requested.is_empty) and not await self._has_passed(context, check):
                waits_for = dg.MetadataValue.text(check.to_user_string())
                return AutomationResult(context, context.get_empty_subset(), metadata={"waits for": waits_for})
        return AutomationResult(context, context.candidate_subset)

    def _checks_above(self, context: AutomationContext[dg.AssetKey]) -> Iterator[dg.AssetCheckKey]:
        graph, level, seen = context.asset_graph, {context.key}, set[dg.AssetKey]()
        for _ in range(self._levels):
            level = set[dg.AssetKey]().union(*(graph.get(key).parent_keys for key in level)) - seen
            seen |= level
            for key in sorted(level):
                yield from (check for check in sorted(graph.get(key).check_keys) if graph.get(check).blocking)

    async def _has_passed(self, context: AutomationContext[dg.AssetKey], check: dg.AssetCheckKey) -> bool:
        view = context.asset_graph_view
        passed = self._passed.setdefault(view, {})
        if check not in passed:
            subset = await view.compute_subset_with_status(
                check, AssetCheckExecutionResolvedStatus.SUCCEEDED, view.get_full_subset(key=check)
            )
            passed[check] = not subset.is_empty
        return passed[check]
