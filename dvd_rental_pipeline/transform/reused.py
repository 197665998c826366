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


def reused_models(plan: BuildPlan, manifest: Manifest, times: DataTimes) -> Iterator[dg.MaterializeResult[Any]]:
    """A materialization of each model that `plan` reuses, with its data version."""
    current = [*plan.reused, *plan.build]
    for unique_id, record in sorted(plan.reused.items()):
        version = plan.versions.get(unique_id)
        rows = record.row_count
        yield dg.MaterializeResult(
            asset_key=dg.AssetKey(manifest.models[unique_id].key),
            metadata={
                "unique_id": unique_id,
                **({} if rows is None else table_metadata(unique_id, rows, times, current)),
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
