"""The dbt project as assets: one step that builds models and runs their tests, which become asset checks."""

import json
import re
import shutil
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

import dagster as dg
from dagster_dbt import (
    DagsterDbtCliRuntimeError,
    DagsterDbtTranslator,
    DagsterDbtTranslatorSettings,
    DbtCliInvocation,
    DbtCliResource,
    DbtProject,
    dbt_assets,
)
from dagster_dbt.asset_utils import (
    DAGSTER_DBT_UNIQUE_ID_METADATA_KEY,
    get_manifest_and_translator_from_dbt_assets,
)

from dvd_rental_pipeline.automation.conditions import LAYER_CONDITIONS
from dvd_rental_pipeline.automation.freshness import LAYER_FRESHNESS
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.runbook import RUNBOOK
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.transform.data_times import DATA_AS_OF, data_times, newest_commit, noted_data_times
from dvd_rental_pipeline.transform.dbt_output import end, messages
from dvd_rental_pipeline.transform.failing_rows import describe_failures, failed_tests
from dvd_rental_pipeline.transform.test_descriptions import describe_test, runbook_section
from dvd_rental_pipeline.warehouse.resource import Warehouse

DBT_POOL = "dbt"
"""Of this pool one step runs at a time: two at once might add the same version to a history twice.

The instances under deploy/ limit it. Local ones need not: who writes to the DuckDB file holds its lock.
"""

DbtEvent: TypeAlias = (
    dg.Output[Any]
    | dg.AssetMaterialization
    | dg.AssetCheckResult
    | dg.AssetObservation
    | dg.AssetCheckEvaluation
)


# As of when tables speak (the first, by dbt's id) once others (the second) are built.
DataTimes: TypeAlias = Callable[[Collection[str], Collection[str]], Mapping[str, datetime]]

# What the macro `log_row_count` logs.
ROWS_TOLD = re.compile(r"rows in \S+: (?P<rows>\d+)$")


class DbtConfig(dg.Config):
    """How to build, chosen at launch."""

    full_refresh: bool = False


class ModelTranslator(DagsterDbtTranslator):
    """Adds to dagster-dbt's own translation the tags by which people search, and what makes a model run."""

    def __init__(self) -> None:
        super().__init__(DagsterDbtTranslatorSettings(enable_code_references=True))

    def get_asset_spec(
        self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None
    ) -> dg.AssetSpec:
        with warnings.catch_warnings():
            # One for each model: that references to code are in beta.
            warnings.simplefilter("ignore", dg.BetaWarning)
            spec = super().get_asset_spec(manifest, unique_id, project)
        layer = spec.key.path[0]
        spec = spec.merge_attributes(tags={"layer": layer, "domain": "dvd_rental"})
        if unique_id.startswith("source."):
            return spec
        return spec.replace_attributes(
            # dagster-dbt adds the SQL, a page of it, which the reference to the code shows better.
            description=manifest["nodes"][unique_id]["description"].strip(),
            freshness_policy=LAYER_FRESHNESS[layer],
            automation_condition=LAYER_CONDITIONS[layer],
        )

    def get_asset_check_spec(
        self, asset_spec: dg.AssetSpec, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None
    ) -> dg.AssetCheckSpec | None:
        spec = super().get_asset_check_spec(asset_spec, manifest, unique_id, project)
        if spec is None:
            return None
        test = manifest["nodes"][unique_id]
        return spec._replace(
            description=describe_test(test),
            metadata={**spec.metadata, RUNBOOK: runbook_section(test).reference},
        )


