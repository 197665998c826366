"""The raw tables of a pipeline as assets: static specifications from the catalogue, filled by an ingestion
resource.

The specifications never ask Airbyte, so that the graph loads completely while Airbyte is down.
"""

from collections.abc import Iterator, Mapping

import dagster as dg
from dagster import TableColumn, TableColumnConstraints, TableSchema

from dvd_rental_pipeline.assembly.declaration import CapturePipeline
from dvd_rental_pipeline.automation.conditions import catch_up
from dvd_rental_pipeline.core.catalog import Column, Domain, Privacy, Table
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.ingestion.asset_keys import leader_key, raw_key
from dvd_rental_pipeline.ingestion.raw_versions import read_raw_versions
from dvd_rental_pipeline.ingestion.resource import Ingestion
from dvd_rental_pipeline.warehouse.resource import WarehouseResource

NOTICE = "notice"
"""Metadata of a materialization: what a user must know about the source."""


class IngestionConfig(dg.Config):
    """Launch configuration of a sync."""

    full_refresh: bool = False


def build_raw_assets(pipeline: CapturePipeline) -> dg.AssetsDefinition:
    """One subsettable step for all raw tables of `pipeline`, an asset each, keyed [domain, table].

    Every run syncs all tables of the domain, which share one change stream, and reports those that are
    selected.
    """
    domain = pipeline.domain

    @dg.multi_asset(
        name=f"{domain.name}_ingestion",
        specs=[_asset_spec(pipeline, table) for table in domain.tables],
        can_subset=True,
        required_resource_keys={pipeline.ingestion_key, "warehouse"},
        description=f"Replicates {domain.name} into the warehouse. {domain.description}",
    )
    def ingest(
        context: dg.AssetExecutionContext, config: IngestionConfig
    ) -> Iterator[dg.MaterializeResult[None]]:
        ingestion: Ingestion = getattr(context.resources, pipeline.ingestion_key)
        warehouse: WarehouseResource = context.resources.warehouse
        try:
            with warehouse.lock([domain.name], context.log.info):
                outcome = ingestion.sync(domain, context.log, full_refresh=config.full_refresh)
                versions = _read_versions(warehouse, domain, context.log)
        except PipelineError as error:
            # The message is for the user; a traceback would hide it.
            raise dg.Failure(description=str(error), allow_retries=False) from None
        selected = {key.path[-1]: key for key in context.selected_asset_keys}
        notices = {NOTICE: dg.TextMetadataValue(" ".join(outcome.notices))} if outcome.notices else {}
        for name, metadata in outcome.metadata.items():
            if name in selected:
                yield dg.MaterializeResult(
                    asset_key=selected[name],
                    metadata={**metadata, **notices},
                    data_version=dg.DataVersion(versions[name]) if name in versions else None,
                )
                notices = {}
        failures = {name: reason for name, reason in outcome.failures.items() if name in selected}
        if failures:
            reasons = "\n".join(f"{name}: {reason}" for name, reason in failures.items())
            raise dg.Failure(
                description=f"{len(failures)} of {len(selected)} tables could not be replicated; the others "
                f"are up to date.\n{reasons}",
                allow_retries=False,
            )

    return ingest


def _read_versions(
    warehouse: WarehouseResource, domain: Domain, log: dg.DagsterLogManager
) -> Mapping[str, str]:
    try:
        with warehouse.reading() as reader:
            return read_raw_versions(reader, domain)
    except PipelineError as error:
        log.warning(f"The tables are synced, but their data versions cannot be read: {error}")
        return {}


def _asset_spec(pipeline: CapturePipeline, table: Table) -> dg.AssetSpec:
    domain, freshness = pipeline.domain, pipeline.tiers[table.tier]
    is_private = any(column.privacy is not Privacy.PUBLIC for column in table.columns)
    return dg.AssetSpec(
        key=raw_key(domain, table),
        deps=[dg.AssetKey(key) for key in pipeline.filled_by],
        group_name=pipeline.raw_group,
        description=f"Replica of `{domain.source_schema}.{table.name}`: {table.grain}. Deleted rows are kept "
        "as tombstones, with `_ab_cdc_deleted_at` set.",
        owners=[domain.owner],
        kinds=set(pipeline.kinds),
        tags={"layer": "raw", "domain": domain.name, **({"pii": "true"} if is_private else {})},
        metadata={
            "dagster/table_name": f"{domain.name}.{table.name}",
            "dagster/column_schema": TableSchema(
                columns=[_table_column(table, column) for column in (*table.columns, *domain.ingestion_columns)]
            ),
            "primary_key": ", ".join(table.primary_key),
        },
        freshness_policy=dg.FreshnessPolicy.time_window(
            warn_window=freshness.warn_after, fail_window=freshness.fail_after
        ),
        automation_condition=catch_up(leader_key(domain)),
    )


def _table_column(table: Table, column: Column) -> TableColumn:
    return TableColumn(
        name=column.name,
        type=column.type,
        description=column.description,
        constraints=TableColumnConstraints(
            nullable=column.nullable, other=["primary key"] if column.name in table.primary_key else []
        ),
        tags={} if column.privacy is Privacy.PUBLIC else {"privacy": column.privacy.value},
    )
