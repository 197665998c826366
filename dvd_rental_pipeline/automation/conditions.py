"""Automation conditions by layer. Each has a label that the UI shows.

Plain `eager` and `on_cron` build from data whose checks failed in an earlier run. Here a failed blocking check
holds everything downstream of it until the check passes.
"""

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import or_
from typing import Any, TypeAlias

import dagster as dg
from dagster import AutomationCondition

from dvd_rental_pipeline.automation.blocking_checks import UpstreamBlockingChecksPassed
from dvd_rental_pipeline.automation.freshness import CONFIRMATION_CRON, REPORTS_CRON

Condition: TypeAlias = AutomationCondition[Any]

# A mart reads a staging view, perhaps on another view, of a raw table.
BLOCKING_CHECKS_PASSED = UpstreamBlockingChecksPassed(levels=3)


def _an_input_is_newer() -> Condition:
    """An input has other data than the asset was built from, and was updated since the last request.

    As `eager`, but for two cases. It misses one: the asset, and after it an input, were updated between two
    evaluations, as happens when a sync has waited for the models to be built. And an input that was updated
    without a change, as by an empty sync, only counts at `CONFIRMATION_CRON`.
    """
    built: Condition = AutomationCondition.newly_updated()
    newer = AutomationCondition.any_deps_match(AutomationCondition.newly_updated()).since(built)
    # Not forgotten if the asset was built between the same two evaluations: `newer` knows which was first. It
    # is not `built & ~other_data`: Dagster keeps the state of a `since` by the operators of its operands, and
    # `not_requested` has these two.
    other_data = AutomationCondition.any_deps_match(AutomationCondition.data_version_changed())
    changed = other_data.since(~(other_data | ~built))
    due = AutomationCondition.cron_tick_passed(CONFIRMATION_CRON).since(built)
    # In the same run as its inputs, once that is requested.
    requested = AutomationCondition.any_deps_match(AutomationCondition.will_be_requested())
    # The evaluation after a request knows of it; an update that it sees as well is younger than the request.
    updated = AutomationCondition.any_deps_updated()
    not_requested = updated.since(AutomationCondition.newly_requested() & ~updated)
    reason = (newer & (changed | due)) | requested
    return (reason & not_requested).with_label("an input is newer")


AFTER_INPUTS = (
    _an_input_is_newer()
    & ~AutomationCondition.any_deps_missing()
    & ~AutomationCondition.any_deps_in_progress()
    & ~AutomationCondition.in_progress()
    & BLOCKING_CHECKS_PASSED
).with_label("its inputs were updated, and their blocking checks passed")

EVERY_MORNING = (
    AutomationCondition.on_cron(REPORTS_CRON) & ~AutomationCondition.in_progress() & BLOCKING_CHECKS_PASSED
).with_label("every morning, once all its inputs were updated and their blocking checks passed")

LAYER_CONDITIONS: Mapping[str, Condition] = {
    "staging": AFTER_INPUTS,
    "snapshots": AFTER_INPUTS,
    "marts": AFTER_INPUTS,
    "reports": EVERY_MORNING,
    "site": AFTER_INPUTS,
}
"""By layer, for everything that is built from other assets."""


def after_any_of(assets: Sequence[dg.AssetKey]) -> Condition:
    """For an asset that reports on all others and is downstream of none: after one of `assets` was updated."""
    updated: Sequence[Condition] = [
        AutomationCondition.asset_matches(asset, AutomationCondition.newly_updated()) for asset in assets
    ]
    any_updated: Condition = reduce(or_, updated)
    return (any_updated.since_last_handled() & ~AutomationCondition.in_progress()).with_label(
        "the source was synced, or the models were built"
    )


def catch_up(leader: dg.AssetKey) -> Condition:
    """For the raw tables of a source, which are synced together: once when `leader` becomes late.

    All follow one table, since their freshness states change seconds apart and each would start a sync of its
    own. The lateness is remembered while a sync is running, and forgotten when that brings the table up to
    date.
    """
    late: Condition = AutomationCondition.asset_matches(leader, AutomationCondition.freshness_failed())
    return (late.newly_true().since_last_handled() & ~AutomationCondition.in_progress()).with_label(
        "the source is late, and no sync is running"
    )
