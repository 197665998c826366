"""The raw tables as assets: static specs from the catalogue, filled by whichever ingestion is plugged in.

The specs never ask Airbyte, so that the graph loads, and stays whole, while Airbyte is down.
"""

from collections.abc import Iterator

import dagster as dg
from dagster import TableColumn, TableColumnConstraints, TableSchema

from dvd_rental_pipeline.automation.conditions import catch_up
from dvd_rental_pipeline.automation.freshness import FRESHNESS_POLICIES
from dvd_rental_pipeline.core.catalog import CHANGE_CAPTURE_COLUMNS, Column, Domain, Privacy, Table
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.ingestion.resource import Ingestion
from dvd_rental_pipeline.warehouse.resource import Warehouse

RAW_GROUP = "raw"


class IngestionConfig(dg.Config):
    """How to sync, chosen at launch."""

    full_refresh: bool = False


def build_ingestion_assets(domain: Domain) -> dg.AssetsDefinition:
    """One subsettable step for all tables of `domain`, an asset each, keyed [domain, table].

    A selection syncs every table of the domain (they share one change stream) and reports on those selected.
    """

    @dg.multi_asset(
        name=f"{domain.name}_ingestion",
        specs=[_asset_spec(domain, table) for table in domain.tables],
        can_subset=True,
        description=f"Replicates {domain.name} into the warehouse. {domain.description}",
    )
    def ingest(
        context: dg.AssetExecutionContext,
        config: IngestionConfig,
        ingestion: Ingestion,
        warehouse: Warehouse,
    ) -> Iterator[dg.MaterializeResult[None]]:
        try:
            with warehouse.writing(context.log.info):
                outcome = ingestion.sync(domain, context.log, full_refresh=config.full_refresh)
        except PipelineError as error:
            # A message for the user: its traceback would only hide it.
            raise dg.Failure(description=str(error), allow_retries=False) from None
        selected = {key.path[-1]: key for key in context.selected_asset_keys}
        for name, metadata in outcome.metadata.items():
            if name in selected:
                yield dg.MaterializeResult(asset_key=selected[name], metadata=metadata)
        failures = {name: reason for name, reason in outcome.failures.items() if name in selected}
        if failures:
            told = "\n".join(f"{name}: {reason}" for name, reason in failures.items())
            raise dg.Failure(
                description=f"{len(failures)} of {len(selected)} tables could not be replicated; the others "
                f"are up to date.\n{told}",
                allow_retries=False,
            )

    return ingest


def _asset_spec(domain: Domain, table: Table) -> dg.AssetSpec:
    private = [column.name for column in table.columns if column.privacy is not Privacy.PUBLIC]
    return dg.AssetSpec(
        key=dg.AssetKey([domain.name, table.name]),
        group_name=RAW_GROUP,
        description=f"Replica of `{domain.source_schema}.{table.name}`: {table.grain}. Deleted rows stay as "
        "tombstones, with `_ab_cdc_deleted_at` set.",
        owners=[domain.owner],
        kinds={"airbyte", "postgresql"},
        tags={"layer": "raw", "domain": domain.name, **({"pii": "true"} if private else {})},
        metadata={
            "dagster/table_name": f"{domain.name}.{table.name}",
            "dagster/column_schema": TableSchema(
                columns=[_table_column(table, column) for column in (*table.columns, *CHANGE_CAPTURE_COLUMNS)]
            ),
            "primary_key": ", ".join(table.primary_key),
        },
        freshness_policy=FRESHNESS_POLICIES[table.tier],
        automation_condition=catch_up(dg.AssetKey([domain.name, domain.leader.name])),
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
