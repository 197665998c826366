"""The code version of each model and test: a hash of all code that determines its SQL.

Its own SQL and configuration, the macros that it uses, the variables and environment variables that these read,
settings of the whole project, and the versions of dbt, of the adapter and of DuckDB. Not the compiled SQL: that
of some models depends on the state of the warehouse. No warehouse and no Dagster in here.
"""

import hashlib
import json
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from dvd_rental_pipeline.transform.manifest import Manifest

ADAPTERS = ("duckdb", "snowflake", "postgres", "redshift")
# Configuration that describes a node and does not change what is built.
DESCRIPTIVE = {"meta", "tags", "docs", "group", "access", "freshness", "enabled"}
# Set anew for each run.
RUN_VARIABLES = {"DAGSTER_DBT_RUN_ID", "DAGSTER_DBT_FULL_REFRESH_MODELS"}
# Settings of `dbt_project.yml` that concern all nodes, and are not part of their configuration.
PROJECT_SETTINGS = ("dispatch", "flags", "on-run-end", "on-run-start", "quoting")
# Programs that compute the content of tables, in releases that change with the environment.
PROGRAMS = {"duckdb": ("dbt-duckdb", "duckdb")}
_VAR = re.compile(r"\bvar\(\s*['\"](\w+)['\"]")
_ENV_VAR = re.compile(r"\benv_var\(\s*['\"](\w+)['\"](?:\s*,\s*['\"]([^'\"]*)['\"])?")
_CALL = re.compile(r"\b(\w+)\s*\(")
# What lets SQL depend on the state of the warehouse.
_INTROSPECTION = re.compile(r"\badapter\.(?!dispatch|quote)|\brun_query\b|\bcall statement\b|\bload_relation\b")


@dataclass(frozen=True)
class NodeCode:
    """The code of a node.

    Attributes:
        version: the code version.
        introspects: whether the SQL depends on the state of the warehouse, beside that of its inputs.
    """

    version: str
    introspects: bool


@dataclass(frozen=True)
class _Reads:
    """What a text reads: variables, environment variables with their defaults, the state of the warehouse."""

    variables: frozenset[str]
    environment: frozenset[tuple[str, str]]
    introspects: bool


def read_node_codes(manifest: Manifest, project_dir: Path) -> Mapping[str, NodeCode]:
    """The code of every model, snapshot and test of the project in `project_dir`, by unique id."""
    macros = _Macros(manifest)
    project = yaml.safe_load((project_dir / "dbt_project.yml").read_text(encoding="utf-8"))
    variables = _variables(project, manifest.raw["metadata"]["project_name"])
    surroundings = [
        f"dbt {manifest.raw['metadata']['dbt_version']}",
        *_program_versions(manifest.adapter_type),
        digest({name: project.get(name) for name in PROJECT_SETTINGS}),
    ]
    return {
        unique_id: _node_code(
            manifest.raw["nodes"][unique_id], macros, variables, [*surroundings, *_inputs(manifest, unique_id)]
        )
        for unique_id in (*manifest.models, *manifest.tests)
    }


