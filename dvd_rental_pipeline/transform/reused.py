"""Events for what a run reuses: models and tests that are current, so that freshness and conditions hold."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from dvd_rental_pipeline.core.private_api.dagster import AssetCheckExecutionRecordStatus
from dvd_rental_pipeline.core.runbook import DBT_FAILED_ROWS
from dvd_rental_pipeline.transform.build_plan import BuildPlan
from dvd_rental_pipeline.transform.build_records import BuildRecord
from dvd_rental_pipeline.transform.data_times import DataTimes
from dvd_rental_pipeline.transform.dbt_events import table_metadata
from dvd_rental_pipeline.transform.manifest import Manifest
from dvd_rental_pipeline.transform.test_selection import tests_by_check

REUSED = "reused"
"""Metadata of a materialization or a check that was not built or evaluated again: since which run."""


class ReusedModels:
    """The materializations of the models that `plan` reuses, each after those of the models that it reads."""

    def __init__(self, plan: BuildPlan, manifest: Manifest, times: DataTimes) -> None:
        self._plan, self._manifest, self._times = plan, manifest, times
        self._waiting = dict(sorted(plan.reused.items()))
        # Dagster requires the events of a step in the order of the lineage.
        self._missing = {*plan.reused, *plan.build}

    def after(self, *materialized: str) -> Iterator[dg.MaterializeResult[Any]]:
        """The models that can be reported once `materialized` are, too."""
        self._missing -= set(materialized)
        while ready := [
            unique_id
            for unique_id in self._waiting
            if self._missing.isdisjoint(self._manifest.models[unique_id].parents)
        ]:
            for unique_id in ready:
                self._missing.remove(unique_id)
                yield self._materialize(unique_id, self._waiting.pop(unique_id))

    def _materialize(self, unique_id: str, record: BuildRecord) -> dg.MaterializeResult[Any]:
        version, rows = self._plan.versions.get(unique_id), record.row_count
        current = [*self._plan.reused, *self._plan.build]
        return dg.MaterializeResult(
            asset_key=dg.AssetKey(self._manifest.models[unique_id].key),
            metadata={
                "unique_id": unique_id,
                **({} if rows is None else table_metadata(unique_id, rows, self._times, current)),
                **_unchanged(record),
            },
            data_version=None if version is None else dg.DataVersion(version),
        )


def reused_checks(plan: BuildPlan, context: dg.AssetExecutionContext) -> Iterator[dg.AssetCheckResult]:
    """The result of each check whose test passed or warned on the same data.

    A warning has the details of its last evaluation, if it is the one that was recorded.
    """
    tests = tests_by_check(context)
    checks = {key: plan.evaluated[test] for key, test in sorted(tests.items()) if test in plan.evaluated}
    for key, record in checks.items():
        yield dg.AssetCheckResult(
            passed=not record.row_count,
            severity=dg.AssetCheckSeverity.WARN if record.row_count else dg.AssetCheckSeverity.ERROR,
            asset_key=key.asset_key,
            check_name=key.name,
            metadata={
                **(_warning(context.instance, key, record.row_count) if record.row_count else {}),
                "unique_id": record.node,
                **_unchanged(record),
            },
        )


def _warning(
    instance: dg.DagsterInstance, check: dg.AssetCheckKey, rows: int
) -> Mapping[str, dg.MetadataValue | int]:
    """The metadata of the last evaluation in which `check` did not pass, if `rows` failed in it."""
    failed = {AssetCheckExecutionRecordStatus.FAILED}
    for execution in instance.event_log_storage.get_asset_check_execution_history(check, 1, status=failed):
        event = execution.event.dagster_event if execution.event else None
        metadata = event.asset_check_evaluation_data.metadata if event else {}
        if DBT_FAILED_ROWS in metadata and metadata[DBT_FAILED_ROWS].value == rows:
            return metadata
    return {DBT_FAILED_ROWS: rows}


def _unchanged(record: BuildRecord) -> dict[str, str]:
    return {REUSED: f"unchanged since run {record.run_id.partition('-')[0]}"}
