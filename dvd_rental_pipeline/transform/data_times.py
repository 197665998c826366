"""The data timestamp of each table: no commit of the source up to it is missing from the table.

A table is as stale as its stalest input. A view has no data timestamp of its own: it shows its inputs.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.transform.manifest import Manifest
from dvd_rental_pipeline.warehouse.interface import Reader, TableName

DATA_AS_OF = "data_as_of"
"""Metadata of a materialization: the data timestamp of the table."""

_TO_THE_SECOND = len("2026-03-02T12:00:00")


@dataclass(frozen=True)
class DataTimes:
    """Data timestamps while models are built.

    Attributes:
        manifest: the models and their inputs.
        newest: newest commit in the raw tables, by domain; empty if unknown.
        stored: data timestamps from the latest materializations, by unique id.
    """

    manifest: Manifest
    newest: Mapping[str, datetime]
    stored: Mapping[str, datetime]

    def of(self, unique_ids: Collection[str], built: Collection[str]) -> Mapping[str, datetime]:
        """The data timestamps of `unique_ids` once `built` are built; without those that are unknown."""
        if not self.newest:
            return {}
        times: dict[str, datetime | None] = {}

        def time_of(unique_id: str) -> datetime | None:
            model = self.manifest.models.get(unique_id)
            if model is None:
                return self.newest.get(self.manifest.sources[unique_id].schema)
            if unique_id not in times:
                from_inputs = model.is_view or unique_id in built
                times[unique_id] = oldest(model.parents) if from_inputs else self.stored.get(unique_id)
            return times[unique_id]

        def oldest(parents: Sequence[str]) -> datetime | None:
            inputs = [time_of(parent) for parent in parents]
            known = [time for time in inputs if time is not None]
            return min(known, default=max(self.newest.values())) if len(known) == len(inputs) else None

        requested = {unique_id: time_of(unique_id) for unique_id in unique_ids}
        return {unique_id: time for unique_id, time in requested.items() if time is not None}


def read_data_times(
    manifest: Manifest,
    domains: Sequence[Domain],
    instance: dg.DagsterInstance,
    reader: Reader,
    warn: Callable[[str], None],
) -> DataTimes:
    """The data timestamps before a build. Call it before dbt starts, which may lock the warehouse."""
    newest: dict[str, datetime] = {}
    for domain in domains:
        try:
            commit = newest_commit(reader, domain)
        except PipelineError as error:
            warn(f"The data timestamps of tables built from {domain.name} are unknown in this run: {error}")
        else:
            if commit is not None:
                newest[domain.name] = commit
    if not newest:
        return DataTimes(manifest, {}, {})
    keys = {dg.AssetKey(model.key): unique_id for unique_id, model in manifest.models.items()}
    stored = stored_data_times(instance, list(keys))
    return DataTimes(manifest, newest, {keys[key]: time for key, time in stored.items()})


def newest_commit(reader: Reader, domain: Domain) -> datetime | None:
    """Commit time of the newest change in the raw tables of `domain`; None if they are empty.

    Raises:
        PipelineError: the warehouse cannot be queried.
    """
    tables = [TableName(domain.name, table.name) for table in domain.tables]
    return max(newest_commits(reader, tables).values(), default=None)


def newest_commits(reader: Reader, tables: Sequence[TableName]) -> Mapping[TableName, datetime]:
    """Commit time of the newest change in each of the raw tables `tables`; without those that are empty.

    Snowflake prints them rounded down to the millisecond.

    Raises:
        PipelineError: the warehouse cannot be queried, or lacks a table.
    """
    # The texts have fractions of a second or not, so that the greatest is that of the newest second, but maybe
    # not of the newest commit. To cast few of them takes a tenth of the time that all take.
    selects = [
        f"select {number} as number, cast(max(cast(committed as timestamp)) as varchar) as newest from ("
        f"select distinct _ab_cdc_updated_at as committed from {table} where _ab_cdc_updated_at"
        f" >= (select left(max(_ab_cdc_updated_at), {_TO_THE_SECOND}) from {table})) as commits"
        for number, table in enumerate(tables)
    ]
    rows = reader.query(" union all ".join(selects)).values if selects else []
    return {
        tables[int(number)]: datetime.fromisoformat(str(newest)).replace(tzinfo=UTC)
        for number, newest in rows
        if newest is not None
    }


def stored_data_times(
    instance: dg.DagsterInstance, keys: Sequence[dg.AssetKey]
) -> Mapping[dg.AssetKey, datetime]:
    """The data timestamps in the latest materializations of `keys`; without assets that have none."""
    times = {}
    for record in instance.get_asset_records(keys):
        event = record.asset_entry.last_materialization
        materialization = event.asset_materialization if event else None
        timestamp = materialization.metadata.get(DATA_AS_OF) if materialization else None
        if isinstance(timestamp, dg.TimestampMetadataValue):
            times[record.asset_entry.asset_key] = datetime.fromtimestamp(timestamp.value, UTC)
    return times
