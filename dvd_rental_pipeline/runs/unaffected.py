"""What of a run can still be built after a step failed: assets that were skipped, but whose inputs are sound.

A job skips a whole step if one of its inputs failed. The dbt step builds all models, so one raw table that
cannot be replicated would stop the reports on every other table too.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import dagster as dg


@dataclass(frozen=True)
class UnaffectedPart:
    """The rest of a run.

    Attributes:
        assets: assets to build, none of which is downstream of `blocking`.
        checks: checks to evaluate: those of `assets`, and of sound assets whose checks were skipped.
        blocking: assets that failed, or have a failed blocking check.
        left_out: assets that the run selects and that are not built because they read `blocking`.
    """

    assets: frozenset[dg.AssetKey]
    checks: frozenset[dg.AssetCheckKey]
    blocking: frozenset[dg.AssetKey]
    left_out: frozenset[dg.AssetKey]


def unaffected_part(
    definitions: dg.Definitions, results: Sequence[dg.ExecuteInProcessResult], keys: Collection[dg.AssetKey]
) -> UnaffectedPart | None:
    """What is left to build of `keys` after `results`, the runs so far; None if nothing is."""
    graph = definitions.resolve_asset_graph()
    events = [event for result in results for event in result.all_events]
    started = {event.step_key for event in events if event.is_step_start}
    materialized = {event.asset_key for event in events if event.is_step_materialization}
    evaluations = [evaluation for result in results for evaluation in result.get_asset_check_evaluations()]
    evaluated = {evaluation.asset_check_key for evaluation in evaluations}
    failed_checks = {
        evaluation.asset_key
        for evaluation in evaluations
        if not evaluation.passed and evaluation.severity is dg.AssetCheckSeverity.ERROR and evaluation.blocking
    }
    waiting = {key for key in keys if definitions.resolve_assets_def(key).op.name not in started}
    blocking = (set(keys) - waiting - materialized) | failed_checks
    if not waiting or not blocking:
        return None
    affected = dg.AssetSelection.assets(*blocking).downstream().resolve(graph)
    assets = waiting - affected
    if not assets:
        return None
    sound = (set(keys) - blocking - affected) | assets
    checks = {key for key in graph.asset_check_keys if key.asset_key in sound and key not in evaluated}
    return UnaffectedPart(
        frozenset(assets), frozenset(checks), frozenset(blocking), frozenset(waiting & affected)
    )


def describe_left_out(part: UnaffectedPart) -> str:
    """Which assets a run did not build, and why, as a sentence."""
    blocking = ", ".join(sorted(key.to_user_string() for key in part.blocking))
    return f"{len(part.left_out)} assets were not built, because they read {blocking}. The others were built."