def build_dbt_assets(project: DbtProject) -> dg.AssetsDefinition:
    """Every model of `project` as an asset keyed [schema, model], in one step."""

    @dbt_assets(
        manifest=project.manifest_path,
        project=project,
        dagster_dbt_translator=ModelTranslator(),
        name="dbt_models",
        pool=DBT_POOL,
    )
    def models(
        context: dg.AssetExecutionContext, config: DbtConfig, dbt: DbtCliResource, warehouse: Warehouse
    ) -> Iterator[DbtEvent]:
        with warehouse.writing(context.log.info):
            times = _data_times(context, warehouse)
            invocation = _start(dbt, project, context, times, full_refresh=config.full_refresh)
            failed: list[dg.AssetCheckResult | dg.AssetCheckEvaluation] = []
            failure: dg.Failure | None = None
            try:
                for event in _events(invocation, times):
                    if isinstance(event, dg.AssetCheckResult | dg.AssetCheckEvaluation) and not event.passed:
                        # Nobody else can read a DuckDB file while dbt writes to it: rows are sampled later.
                        failed.append(event)
                    else:
                        yield event
            except DagsterDbtCliRuntimeError as error:
                failure = dg.Failure(description=_in_the_words_of_dbt(error), allow_retries=False)
            finally:
                end(invocation)
                run_results = _run_results(invocation)
                # Each invocation leaves a folder of artifacts, megabytes that nobody would ever remove.
                shutil.rmtree(invocation.target_path, ignore_errors=True)
            described = describe_failures(failed_tests(run_results), invocation.manifest, DVD_RENTAL, warehouse)
        for event in failed:
            yield _check_result(event, described.get(str(event.metadata["unique_id"].value), {}))
        if failure is not None:
            raise failure

    return models


def _start(
    dbt: DbtCliResource,
    project: DbtProject,
    context: dg.AssetExecutionContext,
    times: DataTimes,
    *,
    full_refresh: bool,
) -> DbtCliInvocation:
    """Start dbt for what is selected: models with their tests, or tests alone."""
    if not context.selected_asset_keys:
        # With the context, dagster-dbt would copy the project for a selection this long.
        tests = _test_names(project, context.selected_asset_check_keys)
        return dbt.cli(["test", "--select", " ".join(tests)], manifest=project.manifest_path)
    args = _build(full_refresh=full_refresh)
    if context.is_subset:
        args += _select(_tests_that_read_further(context, times))
    return dbt.cli(args, context=context)


def _build(*, full_refresh: bool) -> list[str]:
    # Unit tests test the models' logic on made-up rows: the tests of the project run them.
    args = ["build", "--exclude-resource-type", "unit_test"]
    return [*args, "--full-refresh"] if full_refresh else args


def _test_names(project: DbtProject, checks: Collection[dg.AssetCheckKey]) -> list[str]:
    """dbt's full name of the test behind each of `checks`."""
    manifest = json.loads(project.manifest_path.read_text(encoding="utf-8"))
    names = {key.name for key in checks}
    return [
        ".".join(node["fqn"])
        for node in manifest["nodes"].values()
        if node["resource_type"] == "test" and node["name"] in names
    ]


def _events(invocation: DbtCliInvocation, times: DataTimes) -> Iterator[DbtEvent]:
    """What Dagster has to know, as soon as dbt tells it; of tables also their rows and their time."""
    rows: dict[str, int] = {}
    built: list[str] = []
    for message in messages(invocation):
        if told := ROWS_TOLD.match(str(message)):
            rows[message.raw_event["data"]["node_info"]["unique_id"]] = int(told["rows"])
        for event in message.to_default_asset_events(
            manifest=invocation.manifest,
            dagster_dbt_translator=invocation.dagster_dbt_translator,
            context=invocation.context,
            target_path=invocation.target_path,
            project=invocation.project,
        ):
            unique_id = str(event.metadata["unique_id"].value)
            if isinstance(event, dg.Output) and unique_id in rows:
                built.append(unique_id)
                metadata: dict[str, Any] = {**event.metadata, "dagster/row_count": rows[unique_id]}
                as_of = times([unique_id], built).get(unique_id)
                if as_of is not None:
                    metadata[DATA_AS_OF] = dg.MetadataValue.timestamp(as_of)
                yield event.with_metadata(metadata)
            elif isinstance(event, dg.AssetCheckEvaluation):
                yield _check_result(event, {})
            else:
                yield event


