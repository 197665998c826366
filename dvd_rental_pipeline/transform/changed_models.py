"""Which models a change of the dbt project's files affects."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TypeAlias

from dvd_rental_pipeline.transform.code_versions import read_node_codes
from dvd_rental_pipeline.transform.manifest import Manifest

ModelKey: TypeAlias = tuple[str, str]
"""Schema and name of a model."""
Signatures: TypeAlias = Mapping[ModelKey, Collection[str]]
"""The code versions of each model and of its tests."""


def read_signatures(manifest: Manifest, project_dir: Path) -> Signatures:
    """The signatures of all models of the project in `project_dir`, unit tests included."""
    codes = read_node_codes(manifest, project_dir)
    signatures = {unique_id: {codes[unique_id].version} for unique_id in manifest.models}
    for unique_id, test in manifest.tests.items():
        if test.tested in signatures:
            signatures[test.tested].add(codes[unique_id].version)
    model_ids = {model.name: unique_id for unique_id, model in manifest.models.items()}
    for unit_test in manifest.raw["unit_tests"].values():
        signatures[model_ids[unit_test["model"]]].add(unit_test["checksum"])
    return {manifest.models[unique_id].key: signature for unique_id, signature in signatures.items()}


def changed_models(before: Signatures, after: Signatures) -> list[ModelKey]:
    """The models of `after` that are new, or differ from `before` in their code or in that of a test."""
    return sorted(key for key, signature in after.items() if signature != before.get(key))


def models_below(manifest: Manifest, keys: Collection[ModelKey]) -> list[ModelKey]:
    """`keys` and the keys of all models that read them, directly or through others."""
    found = {unique_id for unique_id, model in manifest.models.items() if model.key in keys}
    while more := {
        unique_id
        for unique_id, model in manifest.models.items()
        if unique_id not in found and found.intersection(model.parents)
    }:
        found |= more
    return sorted(manifest.models[unique_id].key for unique_id in found)
