"""The assets of the pipeline: landed tables, processed tables, tables of the warehouse."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import dagster as dg
from dagster import TableColumn, TableColumnConstraints, TableSchema

from dvd_rental_pipeline.core.catalog import Column, Privacy
from dvd_rental_pipeline.pipelines.totesys.catalog import TOTESYS
from dvd_rental_pipeline.pipelines.totesys.load import LAKE_SCHEMA
from dvd_rental_pipeline.pipelines.totesys.rules import FACTS
from dvd_rental_pipeline.pipelines.totesys.star import DELETED_ROW, SCHEMA, STAR, StarTable

LANDING, PROCESSED, WAREHOUSE = "totesys_landing", "totesys_processed", SCHEMA
_JOINED: Mapping[str, Sequence[str]] = {"dim_staff": ("department",), "dim_counterparty": ("address",)}

# A schedule every ten minutes for each of ingestion and loading: two turns may be missed.
_FRESHNESS = dg.FreshnessPolicy.time_window(
    warn_window=timedelta(minutes=25), fail_window=timedelta(minutes=30)
)


def landing_key(table: str) -> dg.AssetKey:
    """Key of a landed table."""
    return dg.AssetKey([LANDING, table])


def processed_key(table: str) -> dg.AssetKey:
    """Key of a processed table."""
    return dg.AssetKey([PROCESSED, table])


def warehouse_key(table: str) -> dg.AssetKey:
    """Key of a table of the warehouse."""
    return dg.AssetKey([WAREHOUSE, table])


DELETED_KEY = dg.AssetKey([LAKE_SCHEMA, DELETED_ROW.name])


def landing_specs() -> Sequence[dg.AssetSpec]:
    """One asset per source table."""
    return [
        dg.AssetSpec(
            key=landing_key(table.name),
            group_name=LANDING,
            description=f"Landed versions of `{TOTESYS.name}.{table.name}`, {table.grain}: Parquet files that "
            "are never changed, with a manifest for each run.",
            owners=[TOTESYS.owner],
            kinds={"postgresql", "parquet"},
            tags=_tags("raw", table.columns),
            metadata={
                "dagster/column_schema": _schema(table.columns, table.primary_key),
                "primary_key": ", ".join(table.primary_key),
            },
            freshness_policy=_FRESHNESS,
        )
        for table in TOTESYS.tables
    ]


def processed_specs() -> Sequence[dg.AssetSpec]:
    """One asset per table of the star."""
    return [
        dg.AssetSpec(
            key=processed_key(table.name),
            deps=[landing_key(source) for source in _sources(table)],
            group_name=PROCESSED,
            description=f"Rows that each landed run adds to `{table.name}`, {table.grain}, as Parquet; rows "
            "that break a rule are in quarantine.",
            owners=[TOTESYS.owner],
            kinds={"duckdb", "parquet"},
            tags=_tags("processed", table.columns),
            metadata={"dagster/column_schema": _schema(table.columns, table.version)},
        )
        for table in STAR
    ]


def warehouse_specs() -> Sequence[dg.AssetSpec]:
    """One asset per table of the star, and the deleted rows of its facts."""
    star = [
        dg.AssetSpec(
            key=warehouse_key(table.name),
            deps=[processed_key(table.name)],
            group_name=WAREHOUSE,
            description=f"{table.grain.capitalize()}. "
            + (
                "Keeps every version: the current one has the greatest "
                f"`{table.record_id}`, and deleted rows are listed in {LAKE_SCHEMA}.deleted_row."
                if table.is_fact
                else "Holds the latest version."
            ),
            owners=[TOTESYS.owner],
            kinds={"table"},
            tags=_tags("warehouse", table.columns),
            metadata={
                "dagster/table_name": f"{SCHEMA}.{table.name}",
                "dagster/column_schema": _schema(table.warehouse_columns, table.version),
            },
            freshness_policy=_FRESHNESS,
        )
        for table in STAR
    ]
    deleted = dg.AssetSpec(
        key=DELETED_KEY,
        deps=[processed_key(table.name) for table in STAR if table.is_fact],
        group_name=WAREHOUSE,
        description=f"{DELETED_ROW.grain.capitalize()}. Found by the nightly comparison.",
        owners=[TOTESYS.owner],
        kinds={"table"},
        tags=_tags("warehouse", DELETED_ROW.columns),
        metadata={
            "dagster/table_name": f"{LAKE_SCHEMA}.{DELETED_ROW.name}",
            "dagster/column_schema": _schema(DELETED_ROW.columns, ("table_name", "row_id")),
        },
    )
    return [*star, deleted]


def _sources(table: StarTable) -> Sequence[str]:
    """The source tables that decide on the rows of `table`."""
    references = FACTS[table.name].references.values() if table.is_fact else ()
    own = (table.source,) if table.source else ()
    return list(dict.fromkeys([*own, *_JOINED.get(table.name, ()), *references]))


def _tags(layer: str, columns: Sequence[Column]) -> Mapping[str, str]:
    is_private = any(column.privacy is not Privacy.PUBLIC for column in columns)
    return {"layer": layer, "domain": TOTESYS.name, **({"pii": "true"} if is_private else {})}


def _schema(columns: Sequence[Column], key: Sequence[str]) -> TableSchema:
    return TableSchema(
        columns=[
            TableColumn(
                name=column.name,
                type=column.type,
                description=column.description,
                constraints=TableColumnConstraints(
                    nullable=column.nullable, other=["primary key"] if column.name in key else []
                ),
                tags={} if column.privacy is Privacy.PUBLIC else {"privacy": column.privacy.value},
            )
            for column in columns
        ]
    )
