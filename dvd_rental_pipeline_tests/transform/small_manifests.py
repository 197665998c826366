"""Manifests of a few nodes, with the fields that dbt always writes."""

from collections.abc import Mapping, Sequence
from typing import Any

from dvd_rental_pipeline.transform.manifest import Manifest


def source(key: str, columns: Sequence[str] = ()) -> dict[str, Any]:
    """The source table `key`, schema.table."""
    schema, name = key.split(".")
    return {
        "unique_id": f"source.small.{key}",
        "resource_type": "source",
        "source_name": schema,
        "name": name,
        "description": "",
        "columns": _columns(columns),
        "relation_name": f'"db"."{schema}"."{name}"',
    }


def model(
    key: str,
    parents: Sequence[str],
    *,
    materialized: str = "table",
    columns: Sequence[str] = (),
    private: Sequence[str] = (),
    meta: Mapping[str, Any] | None = None,
    sql: str | None = None,
    macros: Sequence[str] = (),
) -> dict[str, Any]:
    """The model `key`, schema.name, that reads `parents` (unique ids) and calls `macros` (unique ids).

    The columns `private` are marked in their meta.
    """
    schema, name = key.split(".")
    return {
        "unique_id": f"model.small.{name}",
        "resource_type": "model",
        "name": name,
        "schema": f"branch_{schema}",
        "config": {"schema": schema, "materialized": materialized, "meta": dict(meta or {})},
        "description": "",
        "columns": _columns(columns, private),
        "relation_name": f'"db"."{schema}"."{name}"',
        "depends_on": {"nodes": list(parents), "macros": list(macros)},
        "compiled_code": sql,
    }


def data_test(
    name: str, parents: Sequence[str], *, kind: str = "", arguments: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The test `name` of `parents` (unique ids): of the generic `kind`, or singular."""
    return {
        "unique_id": f"test.small.{name}",
        "resource_type": "test",
        "name": name,
        "fqn": ["small", name],
        "description": "",
        "config": {"meta": {}},
        "depends_on": {"nodes": list(parents)},
        "attached_node": None,
        "test_metadata": {"name": kind, "kwargs": dict(arguments or {})} if kind else None,
    }


def macro(name: str, sql: str, macros: Sequence[str] = ()) -> dict[str, Any]:
    """The macro `name`, which calls `macros` (unique ids)."""
    return {
        "unique_id": f"macro.small.{name}",
        "resource_type": "macro",
        "name": name,
        "macro_sql": sql,
        "depends_on": {"macros": list(macros)},
    }


def unit_test(name: str, model: str, expected: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The unit test `name` of the model with the name `model`."""
    return {
        "unique_id": f"unit_test.small.{name}",
        "resource_type": "unit_test",
        "name": name,
        "model": model,
        "description": "",
        "given": [],
        "expect": {"rows": list(expected)},
        "depends_on": {"nodes": [f"model.small.{model}"], "macros": []},
    }


def manifest_of(*nodes: Mapping[str, Any]) -> Manifest:
    """The manifest of `nodes`."""
    kinds: dict[str, dict[str, Mapping[str, Any]]] = {"source": {}, "macro": {}, "unit_test": {}}
    others: dict[str, Mapping[str, Any]] = {}
    for node in nodes:
        kinds.get(node["resource_type"], others)[node["unique_id"]] = node
    return Manifest(
        {
            "metadata": {"adapter_type": "duckdb"},
            "sources": kinds["source"],
            "nodes": others,
            "macros": kinds["macro"],
            "exposures": {},
            "unit_tests": kinds["unit_test"],
        }
    )


def _columns(names: Sequence[str], private: Sequence[str] = ()) -> dict[str, Any]:
    return {
        name: {"name": name, "description": "", "config": {"meta": {"pii": True} if name in private else {}}}
        for name in names
    }
