"""A subset of the real graph, with its own conditions and checks, built by steps that do nothing."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from dvd_rental_pipeline.automation.schedules import build_sync_job, build_sync_schedule
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.pipelines.dvd_rental.pipeline import DVD_RENTAL_PIPELINE

MODELS = {"staging", "snapshots", "marts", "reports"}


def graph_subset_of(
    definitions: dg.Definitions,
    keys: Sequence[dg.AssetKey],
    *,
    raw: dg.AssetsDefinition | None = None,
    raw_checks: dg.AssetChecksDefinition | None = None,
    sensors: Sequence[dg.SensorDefinition] = (),
    resources: Mapping[str, Any] | None = None,
    most_checks: int = 2,
) -> dg.Definitions:
    """The assets `keys` of `definitions`, with the steps, the job and the schedule of the whole.

    `raw` and `raw_checks` replace the steps of the raw tables, which otherwise do nothing either. An
    asset has its first `most_checks` checks that block and as many that do not: each costs time in each run.
    """
    specs, checks = _specs_by_step(definitions, keys), _checks_of(definitions, keys, most_checks, most_checks)
    raw_specs = [check for check in checks if check.asset_key.path[0] == DVD_RENTAL.name]
    return dg.Definitions(
        assets=[
            raw if raw is not None and name == DVD_RENTAL.name else _step(name, parts, checks)
            for name, parts in specs.items()
        ],
        asset_checks=[raw_checks or _source_checks(raw_specs)],
        jobs=[build_sync_job(DVD_RENTAL)],
        schedules=[build_sync_schedule(DVD_RENTAL, DVD_RENTAL_PIPELINE.sync_cron)],
        sensors=sensors,
        resources=resources,
        executor=dg.in_process_executor,
    )


def build_idle_steps(
    definitions: dg.Definitions, keys: Collection[dg.AssetKey], inputs: Collection[dg.AssetKey]
) -> Sequence[dg.AssetsDefinition]:
    """Steps that do nothing, for the assets `keys` of `definitions`; they depend on each other and on `inputs`.

    A model has only one blocking check.
    """
    checks = _checks_of(definitions, keys, most_blocking=1, most_others=0)
    specs = _specs_by_step(definitions, keys, inputs)
    return [_step(name, parts, checks) for name, parts in specs.items()]


def _specs_by_step(
    definitions: dg.Definitions, keys: Collection[dg.AssetKey], inputs: Collection[dg.AssetKey] = ()
) -> Mapping[str, Sequence[dg.AssetSpec]]:
    specs: defaultdict[str, list[dg.AssetSpec]] = defaultdict(list)
    for key in [key for key in definitions.resolve_asset_graph().toposorted_asset_keys if key in keys]:
        spec = definitions.resolve_assets_def(key).get_asset_spec(key)
        deps = [dep for dep in spec.deps if dep.asset_key in keys or dep.asset_key in inputs]
        step = "models" if key.path[0] in MODELS else key.path[0]
        specs[step].append(spec.replace_attributes(deps=deps, metadata={}))
    return specs


def _checks_of(
    definitions: dg.Definitions, keys: Collection[dg.AssetKey], most_blocking: int, most_others: int
) -> Sequence[dg.AssetCheckSpec]:
    graph = definitions.resolve_asset_graph()
    kept = []
    for key in keys:
        checks = sorted(graph.get_check_keys_for_assets({key}))
        kept += [check for check in checks if graph.get(check).blocking][:most_blocking]
        kept += [check for check in checks if not graph.get(check).blocking][:most_others]
    return [
        dg.AssetCheckSpec(check.name, asset=check.asset_key, blocking=graph.get(check).blocking)
        for check in kept
    ]


def _step(name: str, specs: Sequence[dg.AssetSpec], checks: Sequence[dg.AssetCheckSpec]) -> dg.AssetsDefinition:
    own = {spec.key for spec in specs if name == "models"}
    checks = [check for check in checks if check.asset_key in own]

    @dg.multi_asset(name=name, specs=specs, check_specs=checks, can_subset=True)
    def step(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        for spec in specs:
            if spec.key in context.selected_asset_keys:
                yield dg.MaterializeResult(asset_key=spec.key)
        for check in checks:
            if check.key in context.selected_asset_check_keys:
                yield dg.AssetCheckResult(asset_key=check.asset_key, check_name=check.name, passed=True)

    return step


def _source_checks(checks: Sequence[dg.AssetCheckSpec]) -> dg.AssetChecksDefinition:
    @dg.multi_asset_check(name="source_checks", specs=checks, can_subset=True)
    def source_checks(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        for key in context.selected_asset_check_keys:
            yield dg.AssetCheckResult(asset_key=key.asset_key, check_name=key.name, passed=True)

    return source_checks
