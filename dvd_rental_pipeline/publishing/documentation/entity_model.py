"""The entity-relationship model of the warehouse: tables, their keys, and references between them.

Built from dbt's manifest and the catalogues. No Dagster and no warehouse in here.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from dvd_rental_pipeline.core.catalog import CHANGE_CAPTURE_COLUMNS, Domain, FreshnessTier, Table
from dvd_rental_pipeline.transform.manifest import DbtColumn, DbtModel, DbtSource, Manifest

RAW_LAYER = "raw"
MARTS_LAYER = "marts"
SNAPSHOT_LAYER = "snapshots"
FACT_PREFIX = "fct_"
SHORT_TYPES = {"character varying": "varchar", "character(": "char(", " without time zone": ""}


@dataclass(frozen=True)
class EntityColumn:
    """A declared column; `type` is empty if none is declared."""

    name: str
    type: str = ""
    description: str = ""


@dataclass(frozen=True)
class Entity:
    """A source table, snapshot or model.

    `name` is schema and table, as in the asset key. `key` names the columns of the primary key; empty if none
    is declared. `is_event` distinguishes transactions and facts from reference data and dimensions.
    """

    name: str
    unique_id: str
    layer: str
    description: str
    columns: tuple[EntityColumn, ...]
    key: tuple[str, ...]
    is_event: bool

    @property
    def short_name(self) -> str:
        """The name without the schema."""
        return self.name.partition(".")[2]


@dataclass(frozen=True, order=True)
class EntityReference:
    """A foreign key: values of `column` are values of `to_column`, the key of `to_table`."""

    table: str
    column: str
    to_table: str
    to_column: str


@dataclass(frozen=True)
class EntityModel:
    """Entities, by name, and the references between them."""

    tables: Mapping[str, Entity]
    references: Sequence[EntityReference]

    def only(self, layer: str) -> "EntityModel":
        """The entities of `layer` and the references among them, without the columns of change data capture."""
        capture_columns = {column.name for column in CHANGE_CAPTURE_COLUMNS}
        tables = {
            name: replace(
                table, columns=tuple(column for column in table.columns if column.name not in capture_columns)
            )
            for name, table in self.tables.items()
            if table.layer == layer
        }
        references = [edge for edge in self.references if edge.table in tables and edge.to_table in tables]
        return EntityModel(tables, references)


def read_entity_model(manifest: Manifest, domains: Sequence[Domain]) -> EntityModel:
    """Every table of `manifest`; types and keys of source tables come from `domains`."""
    keys = _tested_keys(manifest)
    catalog = {(domain.name, table.name): table for domain in domains for table in domain.tables}
    tables = [
        *(
            _source_entity(source, catalog.get(source.key), keys.get(source.unique_id, ()))
            for source in manifest.sources.values()
        ),
        *(_model_entity(model, keys.get(model.unique_id, ())) for model in manifest.models.values()),
    ]
    by_id = {table.unique_id: table for table in tables}
    references = {*_tested_references(manifest, by_id), *_references_by_name(domains)}
    return EntityModel(
        {table.name: table for table in sorted(tables, key=lambda table: table.name)}, sorted(references)
    )


def _source_entity(source: DbtSource, table: Table | None, tested_key: tuple[str, ...]) -> Entity:
    declared = (*table.columns, *CHANGE_CAPTURE_COLUMNS) if table else ()
    types = {column.name: _shorten(column.type) for column in declared}
    return Entity(
        name=".".join(source.key),
        unique_id=source.unique_id,
        layer=RAW_LAYER,
        description=source.description,
        columns=_columns(source.columns, types),
        key=table.primary_key if table else tested_key,
        is_event=table is not None and table.tier is FreshnessTier.TRANSACTIONS,
    )


def _shorten(type_name: str) -> str:
    for long, short in SHORT_TYPES.items():
        type_name = type_name.replace(long, short)
    return type_name


def _model_entity(model: DbtModel, tested_key: tuple[str, ...]) -> Entity:
    return Entity(
        name=".".join(model.key),
        unique_id=model.unique_id,
        layer=SNAPSHOT_LAYER if model.is_snapshot else model.schema,
        description=model.description,
        columns=_columns(model.columns, {}),
        key=tested_key,
        is_event=model.name.startswith(FACT_PREFIX),
    )


def _columns(columns: Sequence[DbtColumn], types: Mapping[str, str]) -> tuple[EntityColumn, ...]:
    return tuple(
        EntityColumn(column.name, types.get(column.name, column.data_type), column.description)
        for column in columns
    )


def _tested_keys(manifest: Manifest) -> Mapping[str, tuple[str, ...]]:
    """The key of each table: the columns of its test `primary_key`, else its first column with `unique`."""
    unique: dict[str, set[str]] = {}
    for tested, arguments in manifest.generic_tests("unique"):
        unique.setdefault(tested, set()).add(arguments["column_name"])
    keys = {}
    for tested, names in unique.items():
        declared = [column.name for column in manifest.table(tested).columns if column.name in names]
        keys[tested] = ((declared or sorted(names))[0],)
    for tested, arguments in manifest.generic_tests("primary_key"):
        keys[tested] = tuple(arguments["columns"])
    return keys


def _tested_references(manifest: Manifest, by_id: Mapping[str, Entity]) -> Iterator[EntityReference]:
    """The references that tests `relationships` assert."""
    by_short_name = {table.short_name: table for table in by_id.values() if table.layer != RAW_LAYER}
    for tested, arguments in manifest.generic_tests("relationships"):
        ref = re.search(r"ref\(\s*['\"](\w+)['\"]\s*\)", arguments["to"])
        if tested in by_id and ref and ref.group(1) in by_short_name:
            yield EntityReference(
                by_id[tested].name,
                arguments["column_name"],
                by_short_name[ref.group(1)].name,
                arguments["field"],
            )


def _references_by_name(domains: Sequence[Domain]) -> Iterator[EntityReference]:
    """References between source tables.

    A column named like the key of another table of its domain, with or without a prefix for its role
    (`manager_staff_id`), refers to that table.
    """
    for domain in domains:
        owners = {table.primary_key[0]: table.name for table in domain.tables if len(table.primary_key) == 1}
        for table in domain.tables:
            for column in table.columns:
                for key, owner in owners.items():
                    if owner != table.name and (column.name == key or column.name.endswith(f"_{key}")):
                        yield EntityReference(
                            f"{domain.name}.{table.name}", column.name, f"{domain.name}.{owner}", key
                        )
