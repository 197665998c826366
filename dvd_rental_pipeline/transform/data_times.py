"""As of when each table speaks: the newest commit of the source that may be in it.

A table is as old as the oldest of what it was built from. Views have no time of their own: they show what they
read.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.warehouse.resource import Warehouse

DATA_AS_OF = "data_as_of"
"""Metadata of a materialization: the newest commit of the source that may be in the table, a timestamp."""


def newest_commit(warehouse: Warehouse, domain: Domain) -> datetime | None:
    """When the newest change that the raw tables of `domain` hold was committed; None while they are empty.

    Raises:
        PipelineError: the warehouse cannot be asked.
    """
    each = " union all ".join(
        f"select max(cast(_ab_cdc_updated_at as timestamp)) as committed from {domain.name}.{table.name}"
        for table in domain.tables
    )
    sql = f"select cast(max(committed) as varchar) from ({each}) as newest"
    ((newest,),) = warehouse.query(sql).values
    return None if newest is None else datetime.fromisoformat(str(newest)).replace(tzinfo=UTC)


def noted_data_times(
    instance: dg.DagsterInstance, keys: Sequence[dg.AssetKey]
) -> Mapping[dg.AssetKey, datetime]:
    """As of when the tables `keys` speak, as the last build of each noted; without those that noted nothing."""
    times = {}
    for record in instance.get_asset_records(keys):
        event = record.asset_entry.last_materialization
        materialization = event.asset_materialization if event else None
        noted = materialization.metadata.get(DATA_AS_OF) if materialization else None
        if isinstance(noted, dg.TimestampMetadataValue):
            times[record.asset_entry.asset_key] = datetime.fromtimestamp(noted.value, UTC)
    return times


def data_times(
    asked: Collection[str],
    built: Collection[str],
    nodes: Mapping[str, Any],
    newest: datetime,
    known: Callable[[str], datetime | None],
) -> Mapping[str, datetime]:
    """As of when each table of `asked` speaks, by dbt's id, once those of `built` are built.

    `nodes` are the nodes of dbt's manifest, `newest` is as of when the sources speak, and `known` tells the
    same of a table that an earlier build has made. What stands on one of which it is not known is left out.
    """
    times: dict[str, datetime | None] = {}

    def time_of(unique_id: str) -> datetime | None:
        if unique_id not in nodes:
            return newest
        if unique_id not in times:
            is_view = nodes[unique_id]["config"]["materialized"] == "view"
            times[unique_id] = oldest(unique_id) if is_view or unique_id in built else known(unique_id)
        return times[unique_id]

    def oldest(unique_id: str) -> datetime | None:
        inputs = [time_of(parent) for parent in nodes[unique_id]["depends_on"]["nodes"]]
        found = [time for time in inputs if time is not None]
        return min(found, default=newest) if len(found) == len(inputs) else None

    told = {unique_id: time_of(unique_id) for unique_id in asked}
    return {unique_id: time for unique_id, time in told.items() if time is not None}
