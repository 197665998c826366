"""Which raw tables each model of the dbt project is built from, directly or through other models."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
from dagster_dbt import DbtProject

from dvd_rental_pipeline.transform.assets import ModelTranslator


@dataclass(frozen=True)
class ModelInputs:
    """A model or snapshot and the asset keys of the raw tables behind it."""

    asset: dg.AssetKey
    is_view: bool
    sources: frozenset[dg.AssetKey]


def read_model_inputs(project: DbtProject) -> Sequence[ModelInputs]:
    """The inputs of every model and snapshot of `project`, sorted by asset."""
    manifest = json.loads(project.manifest_path.read_text(encoding="utf-8"))
    translator = ModelTranslator()
    behind: dict[str, frozenset[str]] = {}

    def sources_behind(unique_id: str) -> frozenset[str]:
        if unique_id not in manifest["nodes"]:
            return frozenset([unique_id])
        if unique_id not in behind:
            parents = manifest["nodes"][unique_id]["depends_on"]["nodes"]
            behind[unique_id] = frozenset().union(*map(sources_behind, parents))
        return behind[unique_id]

    inputs = [
        ModelInputs(
            asset=translator.get_asset_spec(manifest, unique_id, project).key,
            is_view=node["config"]["materialized"] == "view",
            sources=frozenset(_raw_key(manifest["sources"][source]) for source in sources_behind(unique_id)),
        )
        for unique_id, node in manifest["nodes"].items()
        if node["resource_type"] in {"model", "snapshot"}
    ]
    return sorted(inputs, key=lambda model: model.asset)


def _raw_key(source: Mapping[str, Any]) -> dg.AssetKey:
    return dg.AssetKey([source["source_name"], source["name"]])
