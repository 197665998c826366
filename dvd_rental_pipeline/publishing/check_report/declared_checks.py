"""The checks that a graph declares, with what the report shows of their assets."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import dagster as dg

from dvd_rental_pipeline.core.groups import table_group
from dvd_rental_pipeline.core.runbook import RUNBOOK, RUNBOOK_FILE

DBT_TEST = "dagster_dbt/unique_id"
RUNBOOK_REFERENCE = re.compile(rf"{re.escape(RUNBOOK_FILE)}#([a-z0-9-]+)")
RUNBOOK_NOTE = re.compile(rf"\s*\(?(?:See )?{re.escape(RUNBOOK_FILE)}#[a-z0-9-]+\)?\.?")


@dataclass(frozen=True)
class DeclaredCheck:
    """A check and its asset. `runbook` is an anchor, `layer` the group of the asset."""

    key: dg.AssetCheckKey
    description: str
    blocking: bool
    layer: str
    owners: Sequence[str]
    runbook: str | None
    is_dbt_test: bool


def declared_checks(assets: Iterable[dg.AssetsDefinition]) -> Sequence[DeclaredCheck]:
    """Every check of `assets`, which may include the definitions that `@asset_check` returns."""
    definitions = list(assets)
    specs = {spec.key: spec for definition in definitions for spec in definition.specs}
    checks = {spec.key: spec for definition in definitions for spec in definition.check_specs}
    return [_declared_check(check, specs.get(check.asset_key)) for check in checks.values()]


def _declared_check(check: dg.AssetCheckSpec, asset: dg.AssetSpec | None) -> DeclaredCheck:
    description = check.description or ""
    anchor = RUNBOOK_REFERENCE.search(f"{check.metadata.get(RUNBOOK, '')} {description}")
    return DeclaredCheck(
        key=check.key,
        # Without the reference: the report has a link for it.
        description=RUNBOOK_NOTE.sub("", description).strip(),
        blocking=check.blocking,
        layer=table_group(asset.group_name, asset.tags.get("layer", ""))
        if asset and asset.group_name
        else "other",
        owners=[owner.removeprefix("team:") for owner in asset.owners] if asset else [],
        runbook=anchor.group(1) if anchor else None,
        is_dbt_test=DBT_TEST in check.metadata,
    )
