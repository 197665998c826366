"""A JSON Schema of records as a table: one line per property, with its rules as the schema states them."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_RULES = (
    "const",
    "enum",
    "format",
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
)


@dataclass(frozen=True)
class RecordProperty:
    """A property by its path, such as `name.first`; `type` and `rules` are empty where there are none."""

    path: str
    is_required: bool
    type: str
    rules: str
    description: str


def list_properties(schema: Mapping[str, Any]) -> list[RecordProperty]:
    """The properties of `schema`, those of objects after their object. References are to its own `$defs`."""
    return list(_properties(schema, schema, ""))


def _properties(root: Mapping[str, Any], node: Mapping[str, Any], prefix: str) -> Iterator[RecordProperty]:
    required = node.get("required", ())
    for name, declared in node.get("properties", {}).items():
        rules = _resolve(root, declared)
        path = f"{prefix}{name}"
        types = rules.get("type", "")
        yield RecordProperty(
            path,
            name in required,
            types if isinstance(types, str) else " or ".join(types),
            ", ".join(f"{rule} {json.dumps(rules[rule])}" for rule in _RULES if rule in rules),
            rules.get("description", ""),
        )
        yield from _properties(root, rules, f"{path}.")


def _resolve(root: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    """`node`, with what it refers to; its own keywords take precedence."""
    if "$ref" not in node:
        return node
    return {**root["$defs"][node["$ref"].removeprefix("#/$defs/")], **node}
