"""Which raw tables each model of the dbt project is built from, directly or through other models."""

from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg
from dagster_dbt import DbtProject

from dvd_rental_pipeline.transform.manifest import read_manifest


@dataclass(frozen=True)
class ModelInputs:
    """A model or snapshot and the asset keys of the raw tables behind it."""

    asset: dg.AssetKey
    is_view: bool
    sources: frozenset[dg.AssetKey]


def read_model_inputs(project: DbtProject) -> Sequence[ModelInputs]:
    """The inputs of every model and snapshot of `project`, sorted by asset."""
    manifest = read_manifest(project.manifest_path)
    inputs = [
        ModelInputs(
            asset=dg.AssetKey(model.key),
            is_view=model.is_view,
            sources=frozenset(dg.AssetKey(source.key) for source in manifest.sources_behind(unique_id)),
        )
        for unique_id, model in manifest.models.items()
    ]
    return sorted(inputs, key=lambda model: model.asset)
