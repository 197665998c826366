"""The dbt project as assets: one step that builds models and runs their tests, which are asset checks."""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
from dagster_dbt import DagsterDbtCliRuntimeError, DbtCliInvocation, DbtCliResource, DbtProject, dbt_assets

from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.run_tags import CAUSE, FORCED, PROCESS
from dvd_rental_pipeline.transform.build_plan import BuildPlan, WarehouseState, plan_build
from dvd_rental_pipeline.transform.build_records import BuildRecords
from dvd_rental_pipeline.transform.code_versions import NodeCode, read_node_codes
from dvd_rental_pipeline.transform.data_times import DataTimes, read_data_times
from dvd_rental_pipeline.transform.dbt_events import (
    DbtEvent,
    RunningBuild,
    check_result,
    error_message,
)
from dvd_rental_pipeline.transform.dbt_output import end
from dvd_rental_pipeline.transform.dbt_results import NodeResult
from dvd_rental_pipeline.transform.dbt_selection import write_selection
from dvd_rental_pipeline.transform.failing_rows import describe_failures, failed_tests
from dvd_rental_pipeline.transform.held_assets import describe_held, failed_checks_above
from dvd_rental_pipeline.transform.manifest import Manifest, read_manifest
from dvd_rental_pipeline.transform.parsing import is_stale
from dvd_rental_pipeline.transform.reused import ReusedModels, reused_checks
from dvd_rental_pipeline.transform.test_selection import runnable_tests
from dvd_rental_pipeline.transform.translator import ModelTranslator
from dvd_rental_pipeline.transform.warehouse_state import (
    VersionReader,
    build_records,
    described_records,
    read_warehouse_state,
)
from dvd_rental_pipeline.warehouse.resource import WarehouseResource

DBT_POOL = "dbt"
"""The pool of the dbt step: two at once might add the same version to a snapshot twice.

The instances under deploy/ limit it to one step. Locally the lock on the raw schemas does the same.
"""

RECORDED = {"success", "pass", "warn"}
"""Statuses of dbt's results whose nodes need no further build while nothing changes."""

FULL_REFRESH_MODELS = "DAGSTER_DBT_FULL_REFRESH_MODELS"
"""Environment variable with the ids of the models that dbt builds from scratch: see `should_full_refresh`."""


class DbtConfig(dg.Config):
    """How to build, chosen at launch.

    With `full_refresh`, incremental models are built from scratch. Without `reuse`, or with `full_refresh`,
    everything is built although nothing has changed.
    """

    full_refresh: bool = False
    reuse: bool = True


