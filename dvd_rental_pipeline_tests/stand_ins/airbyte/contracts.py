"""Validation of requests and responses against Airbyte's published OpenAPI documents.

AIRBYTE_CONTRACTS names the folder with `airbyte_public_api.json` and `airbyte_configuration_api.json`. Their
licence does not allow copies in this project.
"""

import json
import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from dvd_rental_pipeline_tests.stand_ins.airbyte import configuration_api, public_api

FOLDER = os.environ.get("AIRBYTE_CONTRACTS")
MISSING = (
    "AIRBYTE_CONTRACTS names no folder with Airbyte's published API documents: nothing is compared with them"
)
# By the prefix of paths in the stand-in: the document, and the prefix of the same paths in it.
_DOCUMENTS = {
    public_api.PREFIX: ("airbyte_public_api.json", ""),
    configuration_api.PREFIX: ("airbyte_configuration_api.json", "/v1"),
}
# The public document leaves these out.
_UNDOCUMENTED = {"/applications/token"}


@cache
def _document(name: str) -> tuple[Mapping[str, Any], Registry[Any]]:
    document = json.loads((Path(FOLDER or "") / name).read_text())
    return document, Registry().with_resource(name, Resource(document, DRAFT202012))


def violations(method: str, path: str, status: int, request: Any, response: Any) -> list[str]:
    """How a request and its successful response violate the published document; empty without documents.

    Args:
        method: HTTP method.
        path: the path in the stand-in.
        status: of the response; errors are not documented, and not compared.
        request: the JSON body, None without one.
        response: the JSON body.
    """
    if FOLDER is None or status >= 300:
        return []
    prefix = next(prefix for prefix in _DOCUMENTS if path.startswith(prefix))
    name, published_prefix = _DOCUMENTS[prefix]
    published = published_prefix + path.removeprefix(prefix)
    if published in _UNDOCUMENTED:
        return []
    document, registry = _document(name)
    template = next((each for each in document["paths"] if _matches(each, published)), None)
    operation = document["paths"].get(template, {}).get(method.lower())
    if operation is None:
        return [f"{method} {path} is not in {name}"]
    pointer = f"{name}#/paths/{_escape(str(template))}/{method.lower()}"
    found = []
    if request is not None:
        schema = f"{pointer}/requestBody/content/application~1json/schema"
        found += _compare(schema, request, registry, f"request {method} {path}")
    if "content" in operation["responses"].get(str(status), {}):
        schema = f"{pointer}/responses/{status}/content/application~1json/schema"
        body = _with_types(_without_nulls(response))
        found += _compare(schema, body, registry, f"response {method} {path}")
    return found


def _matches(template: str, path: str) -> bool:
    return re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path) is not None


def _escape(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1").replace("{", "%7B").replace("}", "%7D")


def _compare(schema: str, body: Any, registry: Registry[Any], what: str) -> list[str]:
    validator = Draft202012Validator({"$ref": schema}, registry=registry)
    return [f"{what}: {error.json_path}: {error.message[:300]}" for error in validator.iter_errors(body)]


def _with_types(value: Any) -> Any:
    """Airbyte removes the type from stored configurations, though its document requires it."""
    if not isinstance(value, dict):
        return value
    types = {name: value[name] for name in ("sourceType", "destinationType") if name in value}
    if types and "configuration" in value:
        return {**value, "configuration": {**value["configuration"], **types}}
    return {
        name: [_with_types(each) for each in inner] if isinstance(inner, list) else inner
        for name, inner in value.items()
    }


def _without_nulls(value: Any) -> Any:
    """Airbyte sends null for optional fields, which its documents do not allow."""
    if isinstance(value, dict):
        return {name: _without_nulls(each) for name, each in value.items() if each is not None}
    return [_without_nulls(each) for each in value] if isinstance(value, list) else value
