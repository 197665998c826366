"""Which models a change of the dbt project's files affects, by two manifests."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from dvd_rental_pipeline.transform.manifest import Manifest

# They differ between two readings of the same files.
_VOLATILE = ("created_at", "compiled", "compiled_code", "compiled_path", "extra_ctes", "build_path")


def changed_models(before: Manifest, after: Manifest) -> list[tuple[str, str]]:
    """Schema and name of each model of `after` that is new or differs, itself or in a macro or test of it."""
    old, new = _signatures(before), _signatures(after)
    return sorted(
        model.key for unique_id, model in after.models.items() if new[unique_id] != old.get(unique_id)
    )


def models_below(manifest: Manifest, keys: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """`keys` and the keys of all models that read them, directly or through others."""
    found = {unique_id for unique_id, model in manifest.models.items() if model.key in keys}
    while more := {
        unique_id
        for unique_id, model in manifest.models.items()
        if unique_id not in found and found.intersection(model.parents)
    }:
        found |= more
    return sorted(manifest.models[unique_id].key for unique_id in found)


def _signatures(manifest: Manifest) -> Mapping[str, str]:
    """What decides how each model is built and tested, as text, by unique id."""
    parts: dict[str, list[str]] = {unique_id: [] for unique_id in manifest.models}
    for unique_id, test in manifest.tests.items():
        if test.tested in parts:
            parts[test.tested] += _node_signature(manifest.raw, manifest.raw["nodes"][unique_id])
    model_ids = {model.name: unique_id for unique_id, model in manifest.models.items()}
    for unit_test in manifest.raw["unit_tests"].values():
        parts[model_ids[unit_test["model"]]] += _node_signature(manifest.raw, unit_test)
    return {
        unique_id: "\n".join([*_node_signature(manifest.raw, manifest.raw["nodes"][unique_id]), *sorted(tests)])
        for unique_id, tests in parts.items()
    }


def _node_signature(raw: Mapping[str, Any], node: Mapping[str, Any]) -> list[str]:
    own = {name: value for name, value in node.items() if name not in _VOLATILE}
    return [json.dumps(own, sort_keys=True, default=str), *sorted(_macro_texts(raw["macros"], node, set()))]


def _macro_texts(macros: Mapping[str, Any], node: Mapping[str, Any], seen: set[str]) -> Iterator[str]:
    """The SQL of the macros that `node` calls, directly or through others."""
    for unique_id in node["depends_on"].get("macros") or ():
        if unique_id not in seen and unique_id in macros:
            seen.add(unique_id)
            yield macros[unique_id]["macro_sql"]
            yield from _macro_texts(macros, macros[unique_id], seen)
