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
) -> dict[str, Any]:
    """The model `key`, schema.name, that reads `parents` (unique ids); `private` are marked in their meta."""
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
        "depends_on": {"nodes": list(parents)},
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


def manifest_of(*nodes: Mapping[str, Any]) -> Manifest:
    """The manifest of `nodes`."""
    sources = {node["unique_id"]: node for node in nodes if node["resource_type"] == "source"}
    return Manifest(
        {
            "metadata": {"adapter_type": "duckdb"},
            "sources": sources,
            "nodes": {node["unique_id"]: node for node in nodes if node["unique_id"] not in sources},
            "exposures": {},
            "unit_tests": {},
        }
    )


def _columns(names: Sequence[str], private: Sequence[str] = ()) -> dict[str, Any]:
    return {
        name: {"name": name, "description": "", "config": {"meta": {"pii": True} if name in private else {}}}
        for name in names
    }