def digest(*parts: Any) -> str:
    """A hash of `parts`, which can be written as JSON."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class _Macros:
    """The macros of the project that a node uses."""

    def __init__(self, manifest: Manifest) -> None:
        self._raw: Mapping[str, Mapping[str, Any]] = manifest.raw["macros"]
        project = manifest.raw["metadata"]["project_name"]
        adapter = manifest.adapter_type
        others = tuple(f"{name}__" for name in ADAPTERS if name != adapter)
        self._own = {
            unique_id
            for unique_id, macro in self._raw.items()
            if macro["package_name"] == project and not macro["name"].startswith(others)
        }
        self._ids = {self._raw[unique_id]["name"]: unique_id for unique_id in self._own}
        self._adapter = adapter
        self._closures: dict[str, frozenset[str]] = {}
        self._used: dict[str, frozenset[str]] = {}
        self._reads: dict[str, _Reads] = {}
        nodes = manifest.raw["nodes"]
        named = frozenset[str]().union(
            *(self.used_by(nodes[node]) for node in (*manifest.models, *manifest.tests))
        )
        dbts = {_base_name(macro["name"]) for key, macro in self._raw.items() if key not in self._own}
        # What dbt itself calls: macros of dbt that the project overrides, and those found by their name.
        self.of_all_nodes = frozenset(
            key for key in self._own if key not in named or _base_name(self._raw[key]["name"]) in dbts
        )

    def used_by(self, node: Mapping[str, Any]) -> frozenset[str]:
        """The ids of the macros that `node` uses, directly or through others.

        dbt does not list those that are called only where a node is executed, such as in `is_incremental()`.
        """
        unique_id = node["unique_id"]
        if unique_id not in self._used:
            named = {*node["depends_on"]["macros"], *self._named_in(node["raw_code"], _jinja(node["config"]))}
            self._used[unique_id] = frozenset[str]().union(*(self._closure(macro) for macro in named))
        return self._used[unique_id]

    def called_in_sql(self, node: Mapping[str, Any]) -> frozenset[str]:
        """The ids of the macros that the SQL of `node` calls: all but those that only its hooks call."""
        return frozenset[str]().union(*(self._closure(macro) for macro in self._named_in(node["raw_code"])))

    def _named_in(self, *texts: str) -> frozenset[str]:
        """The ids of the macros that one of `texts` calls."""
        names = self._ids.keys() & {name for text in texts for name in _CALL.findall(text)}
        return frozenset(self._ids[name] for name in names)

    def text(self, unique_id: str) -> str:
        sql: str = self._raw[unique_id]["macro_sql"]
        return sql

    def reads(self, unique_id: str) -> _Reads:
        """What the text of a macro reads: searched once, although hundreds of nodes use the macro."""
        if unique_id not in self._reads:
            self._reads[unique_id] = _reads_of(self.text(unique_id))
        return self._reads[unique_id]

    def _closure(self, unique_id: str) -> frozenset[str]:
        if unique_id not in self._closures:
            found: set[str] = set()
            pending = [unique_id]
            while pending:
                current = pending.pop()
                if current in found or current not in self._own:
                    continue
                found.add(current)
                pending += self._raw[current]["depends_on"]["macros"]
                pending += self._named_in(self.text(current))
                name = self._raw[current]["name"]
                dispatched = (f"{self._adapter}__{name}", f"default__{name}")
                pending += [self._ids[other] for other in dispatched if other in self._ids]
            self._closures[unique_id] = frozenset(found)
        return self._closures[unique_id]


def _jinja(config: Mapping[str, Any]) -> str:
    """The text of `config`: hooks and other settings are Jinja as well."""
    return json.dumps(config, default=str).replace('\\"', '"')


def _base_name(name: str) -> str:
    """The name of a macro without the prefix of an adapter."""
    prefix, separator, base = name.partition("__")
    return base if separator and prefix in (*ADAPTERS, "default") else name


def _node_code(
    node: Mapping[str, Any], macros: _Macros, variables: Mapping[str, Any], surroundings: Collection[str]
) -> NodeCode:
    used = sorted(macros.used_by(node) | macros.of_all_nodes)
    texts = [node["raw_code"], *(macros.text(macro) for macro in used)]
    config = {key: value for key, value in node["config"].items() if key not in DESCRIPTIVE}
    own = _reads_of(node["raw_code"])
    reads = [own, _reads_of(_jinja(config)), *(macros.reads(macro) for macro in used)]
    columns = [
        [
            column["name"],
            column.get("data_type"),
            column.get("constraints"),
            bool((column.get("config") or {}).get("meta", {}).get("pii")),
        ]
        for column in node["columns"].values()
    ]
    code = digest(
        texts,
        config,
        node.get("relation_name"),
        columns,
        node.get("constraints"),
        (node.get("test_metadata") or {}).get("kwargs"),
        {name: variables.get(name) for each in reads for name in each.variables},
        dict(_environment_read(reads)),
        list(surroundings),
    )
    called = (macros.reads(macro) for macro in macros.called_in_sql(node))
    return NodeCode(code, introspects=any(each.introspects for each in (own, *called)))


def _inputs(manifest: Manifest, unique_id: str) -> Iterator[str]:
    """The names in the warehouse of what the node reads."""
    for parent in manifest.raw["nodes"][unique_id]["depends_on"]["nodes"]:
        yield manifest.table(parent).relation_name


def _reads_of(text: str) -> _Reads:
    return _Reads(
        frozenset(_VAR.findall(text)), frozenset(_ENV_VAR.findall(text)), bool(_INTROSPECTION.search(text))
    )


def _environment_read(reads: Collection[_Reads]) -> Iterator[tuple[str, str]]:
    """The environment variables of `reads`, with their values."""
    for name, default in sorted({variable for each in reads for variable in each.environment}):
        if name not in RUN_VARIABLES:
            yield name, os.environ.get(name, default)


def _variables(project: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The variables of the project `name`, from its `dbt_project.yml`."""
    declared = project.get("vars") or {}
    return {**declared, **(declared.get(name) or {})}


@cache
def _program_versions(adapter_type: str) -> Sequence[str]:
    return [_version(package) for package in PROGRAMS.get(adapter_type, (f"dbt-{adapter_type}",))]


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return package
