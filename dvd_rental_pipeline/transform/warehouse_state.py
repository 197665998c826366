"""The state of the warehouse before a build: versions of source tables, records of builds, existing models."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeAlias

from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.ingestion.raw_versions import raw_schemas, read_raw_versions
from dvd_rental_pipeline.transform.build_plan import SourceState, WarehouseState
from dvd_rental_pipeline.transform.build_records import BuildRecord, BuildRecords
from dvd_rental_pipeline.transform.code_versions import digest
from dvd_rental_pipeline.transform.manifest import Manifest
from dvd_rental_pipeline.warehouse.interface import Reader, TableName, Warehouse
from dvd_rental_pipeline.warehouse.table_columns import read_table_columns

VersionReader: TypeAlias = Callable[[Reader], Mapping[TableName, str]]
"""Reads the data versions of the tables that a pipeline loads; raises WarehouseError."""

RECORDS_LAYER = "staging"


def build_records(manifest: Manifest, warehouse: Warehouse) -> BuildRecords:
    """The records of the models in `manifest`, in the schema of the staging models: a branch has its own."""
    schemas = {model.schema: _relation(manifest, uid).schema for uid, model in manifest.models.items()}
    return BuildRecords(warehouse, schemas.get(RECORDS_LAYER, min(schemas.values(), default=RECORDS_LAYER)))


def read_warehouse_state(
    manifest: Manifest,
    records: BuildRecords,
    reader: Reader,
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
    relations = _relations(manifest)
    columns = read_table_columns(
        reader,
        {
            records.table.schema,
            *(relation.schema for relation in relations.values()),
            *(source.schema for source in manifest.sources.values()),
            *(schema for domain in domains for schema in raw_schemas(domain)),
        },
    )
    versions: dict[TableName, str] = {}
    captured: list[VersionReader] = [partial(_raw_versions, domain, columns) for domain in domains]
    for read_versions in (*captured, *readers):
        try:
            versions |= read_versions(reader)
        except PipelineError as error:
            warn(f"The data versions of some source tables cannot be read: {error}")
    sources = {TableName(source.schema, source.name): uid for uid, source in manifest.sources.items()}
    built = records.read(reader) if records.table in columns else {}
    row_counts = _count_rows(
        reader,
        {
            node: relations[node]
            for node, record in built.items()
            if record.row_count is not None and relations.get(node) in columns
        },
    )
    return WarehouseState(
        sources={
            sources[table]: SourceState(version, columns[table])
            for table, version in versions.items()
            if table in sources and table in columns
        },
        records=built,
        intact={
            node
            for node, record in built.items()
            if node in relations
            and record.shape == digest(columns.get(relations[node]))
            and record.row_count == row_counts.get(node)
        },
        has_records=records.table in columns,
    )


def described_records(
    manifest: Manifest, warehouse: Warehouse, built: Sequence[BuildRecord]
) -> Sequence[BuildRecord]:
    """The records `built` with the columns and the number of rows that their tables have now.

    Raises:
        WarehouseError: the warehouse cannot be queried.
    """
    relations = _relations(manifest)
    models = {record.node: relations[record.node] for record in built if record.node in relations}
    counted = {node: table for node, table in models.items() if not manifest.models[node].is_view}
    with warehouse.reading() as reader:
        columns = read_table_columns(reader, {relation.schema for relation in relations.values()})
        row_counts = _count_rows(reader, counted)
    return [
        replace(record, shape=digest(columns.get(models[record.node])), row_count=row_counts.get(record.node))
        if record.node in models
        else record
        for record in built
    ]


def read_data_versions(manifest: Manifest, warehouse: Warehouse) -> Mapping[str, str]:
    """The data versions of the tables that are built completely, by unique id; empty before the first build.

    Raises:
        WarehouseError: the warehouse cannot be queried.
    """
    records = build_records(manifest, warehouse)
    with warehouse.reading() as reader:
        exist = records.table in read_table_columns(reader, [records.table.schema])
        built = records.read(reader) if exist else {}
    return {
        node: record.version
        for node, record in built.items()
        if record.version and record.fingerprint and node in manifest.models
    }


def _count_rows(reader: Reader, tables: Mapping[str, TableName]) -> Mapping[str, int]:
    """The number of rows of each table, which Snowflake knows without reading it."""
    if not tables:
        return {}
    counts = [f"select '{node}' as node, count(*) as row_count from {table}" for node, table in tables.items()]
    return {str(node): int(count) for node, count in reader.query(" union all ".join(counts)).values}


def _relations(manifest: Manifest) -> Mapping[str, TableName]:
    return {unique_id: _relation(manifest, unique_id) for unique_id in manifest.models}


def _raw_versions(domain: Domain, columns: Mapping[TableName, str], reader: Reader) -> Mapping[TableName, str]:
    versions = read_raw_versions(reader, domain, columns)
    return {TableName(domain.name, name): version for name, version in versions.items()}


def _relation(manifest: Manifest, unique_id: str) -> TableName:
    node = manifest.raw["nodes"][unique_id]
    return TableName(node["schema"].lower(), node["alias"].lower())
