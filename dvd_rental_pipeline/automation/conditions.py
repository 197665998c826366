"""What makes an asset run by itself, by layer. Each condition has a label that the UI shows.

Plain `eager` and `on_cron` build on top of data whose checks failed in an earlier run. Here a failed blocking
check holds everything downstream of it until the check has passed again.
"""

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import or_
from typing import TypeAlias

import dagster as dg
from dagster import AutomationCondition

from dvd_rental_pipeline.automation.freshness import REPORTS_CRON

Condition: TypeAlias = AutomationCondition[dg.AssetKey | dg.AssetCheckKey]


def _unless_a_check_failed() -> Condition:
    """Blocking checks passed: of what the asset reads, and of what stands behind it, three steps back.

    Staging models are views, some of them upon views: what is wrong in a raw table shows through them, although
    they were not built anew.
    """
    passed = AutomationCondition.all_deps_blocking_checks_passed()
    behind: Condition = AutomationCondition.all_deps_match(passed)
    further: Condition = AutomationCondition.all_deps_match(behind)
    return (passed & behind & further).with_label("blocking checks passed, two layers further up as well")


def _inputs_are_newer() -> Condition:
    """An input was updated after the asset, and since the asset was last asked for.

    What `eager` says, but for one case that it misses: the asset and after it an input were updated between two
    looks, as happens when a sync has waited for the models to be built.
    """
    newer = AutomationCondition.any_deps_match(AutomationCondition.newly_updated()).since(
        AutomationCondition.newly_updated()
    )
    # In the same run as its inputs, once that is started.
    soon = AutomationCondition.any_deps_match(AutomationCondition.will_be_requested())
    unasked = AutomationCondition.any_deps_updated().since(AutomationCondition.newly_requested())
    return ((newer | soon) & unasked).with_label("an input is newer")


AFTER_INPUTS = (
    _inputs_are_newer()
    & ~AutomationCondition.any_deps_missing()
    & ~AutomationCondition.any_deps_in_progress()
    & ~AutomationCondition.in_progress()
    & _unless_a_check_failed()
).with_label("its inputs were updated, and their blocking checks passed")

EVERY_MORNING = (
    AutomationCondition.on_cron(REPORTS_CRON) & ~AutomationCondition.in_progress() & _unless_a_check_failed()
).with_label("every morning, once all its inputs were updated and their blocking checks passed")

MODEL_CONDITIONS: Mapping[str, Condition] = {
    "staging": AFTER_INPUTS,
    "snapshots": AFTER_INPUTS,
    "marts": AFTER_INPUTS,
    "reports": EVERY_MORNING,
    "site": AFTER_INPUTS,
}
"""By layer, for all that is built from other assets."""


def after_any_of(leaders: Sequence[dg.AssetKey]) -> Condition:
    """For an asset that tells of all others and is downstream of none: once one of `leaders` was updated."""
    updated: Sequence[Condition] = [
        AutomationCondition.asset_matches(leader, AutomationCondition.newly_updated()) for leader in leaders
    ]
    any_updated: Condition = reduce(or_, updated)
    return (any_updated.since_last_handled() & ~AutomationCondition.in_progress()).with_label(
        "the source was synced, or the models were built"
    )


def catch_up(leader: dg.AssetKey) -> Condition:
    """For the tables of a source, which are synced together: once when `leader` gets late.

    All follow one table, since their states change seconds apart, and each would start a sync of its own. The
    lateness is remembered while a sync is running, and forgotten when that brings the table up to date.
    """
    late: Condition = AutomationCondition.asset_matches(leader, AutomationCondition.freshness_failed())
    return (late.newly_true().since_last_handled() & ~AutomationCondition.in_progress()).with_label(
        "the source is late, and no sync is running"
    )
