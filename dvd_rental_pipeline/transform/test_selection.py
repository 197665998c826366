"""Which of the selected tests a run can evaluate."""

from collections.abc import Collection, Mapping

import dagster as dg

from dvd_rental_pipeline.core.private_api.dbt import DAGSTER_DBT_UNIQUE_ID_METADATA_KEY
from dvd_rental_pipeline.transform.data_times import DataTimes
from dvd_rental_pipeline.transform.manifest import Manifest


def tests_by_check(context: dg.AssetExecutionContext) -> Mapping[dg.AssetCheckKey, str]:
    """The unique id of the test behind each check that `context` selects."""
    return {
        key: str(
            (context.assets_def.get_spec_for_check_key(key).metadata or {})[DAGSTER_DBT_UNIQUE_ID_METADATA_KEY]
        )
        for key in context.selected_asset_check_keys
    }


def runnable_tests(
    manifest: Manifest, context: dg.AssetExecutionContext, models: Collection[str], times: DataTimes
) -> Collection[str]:
    """The unique ids of the selected tests that can be evaluated while `models` are built.

    A test that also reads models outside of the selection needs them to exist. It would fail as well where it
    compares models that are built now with models from before the last sync. A check that is left out has not
    passed, so that it blocks whatever is built after it.
    """
    tests = tests_by_check(context)
    if not models:
        return set(tests.values())
    inputs = {
        key: {dg.AssetKey(manifest.table(parent).key) for parent in manifest.tests[test].parents}
        for key, test in tests.items()
    }
    outside = set[dg.AssetKey]().union(*inputs.values()) - context.selected_asset_keys
    records = context.instance.get_asset_records(sorted(outside)) if outside else []
    built = {record.asset_entry.asset_key for record in records if record.asset_entry.last_materialization}
    runnable: set[str] = set()
    for key, test in tests.items():
        missing = inputs[key] - context.selected_asset_keys
        if not missing:
            runnable.add(test)
        elif not missing <= built:
            context.log.info(f"check {key.name} is skipped: it also reads models that do not exist yet")
        elif len(set(times.of(manifest.tests[test].parents, models).values())) > 1:
            context.log.info(f"check {key.name} is skipped: it also reads models from before the last sync")
        else:
            runnable.add(test)
    return runnable
