"""dbt's manifest as typed records, parsed once per file. No Dagster and no warehouse in here.

Records have the fields that this project uses; `Manifest.raw` is the whole mapping, for dagster-dbt.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

# One for each deployment that a process may load.
CACHED_MANIFESTS = 4
PRIVATE_META = ("pii", "private")


@dataclass(frozen=True)
class DbtColumn:
    """A declared column. `data_type` is empty where none is declared.

    By its meta, a column `is_personal` (masked in Snowflake), and `is_private` for that or another reason.
    """

    name: str
    data_type: str
    description: str
    is_private: bool
    is_personal: bool


@dataclass(frozen=True)
class DbtSource:
    """A source table. `schema` is the name of the source."""

    unique_id: str
    schema: str
    name: str
    description: str
    columns: tuple[DbtColumn, ...]
    relation_name: str

    @property
    def key(self) -> tuple[str, str]:
        """Schema and table: the path of the asset key."""
        return self.schema, self.name


@dataclass(frozen=True)
class DbtModel:
    """A model or a snapshot.

    Attributes:
        schema: the configured schema, without the prefix that a branch deployment adds.
        materialized: "view", "table", "incremental", "snapshot".
        parents: unique ids of the models and sources that it reads.
        domain: `domain` in its meta; empty if its sources decide.
        relation_name: quoted name in the warehouse; empty for an ephemeral model.
        compiled_code: its SQL; empty in a project that was parsed but not compiled.
        updated_at: the column by which a snapshot detects changes; empty for a model.
        owner: the first team that owns it, in its meta; may be empty.
    """

    unique_id: str
    schema: str
    name: str
    description: str
    columns: tuple[DbtColumn, ...]
    materialized: str
    parents: tuple[str, ...]
    domain: str = ""
    relation_name: str = ""
    compiled_code: str = ""
    updated_at: str = ""
    owner: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """Schema and table: the path of the asset key."""
        return self.schema, self.name

    @property
    def is_snapshot(self) -> bool:
        return self.materialized == "snapshot"

    @property
    def is_view(self) -> bool:
        return self.materialized == "view"


@dataclass(frozen=True)
class DbtTest:
    """A data test.

    Attributes:
        kind: name of the generic test, such as "not_null"; empty for a singular test.
        arguments: of the generic test.
        description: from its meta or its description; may be empty.
        parents: unique ids of the models and sources that it reads.
        tested: unique id of the table that it belongs to; None if it reads no table.
    """

    unique_id: str
    name: str
    kind: str
    arguments: Mapping[str, Any]
    description: str
    parents: tuple[str, ...]
    tested: str | None


@dataclass(frozen=True)
class DbtExposure:
    """A consumer of models, such as a dashboard. `parents` are unique ids."""

    name: str
    type: str
    description: str
    owner: str
    parents: tuple[str, ...]


@dataclass(frozen=True)
class DbtUnitTest:
    """A unit test: given rows through the SQL of one model."""

    model: str
    name: str
    description: str

    @property
    def title(self) -> str:
        """The name with spaces."""
        return self.name.replace("_", " ")


class Manifest:
    """The records of a manifest, by unique id, and queries on them."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self.raw = raw
        self.adapter_type: str = raw["metadata"]["adapter_type"]
        self.sources: Mapping[str, DbtSource] = {
            unique_id: _source(node) for unique_id, node in raw["sources"].items()
        }
        self.models: Mapping[str, DbtModel] = {
            unique_id: _model(node)
            for unique_id, node in raw["nodes"].items()
            if node["resource_type"] in {"model", "snapshot"}
        }
        self.tests: Mapping[str, DbtTest] = {
            unique_id: _test(node)
            for unique_id, node in raw["nodes"].items()
            if node["resource_type"] == "test"
        }
        self.exposures: Sequence[DbtExposure] = [_exposure(node) for node in raw["exposures"].values()]
        self.unit_tests: Sequence[DbtUnitTest] = sorted(
            map(_unit_test, raw["unit_tests"].values()), key=lambda test: (test.model, test.title)
        )
        self._sources_behind: dict[str, frozenset[str]] = {}

    def table(self, unique_id: str) -> DbtModel | DbtSource:
        """The model, snapshot or source table `unique_id`.

        Raises:
            KeyError: it is none of these.
        """
        model = self.models.get(unique_id)
        return self.sources[unique_id] if model is None else model

    @property
    def tables(self) -> Sequence[DbtModel | DbtSource]:
        """All source tables, models and snapshots."""
        return [*self.sources.values(), *self.models.values()]

    def sources_behind(self, *unique_ids: str) -> Sequence[DbtSource]:
        """The source tables that `unique_ids` are built from, directly or through other models; sorted by id.

        A source table is built from itself.
        """
        found = frozenset[str]().union(*map(self._source_ids, unique_ids))
        return [self.sources[source] for source in sorted(found)]

    def _source_ids(self, unique_id: str) -> frozenset[str]:
        if unique_id in self.sources:
            return frozenset([unique_id])
        if unique_id not in self._sources_behind:
            parents = self.models[unique_id].parents
            self._sources_behind[unique_id] = frozenset[str]().union(*map(self._source_ids, parents))
        return self._sources_behind[unique_id]

    def domains_of(self, *unique_ids: str) -> frozenset[str]:
        """The domains that `unique_ids` belong to: what their meta names, or the sources behind them."""
        domains: set[str] = set()
        for unique_id in unique_ids:
            model = self.models.get(unique_id)
            if model is not None and model.domain:
                domains.add(model.domain)
            else:
                domains |= {source.schema for source in self.sources_behind(unique_id)}
        return frozenset(domains)

    def private_columns(self) -> frozenset[str]:
        """Names, in lower case, of the columns that are private in any table."""
        return frozenset(
            column.name.lower() for table in self.tables for column in table.columns if column.is_private
        )

    def generic_tests(self, kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """The unique id of the tested table and the arguments of each generic test `kind`."""
        for test in self.tests.values():
            if test.kind == kind and test.tested is not None:
                yield test.tested, test.arguments


def read_manifest(path: Path) -> Manifest:
    """The manifest at `path`; parsed again only after the file has changed.

    Raises:
        OSError: the file cannot be read.
    """
    return _read_manifest(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=CACHED_MANIFESTS)
def _read_manifest(path: Path, _modified_ns: int) -> Manifest:
    return Manifest(json.loads(path.read_text(encoding="utf-8")))


def _columns(node: Mapping[str, Any]) -> tuple[DbtColumn, ...]:
    return tuple(
        DbtColumn(
            name=column["name"],
            data_type=column.get("data_type") or "",
            description=column["description"],
            is_private=any(_meta(column).get(key) for key in PRIVATE_META),
            is_personal=bool(_meta(column).get("pii")),
        )
        for column in node["columns"].values()
    )


def _meta(node: Mapping[str, Any]) -> Mapping[str, Any]:
    meta: Mapping[str, Any] = node.get("config", {}).get("meta") or node.get("meta") or {}
    return meta


def _parents(node: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(node["depends_on"]["nodes"])


def _source(node: Mapping[str, Any]) -> DbtSource:
    return DbtSource(
        unique_id=node["unique_id"],
        schema=node["source_name"],
        name=node["name"],
        description=node["description"],
        columns=_columns(node),
        relation_name=node["relation_name"],
    )


def _model(node: Mapping[str, Any]) -> DbtModel:
    config = node["config"]
    return DbtModel(
        unique_id=node["unique_id"],
        schema=config.get("schema") or node["schema"],
        name=node["name"],
        description=node["description"].strip(),
        columns=_columns(node),
        materialized=config["materialized"],
        parents=_parents(node),
        domain=_meta(node).get("domain") or "",
        relation_name=node.get("relation_name") or "",
        compiled_code=node.get("compiled_code") or "",
        updated_at=config.get("updated_at") or "",
        owner=next(iter((_meta(node).get("dagster") or {}).get("owners") or [""])).removeprefix("team:"),
    )


def _test(node: Mapping[str, Any]) -> DbtTest:
    generic = node.get("test_metadata") or {"name": "", "kwargs": {}}
    parents = _parents(node)
    return DbtTest(
        unique_id=node["unique_id"],
        name=node["name"],
        kind=generic["name"],
        arguments=generic["kwargs"],
        description=str(_meta(node).get("description") or node["description"]),
        parents=parents,
        tested=node.get("attached_node") or next(iter(parents), None),
    )


def _exposure(node: Mapping[str, Any]) -> DbtExposure:
    return DbtExposure(
        name=node["name"],
        type=node["type"],
        description=node["description"],
        owner=node["owner"]["name"],
        parents=_parents(node),
    )


def _unit_test(node: Mapping[str, Any]) -> DbtUnitTest:
    return DbtUnitTest(model=node["model"], name=node["name"], description=node["description"] or "")
