"""When assets were materialized, in the order of the event log."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import dagster as dg
from dagster import AssetRecordsFilter

# The most that Dagster returns at a time.
MAX_RECORDS = 10_000


@dataclass(frozen=True)
class Materialization:
    """An event: its place in the log, and the time on the daemons' clock."""

    number: int
    time: datetime


def read_materializations(instance: dg.DagsterInstance, key: dg.AssetKey) -> list[Materialization]:
    """All materializations of `key`, oldest first."""
    records = instance.fetch_materializations(
        AssetRecordsFilter(key), limit=MAX_RECORDS, ascending=True
    ).records
    return [
        Materialization(record.storage_id, datetime.fromtimestamp(record.timestamp, UTC)) for record in records
    ]


def builds_without_cause(built: list[Materialization], inputs: list[Materialization]) -> list[datetime]:
    """Builds since the second, before which no input was updated after the build before."""
    return [
        build.time
        for last, build in pairwise(built)
        if not any(last.number < update.number < build.number for update in inputs)
    ]


def updates_without_build(
    built: list[Materialization], inputs: list[Materialization], *, within: timedelta, until: datetime
) -> list[datetime]:
    """Updates of an input, early enough before `until`, that no build followed `within` that time."""
    return [
        update.time
        for update in inputs
        if update.time + within <= until
        and not any(update.number < build.number and build.time <= update.time + within for build in built)
    ]
