"""The dbt project as assets: one step that builds models and runs their tests, which are asset checks."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtCliRuntimeError, DbtCliInvocation, DbtCliResource, DbtProject, dbt_assets

from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.core.run_tags import CAUSE, FORCED, PROCESS
from dvd_rental_pipeline.transform.data_times import DataTimes, read_data_times
from dvd_rental_pipeline.transform.dbt_events import (
    DbtEvent,
    check_result,
    error_message,
    read_run_results,
    stream_events,
)
from dvd_rental_pipeline.transform.dbt_output import end
from dvd_rental_pipeline.transform.failing_rows import describe_failures, failed_tests
from dvd_rental_pipeline.transform.held_assets import describe_held, failed_checks_above
from dvd_rental_pipeline.transform.manifest import Manifest, read_manifest
from dvd_rental_pipeline.transform.test_selection import selectors_of_checks, selectors_of_wider_tests
from dvd_rental_pipeline.transform.translator import ModelTranslator
from dvd_rental_pipeline.warehouse.resource import WarehouseResource

DBT_POOL = "dbt"
"""The pool of the dbt step: two at once might add the same version to a snapshot twice.

The instances under deploy/ limit it to one step. Locally the lock on the raw schemas does the same.
"""


class DbtConfig(dg.Config):
    """How to build, chosen at launch."""

    full_refresh: bool = False


def build_dbt_assets(
    project: DbtProject,
    domains: Sequence[Domain],
    freshness_policies: Mapping[str, dg.FreshnessPolicy],
    automation_conditions: Mapping[str, dg.AutomationCondition[Any]],
    domain_freshness: Mapping[str, dg.FreshnessPolicy] | None = None,
) -> dg.AssetsDefinition:
    """Every model of `project` as an asset keyed [schema, model], in one step.

    `domains` are the sources that the models read. Policies and conditions are by layer; `domain_freshness` has
    the policies of domains that are updated less often.
    """
    manifest = read_manifest(project.manifest_path)

    @dbt_assets(
        manifest=manifest.raw,
        project=project,
        dagster_dbt_translator=ModelTranslator(
            manifest, freshness_policies, automation_conditions, domain_freshness or {}
        ),
        name="dbt_models",
        pool=DBT_POOL,
    )
    def models(
        context: dg.AssetExecutionContext, config: DbtConfig, dbt: DbtCliResource, warehouse: WarehouseResource
    ) -> Iterator[DbtEvent]:
        _require_sound_inputs(context)
        read = _domains_read(manifest, context)
        # Other domains are synced meanwhile.
        with warehouse.lock(sorted(read), context.log.info):
            captured = [domain for domain in domains if domain.name in read]
            times = read_data_times(manifest, captured, context.instance, warehouse, context.log.warning)
            invocation = _start(dbt, manifest, context, times, full_refresh=config.full_refresh)
            failed: list[dg.AssetCheckResult | dg.AssetCheckEvaluation] = []
            failure: dg.Failure | None = None
            try:
                for event in stream_events(invocation, times):
                    if isinstance(event, dg.AssetCheckResult | dg.AssetCheckEvaluation) and not event.passed:
                        # Failing rows are sampled after dbt has ended: a DuckDB file has one process at a time.
                        failed.append(event)
                    else:
                        yield event
            except DagsterDbtCliRuntimeError as error:
                failure = dg.Failure(description=error_message(error), allow_retries=False)
            finally:
                end(invocation)
                run_results = read_run_results(invocation)
                # Each invocation leaves megabytes of artifacts, which nothing else would remove.
                shutil.rmtree(invocation.target_path, ignore_errors=True)
            details = describe_failures(failed_tests(run_results), manifest, domains, warehouse)
        for event in failed:
            yield check_result(event, details.get(str(event.metadata["unique_id"].value), {}))
        if failure is not None:
            raise failure

    return models


def _require_sound_inputs(context: dg.AssetExecutionContext) -> None:
    """Fail a run of the UI that would build from a table whose blocking check failed.

    Automation has decided already, table by table, and the command line before it started the run. A run
    without a code location was started by a program.
    """
    if {CAUSE, FORCED, PROCESS} & set(context.run.tags) or context.run.remote_job_origin is None:
        return
    built = context.job_def.asset_layer.executable_asset_keys
    failed = failed_checks_above(context.repository_def.asset_graph, context.instance, set(built))
    if failed:
        raise dg.Failure(
            f"{describe_held(failed)} A run with the tag `{FORCED}` builds in spite of it.", allow_retries=False
        )


def _domains_read(manifest: Manifest, context: dg.AssetExecutionContext) -> frozenset[str]:
    """Names of the domains behind the models and the tests that `context` selects."""
    checked = {key.asset_key for key in context.selected_asset_check_keys}
    selected = context.selected_asset_keys | checked
    return manifest.domains_of(
        *(unique_id for unique_id, model in manifest.models.items() if dg.AssetKey(model.key) in selected)
    )


def _start(
    dbt: DbtCliResource,
    manifest: Manifest,
    context: dg.AssetExecutionContext,
    times: DataTimes,
    *,
    full_refresh: bool,
) -> DbtCliInvocation:
    """Start dbt for the selection of `context`: models with their tests, or tests alone."""
    if not context.selected_asset_keys:
        # With the context, dagster-dbt would copy the project for a selection this long.
        selectors = selectors_of_checks(manifest, context.selected_asset_check_keys)
        return dbt.cli(["test", "--select", " ".join(selectors)], manifest=manifest.raw)
    # Unit tests use given rows, not the data: the tests of this project run them.
    args = ["build", "--exclude-resource-type", "unit_test"]
    if full_refresh:
        args.append("--full-refresh")
    if context.is_subset and (selectors := selectors_of_wider_tests(manifest, context, times)):
        args += ["--select", " ".join(selectors)]
    return dbt.cli(args, context=context)
