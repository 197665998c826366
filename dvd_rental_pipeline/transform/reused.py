"""Events for what a run reuses: models and tests that are current, so that freshness and conditions hold."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

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
    """A passed result of each check whose test passed on the same data."""
    for key, unique_id in sorted(tests_by_check(context).items()):
        if (record := plan.passed.get(unique_id)) is not None:
            yield dg.AssetCheckResult(
                passed=True,
                asset_key=key.asset_key,
                check_name=key.name,
                metadata={"unique_id": unique_id, **_unchanged(record)},
            )


def _unchanged(record: BuildRecord) -> dict[str, str]:
    return {REUSED: f"unchanged since run {record.run_id.partition('-')[0]}"}
