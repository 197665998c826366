"""dbt's manifest as tables: columns, keys and references. No Dagster and no warehouse in here."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dvd_rental_pipeline.core.catalog import CHANGE_CAPTURE_COLUMNS, Domain, FreshnessTier

RAW_LAYER = "raw"
MARTS_LAYER = "marts"
SNAPSHOT_LAYER = "snapshots"
EVENTS_PREFIX = "fct_"
SHORT_TYPES = {"character varying": "varchar", "character(": "char(", " without time zone": ""}


@dataclass(frozen=True)
class TableColumn:
    """A column as it is declared; `type` is empty where nobody has declared one."""

    name: str
    type: str = ""
    description: str = ""


@dataclass(frozen=True)
class Table:
    """A source table, snapshot or model.

    `name` is schema and table, as in the key of its asset. `is_event` tells tables of events (facts) from those
    of things.
    """

    name: str
    unique_id: str
    layer: str
    description: str
    columns: tuple[TableColumn, ...]
    key: tuple[str, ...]
    is_event: bool

    @property
    def short_name(self) -> str:
        """The name without the schema."""
        return self.name.partition(".")[2]


@dataclass(frozen=True, order=True)
class Reference:
    """A column whose values are keys of another table."""

    table: str
    column: str
    to_table: str
    to_column: str


@dataclass(frozen=True)
class Model:
    """Tables, by name, and the references between them."""

    tables: Mapping[str, Table]
    references: Sequence[Reference]

    def only(self, layer: str) -> "Model":
        """The tables of `layer` and the references among them, without what change data capture adds."""
        added = {column.name for column in CHANGE_CAPTURE_COLUMNS}
        tables = {
            name: replace(table, columns=tuple(column for column in table.columns if column.name not in added))
            for name, table in self.tables.items()
            if table.layer == layer
        }
        return Model(
            tables, [edge for edge in self.references if edge.table in tables and edge.to_table in tables]
        )


def read_model(manifest: Mapping[str, Any], domains: Sequence[Domain]) -> Model:
    """Every table of `manifest`; what `domains` declare of source tables is taken from there."""
    keys = _tested_keys(manifest)
    tables = [
        *(_source_table(source, domains, keys) for source in manifest["sources"].values()),
        *(
            _model_table(node, keys)
            for node in manifest["nodes"].values()
            if node["resource_type"] in {"model", "snapshot"}
        ),
    ]
    by_id = {table.unique_id: table for table in tables}
    references = {*_tested_references(manifest, by_id), *_named_references(domains)}
    return Model(
        {table.name: table for table in sorted(tables, key=lambda table: table.name)}, sorted(references)
    )


def table_name(node: Mapping[str, Any]) -> str:
    """Schema and table of a node of the manifest, without the prefix that a branch puts before its schemas."""
    if node["resource_type"] == "source":
        return f"{node['source_name']}.{node['name']}"
    return f"{node['config'].get('schema') or node['schema']}.{node['name']}"


def _source_table(
    source: Mapping[str, Any], domains: Sequence[Domain], keys: Mapping[str, tuple[str, ...]]
) -> Table:
    declared = {
        (domain.name, table.name): (domain, table) for domain in domains for table in domain.tables
    }.get((source["source_name"], source["name"]))
    declared_columns = (*declared[1].columns, *CHANGE_CAPTURE_COLUMNS) if declared else ()
    types = {column.name: _short(column.type) for column in declared_columns}
    columns = _columns(source)
    return Table(
        name=table_name(source),
        unique_id=source["unique_id"],
        layer=RAW_LAYER,
        description=source["description"],
        columns=tuple(
            TableColumn(column.name, types.get(column.name, column.type), column.description)
            for column in columns
        ),
        key=declared[1].primary_key if declared else keys.get(source["unique_id"], ()),
        is_event=declared is not None and declared[1].tier is FreshnessTier.TRANSACTIONS,
    )


def _short(type_name: str) -> str:
    for long, short in SHORT_TYPES.items():
        type_name = type_name.replace(long, short)
    return type_name


def _model_table(node: Mapping[str, Any], keys: Mapping[str, tuple[str, ...]]) -> Table:
    is_snapshot = node["resource_type"] == "snapshot"
    name = table_name(node)
    return Table(
        name=name,
        unique_id=node["unique_id"],
        layer=SNAPSHOT_LAYER if is_snapshot else name.partition(".")[0],
        description=node["description"],
        columns=_columns(node),
        key=keys.get(node["unique_id"], ()),
        is_event=node["name"].startswith(EVENTS_PREFIX),
    )


def _columns(node: Mapping[str, Any]) -> tuple[TableColumn, ...]:
    return tuple(
        TableColumn(column["name"], column.get("data_type") or "", column["description"])
        for column in node["columns"].values()
    )


def _tests(manifest: Mapping[str, Any], name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The tested table and the arguments of each generic test called `name`."""
    for node in manifest["nodes"].values():
        metadata = node.get("test_metadata")
        if metadata and metadata["name"] == name:
            tested = node.get("attached_node") or next(iter(node["depends_on"]["nodes"]), None)
            if tested:
                yield tested, metadata["kwargs"]


def _tested_keys(manifest: Mapping[str, Any]) -> Mapping[str, tuple[str, ...]]:
    """The key of each table: what a test `primary_key` names, or else its first column that is unique."""
    keys: dict[str, tuple[str, ...]] = {}
    unique: dict[str, set[str]] = {}
    for tested, arguments in _tests(manifest, "unique"):
        unique.setdefault(tested, set()).add(arguments["column_name"])
    for tested, names in unique.items():
        node = manifest["nodes"].get(tested) or manifest["sources"][tested]
        first = [name for name in node["columns"] if name in names] or sorted(names)
        keys[tested] = (first[0],)
    for tested, arguments in _tests(manifest, "primary_key"):
        keys[tested] = tuple(arguments["columns"])
    return keys


def _tested_references(manifest: Mapping[str, Any], by_id: Mapping[str, Table]) -> Iterator[Reference]:
    """What the tests `relationships` hold."""
    by_short_name = {table.short_name: table for table in by_id.values() if table.layer != RAW_LAYER}
    for tested, arguments in _tests(manifest, "relationships"):
        named = re.search(r"ref\(\s*['\"](\w+)['\"]\s*\)", arguments["to"])
        if tested in by_id and named and named.group(1) in by_short_name:
            yield Reference(
                by_id[tested].name,
                arguments["column_name"],
                by_short_name[named.group(1)].name,
                arguments["field"],
            )


def _named_references(domains: Sequence[Domain]) -> Iterator[Reference]:
    """References between source tables, which the catalogue tells by name.

    A column called like the key of another table, perhaps with its role before it (`manager_staff_id`), refers
    to that table.
    """
    for domain in domains:
        owners = {table.primary_key[0]: table.name for table in domain.tables if len(table.primary_key) == 1}
        for table in domain.tables:
            for column in table.columns:
                for key, owner in owners.items():
                    if owner != table.name and (column.name == key or column.name.endswith(f"_{key}")):
                        yield Reference(
                            f"{domain.name}.{table.name}", column.name, f"{domain.name}.{owner}", key
                        )
