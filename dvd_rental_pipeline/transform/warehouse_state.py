"""The state of the warehouse before a build: versions of source tables, records of builds, existing models."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TypeAlias

from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.ingestion.raw_versions import raw_schemas, read_raw_versions
from dvd_rental_pipeline.transform.build_plan import SourceState, WarehouseState
from dvd_rental_pipeline.transform.build_records import BuildRecords
from dvd_rental_pipeline.transform.manifest import Manifest
from dvd_rental_pipeline.warehouse.interface import TableName, Warehouse
from dvd_rental_pipeline.warehouse.table_columns import read_table_columns

VersionReader: TypeAlias = Callable[[Warehouse], Mapping[TableName, str]]
"""Reads the data versions of the tables that a pipeline loads; raises WarehouseError."""

RECORDS_LAYER = "staging"


def build_records(manifest: Manifest, warehouse: Warehouse) -> BuildRecords:
    """The records of the models in `manifest`, in the schema of the staging models: a branch has its own."""
    schemas = {model.schema: _relation(manifest, uid).schema for uid, model in manifest.models.items()}
    return BuildRecords(warehouse, schemas.get(RECORDS_LAYER, min(schemas.values(), default=RECORDS_LAYER)))


def read_warehouse_state(
    manifest: Manifest,
    records: BuildRecords,
    warehouse: Warehouse,
    *,
    domains: Sequence[Domain],
    readers: Collection[VersionReader],
    warn: Callable[[str], None],
) -> WarehouseState:
    """The state of the models, of the raw tables of `domains`, and of the tables of `readers`.

    What is built from a table whose version cannot be read is built by every run.

    Raises:
        WarehouseError: the warehouse cannot be queried.
    """
    relations = {unique_id: _relation(manifest, unique_id) for unique_id in manifest.models}
    columns = read_table_columns(
        warehouse,
        {
            records.table.schema,
            *(relation.schema for relation in relations.values()),
            *(source.schema for source in manifest.sources.values()),
            *(schema for domain in domains for schema in raw_schemas(domain)),
        },
    )
    versions: dict[TableName, str] = {}
    for reader in (*(partial(_raw_versions, domain, columns) for domain in domains), *readers):
        try:
            versions |= reader(warehouse)
        except PipelineError as error:
            warn(f"The data versions of some source tables cannot be read: {error}")
    sources = {TableName(source.schema, source.name): uid for uid, source in manifest.sources.items()}
    return WarehouseState(
        sources={
            sources[table]: SourceState(version, columns[table])
            for table, version in versions.items()
            if table in sources and table in columns
        },
        records=records.read() if records.table in columns else {},
        existing={unique_id for unique_id, relation in relations.items() if relation in columns},
        has_records=records.table in columns,
    )


def _raw_versions(
    domain: Domain, columns: Mapping[TableName, str], warehouse: Warehouse
) -> Mapping[TableName, str]:
    versions = read_raw_versions(warehouse, domain, columns)
    return {TableName(domain.name, name): version for name, version in versions.items()}


def _relation(manifest: Manifest, unique_id: str) -> TableName:
    node = manifest.raw["nodes"][unique_id]
    return TableName(node["schema"].lower(), node["alias"].lower())
