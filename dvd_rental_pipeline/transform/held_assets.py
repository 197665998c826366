"""Assets that a failed blocking check holds: what is built from a table whose check failed in an earlier run.

Dagster holds what a check blocks within one run, and automation conditions hold it across runs. A run that a
person starts is held here.
"""

from collections.abc import Sequence, Set
from typing import Any

import dagster as dg

from dvd_rental_pipeline.core.private_api.dagster import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
    BaseAssetGraph,
)


def failed_checks_above(
    graph: BaseAssetGraph[Any], instance: dg.DagsterInstance, selected: Set[dg.AssetKey]
) -> Sequence[dg.AssetCheckKey]:
    """The blocking checks that failed on what `selected` is built from, at any distance, sorted.

    Without those of `selected`: the run evaluates them again.
    """
    above: set[dg.AssetKey] = set()
    level: Set[dg.AssetKey] = selected
    while level := {parent for key in level for parent in graph.get(key).parent_keys} - above:
        above |= level
    checks = {check for key in above - selected for check in graph.get(key).check_keys}
    blocking = sorted(check for check in checks if graph.get(check).blocking)
    if not blocking:
        return []
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key(blocking)
    return [check for check in blocking if check in records and _has_failed(records[check])]


def describe_held(failed: Sequence[dg.AssetCheckKey]) -> str:
    """Why nothing is built while the checks `failed`, and what releases it."""
    names = ", ".join(f"{check.asset_key.to_user_string()}:{check.name}" for check in failed[:3])
    if len(failed) > 3:
        names += f" and {len(failed) - 3} more"
    tables = " or ".join(dict.fromkeys(f'key:"{check.asset_key.to_user_string()}"' for check in failed))
    return (
        "Nothing was built, because the numbers would be wrong: a blocking check failed on what the selected "
        f"assets are built from: {names}. docs/runbook.md says how to fix it. Then evaluate it again: "
        f"`dvd-rental checks run --select '{tables}'`. Once it passes, the assets can be built."
    )


def _has_failed(record: AssetCheckExecutionRecord) -> bool:
    event = record.event.dagster_event if record.event else None
    return (
        record.status is AssetCheckExecutionRecordStatus.FAILED
        and event is not None
        and event.asset_check_evaluation_data.severity is dg.AssetCheckSeverity.ERROR
    )