def build_dbt_assets(
    project: DbtProject,
    domains: Sequence[Domain],
    freshness_policies: Mapping[str, dg.FreshnessPolicy],
    automation_conditions: Mapping[str, dg.AutomationCondition[Any]],
    *,
    domain_freshness: Mapping[str, dg.FreshnessPolicy] | None = None,
    version_readers: Mapping[str, VersionReader] | None = None,
) -> dg.AssetsDefinition:
    """Every model of `project` as an asset keyed [schema, model], in one step.

    `domains` are the captured sources that the models read. Policies and conditions are by layer;
    `domain_freshness` has the policies of domains that are updated less often, `version_readers` read the data
    versions of the sources of domains that are not captured.
    """
    path = project.manifest_path
    manifest = read_manifest(path)
    codes = read_node_codes(manifest, project.project_dir)
    translator = ModelTranslator(
        manifest,
        freshness_policies,
        automation_conditions,
        domain_freshness or {},
        {unique_id: code.version for unique_id, code in codes.items()},
    )

    @dbt_assets(
        manifest=manifest.raw,
        project=project,
        dagster_dbt_translator=translator,
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
            readers = [reader for name, reader in (version_readers or {}).items() if name in read]
            records = build_records(manifest, warehouse)
            try:
                with warehouse.reading() as session:
                    times = read_data_times(manifest, captured, context.instance, session, context.log.warning)
                    state = read_warehouse_state(
                        manifest,
                        records,
                        session,
                        domains=captured,
                        readers=readers,
                        warn=context.log.warning,
                    )
            except PipelineError as error:
                raise dg.Failure(description=str(error), allow_retries=False) from None
            plan = _plan(manifest, codes, state, context, config=config, times=times)
            reused = ReusedModels(plan, manifest, times)
            yield from reused.after()
            yield from reused_checks(plan, context)
            if not plan.build and not plan.test:
                context.log.info("Nothing has changed: all models and tests are reused.")
                return
            _forget(records, plan, state)
            invocation = _start(dbt, project, manifest, plan, full_refresh=config.full_refresh)
            failed: list[dg.AssetCheckResult | dg.AssetCheckEvaluation] = []
            failure: dg.Failure | None = None
            build = RunningBuild(invocation, context, translator, project, times, plan)
            try:
                for event in build.stream_events():
                    if isinstance(event, dg.AssetCheckResult | dg.AssetCheckEvaluation) and not event.passed:
                        # Failing rows are sampled after dbt has ended: a DuckDB file has one process at a time.
                        failed.append(event)
                    else:
                        yield event
                    if isinstance(event, dg.Output):
                        yield from reused.after(str(event.metadata["unique_id"].value))
            except DagsterDbtCliRuntimeError as error:
                failure = dg.Failure(description=error_message(error), allow_retries=False)
            finally:
                end(invocation)
                # Each invocation leaves megabytes of artifacts, which nothing else would remove.
                shutil.rmtree(invocation.target_path, ignore_errors=True)
            # The manifest is read once per process, and dbt has read the files when it started.
            if is_stale(path, project.project_dir) or read_manifest(path) is not manifest:
                context.log.warning(
                    "A file of the dbt project was saved meanwhile: the next run builds the same models again."
                )
            else:
                _record(records, plan, manifest, results=build.results, context=context)
            details = describe_failures(failed_tests(build.results.values()), manifest, domains, warehouse)
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


def _plan(
    manifest: Manifest,
    codes: Mapping[str, NodeCode],
    state: WarehouseState,
    context: dg.AssetExecutionContext,
    *,
    config: DbtConfig,
    times: DataTimes,
) -> BuildPlan:
    """What to build of the selection of `context`. Checks alone are evaluated, as requested."""
    selected = context.selected_asset_keys
    models = [unique_id for unique_id, model in manifest.models.items() if dg.AssetKey(model.key) in selected]
    return plan_build(
        manifest,
        codes,
        state,
        models=models,
        tests=runnable_tests(manifest, context, models, times),
        run_id=context.run.run_id,
        reuse=config.reuse and not config.full_refresh and bool(models),
        full_refresh=config.full_refresh,
    )


def _start(
    dbt: DbtCliResource, project: DbtProject, manifest: Manifest, plan: BuildPlan, *, full_refresh: bool
) -> DbtCliInvocation:
    """Start dbt for `plan`."""
    target_path = Path(project.project_dir, project.target_path, uuid4().hex[:8])
    args = ["test"]
    if plan.build:
        os.environ[FULL_REFRESH_MODELS] = " ".join(sorted(plan.full_refresh))
        # Unit tests use given rows, not the data: the tests of this project run them.
        args = ["build", "--exclude-resource-type", "unit_test", *(["--full-refresh"] if full_refresh else [])]
    if plan.build != manifest.models.keys() or plan.test != manifest.tests.keys():
        args += write_selection(plan.build | plan.test, target_path / "selected")
    # dbt would write its manifest twice, whose content is known.
    args.append("--no-write-json")
    # With a context, dagster-dbt would select all that the run selects, and copy the project if that is long.
    return dbt.cli(args, manifest=manifest.raw, target_path=target_path)


def _forget(records: BuildRecords, plan: BuildPlan, state: WarehouseState) -> None:
    """Remove the records of what is about to be built.

    Raises:
        Failure: records remain that would be wrong after the build.
    """
    try:
        if not state.has_records:
            records.create()
        elif outdated := (plan.build | plan.test) & state.records.keys():
            records.remove(outdated, keep_lineage=plan.incremental & outdated)
    except PipelineError as error:
        raise dg.Failure(f"The records of builds cannot be written. {error}", allow_retries=False) from None


def _record(
    records: BuildRecords,
    plan: BuildPlan,
    manifest: Manifest,
    *,
    results: Mapping[str, NodeResult],
    context: dg.AssetExecutionContext,
) -> None:
    """Store the records of what dbt built, and of the tests that passed or warned."""
    done = {
        node: result.failures
        for node, result in results.items()
        if result.status in RECORDED and (result.status != "warn" or result.failures)
    }
    built = [
        replace(record, row_count=done[node]) if node in manifest.tests else record
        for node, record in plan.records.items()
        if node in done
    ]
    try:
        records.store(described_records(manifest, records.warehouse, built))
    except PipelineError as error:
        context.log.warning(f"The next run builds the same models again: {error}")