def _run_results(invocation: DbtCliInvocation) -> Mapping[str, Any]:
    """dbt's artifact of that name; without results if dbt was ended before it had written it."""
    try:
        return invocation.get_artifact("run_results.json")
    except (FileNotFoundError, json.JSONDecodeError):
        return {"results": []}


def _check_result(
    event: dg.AssetCheckResult | dg.AssetCheckEvaluation, described: Mapping[str, dg.MetadataValue]
) -> dg.AssetCheckResult:
    """The outcome of a test, with what was found `described`. Without a context dbt gives evaluations."""
    return dg.AssetCheckResult(
        passed=event.passed,
        asset_key=event.asset_key,
        check_name=event.check_name,
        metadata={**(event.metadata or {}), **described},
        severity=event.severity,
    )


def _tests_that_read_further(context: dg.AssetExecutionContext, times: DataTimes) -> Sequence[str]:
    """The full names of selected tests that read, beside what is selected, what an earlier run has built.

    Of a selection dbt runs only the tests that read nothing else (see DBT_INDIRECT_SELECTION): its default, to
    run all of them, fails on models that do not exist yet. Nor can what is built now be compared with what was
    built before the last sync. A check that is left out does not pass, and so holds whatever is built after it.
    """
    selected = [
        str(spec.metadata[DAGSTER_DBT_UNIQUE_ID_METADATA_KEY])
        for spec in context.assets_def.specs
        if spec.key in context.selected_asset_keys
    ]
    manifest, translator, project = get_manifest_and_translator_from_dbt_assets([context.assets_def])
    names = []
    for key in context.selected_asset_check_keys:
        metadata = context.assets_def.get_spec_for_check_key(key).metadata or {}
        test = manifest["nodes"][metadata[DAGSTER_DBT_UNIQUE_ID_METADATA_KEY]]
        read = {translator.get_asset_spec(manifest, one, project).key for one in test["depends_on"]["nodes"]}
        further = read - context.selected_asset_keys
        if further != read and further:
            records = context.instance.get_asset_records(sorted(further))
            built = {one.asset_entry.asset_key for one in records if one.asset_entry.last_materialization}
            if built != further:
                context.log.info(f"check {key.name} is left out: it also reads models that do not exist yet")
            elif len(set(times(test["depends_on"]["nodes"], selected).values())) > 1:
                context.log.info(f"check {key.name} is left out: it also reads models of before the last sync")
            else:
                names.append(".".join(test["fqn"]))
    return names


def _select(names: Sequence[str]) -> Sequence[str]:
    return ["--select", " ".join(names)] if names else []


def _data_times(context: dg.AssetExecutionContext, warehouse: Warehouse) -> DataTimes:
    """What tells as of when tables speak. To be asked for before dbt begins."""
    try:
        newest = newest_commit(warehouse, DVD_RENTAL)
    except PipelineError as error:
        context.log.warning(f"How new the data of the tables are will not be known. {error}")
        newest = None
    if newest is None:
        return lambda asked, built: {}
    manifest, _, _ = get_manifest_and_translator_from_dbt_assets([context.assets_def])
    keys = {
        str(spec.metadata[DAGSTER_DBT_UNIQUE_ID_METADATA_KEY]): spec.key for spec in context.assets_def.specs
    }
    noted = noted_data_times(context.instance, list(keys.values()))
    return lambda asked, built: data_times(
        asked, built, manifest["nodes"], newest, lambda other: noted.get(keys[other])
    )


def _in_the_words_of_dbt(error: DagsterDbtCliRuntimeError) -> str:
    """What dbt said, without the command line that dagster-dbt puts before it."""
    _, marker, told = str(error).partition("Errors parsed from dbt logs:")
    return f"dbt could not build everything.\n{told.strip()}" if marker else str(error)
