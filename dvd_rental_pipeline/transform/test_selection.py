"""Which tests dbt is asked to run beside those that it selects by itself."""

from collections.abc import Collection, Sequence

import dagster as dg

from dvd_rental_pipeline.core.private_api.dbt import DAGSTER_DBT_UNIQUE_ID_METADATA_KEY
from dvd_rental_pipeline.transform.data_times import DataTimes
from dvd_rental_pipeline.transform.manifest import Manifest


def selectors_of_checks(manifest: Manifest, checks: Collection[dg.AssetCheckKey]) -> Sequence[str]:
    """The selectors of the tests behind `checks`."""
    names = {key.name for key in checks}
    return [test.selector for test in manifest.tests.values() if test.name in names]


def selectors_of_wider_tests(
    manifest: Manifest, context: dg.AssetExecutionContext, times: DataTimes
) -> Sequence[str]:
    """The selectors of selected tests that also read models outside the selection.

    Of a selection, dbt runs only the tests that read nothing else (DBT_INDIRECT_SELECTION=cautious): its
    default, to run all of them, fails on models that do not exist yet. A comparison of models that are built
    now with models from before the last sync would fail as well. A check that is left out has not passed, so
    that it blocks whatever is built after it.
    """
    selected_models = [
        str(spec.metadata[DAGSTER_DBT_UNIQUE_ID_METADATA_KEY])
        for spec in context.assets_def.specs
        if spec.key in context.selected_asset_keys
    ]
    selectors = []
    for key in context.selected_asset_check_keys:
        metadata = context.assets_def.get_spec_for_check_key(key).metadata or {}
        test = manifest.tests[str(metadata[DAGSTER_DBT_UNIQUE_ID_METADATA_KEY])]
        inputs = {dg.AssetKey(manifest.table(parent).key) for parent in test.parents}
        outside = inputs - context.selected_asset_keys
        if not outside or outside == inputs:
            continue
        records = context.instance.get_asset_records(sorted(outside))
        built = {record.asset_entry.asset_key for record in records if record.asset_entry.last_materialization}
        if built != outside:
            context.log.info(f"check {key.name} is skipped: it also reads models that do not exist yet")
        elif len(set(times.of(test.parents, selected_models).values())) > 1:
            context.log.info(f"check {key.name} is skipped: it also reads models from before the last sync")
        else:
            selectors.append(test.selector)
    return selectors
