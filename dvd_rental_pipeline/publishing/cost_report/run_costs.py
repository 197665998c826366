"""The cost of one run, by asset: from the metadata of its events, and the durations of its steps."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeAlias

import dagster as dg

from dvd_rental_pipeline.transform.reused import REUSED

EXECUTION_DURATION = "Execution Duration"
"""Metadata of a model and of a test of dbt: its seconds in the warehouse."""
SECONDS = "seconds"
ROW_COUNT = "dagster/row_count"
BYTES = "bytes"
JOB_BYTES, ROWS_SYNCED = "airbyte_job_bytes", "rows_synced"
"""Airbyte names the bytes of a job, and the rows of each table."""
Metadata: TypeAlias = Mapping[str, dg.MetadataValue]
# A page of events; a run of the whole graph has about two thousand.
_PAGE = 1000
_EVENTS = {
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
}


@dataclass
class AssetDay:
    """What an asset, with its checks, has cost on a day (UTC, ISO 8601).

    `builds` and `reused` count its materializations with and without work, `rows` adds up its row counts after
    builds, and `bytes` what was loaded or published.
    """

    asset: str
    day: str
    builds: int = 0
    reused: int = 0
    seconds: float = 0.0
    rows: int = 0
    bytes: int = 0


@dataclass
class _Step:
    """The assets of a step whose seconds are known, and those that share what remains."""

    known: float = 0.0
    sharing: list[AssetDay] = field(default_factory=list)


def run_costs(instance: dg.DagsterInstance, run_id: str) -> list[AssetDay]:
    """What the run has cost, by asset and day.

    Seconds that no event names, such as those of starting dbt, are shared by the assets of the step without
    seconds of their own; a step without such assets has them under the name `step NAME`.
    """
    days: dict[tuple[str, str], AssetDay] = {}
    steps: dict[str, _Step] = defaultdict(_Step)
    synced: list[tuple[AssetDay, int, int]] = []
    for entry in _events(instance, run_id):
        event = entry.dagster_event
        if event is None or entry.step_key is None:
            continue
        is_check = event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION
        part = (
            event.asset_check_evaluation_data if is_check else event.step_materialization_data.materialization
        )
        asset, day, metadata = part.asset_key.to_user_string(), _day(entry.timestamp), part.metadata
        cost = days.setdefault((asset, day), AssetDay(asset, day))
        is_reused = REUSED in metadata
        if not is_check:
            cost.builds += not is_reused
            cost.reused += is_reused
            if not is_reused:
                cost.rows += _whole(metadata, ROW_COUNT)
                cost.bytes += _whole(metadata, BYTES)
            if JOB_BYTES in metadata:
                synced.append((cost, _whole(metadata, ROWS_SYNCED), _whole(metadata, JOB_BYTES)))
        if is_reused:
            continue
        step, seconds = steps[entry.step_key], _seconds(metadata)
        if seconds is None:
            step.sharing.append(cost)
        else:
            cost.seconds += seconds
            step.known += seconds
    # The bytes of a job are those of all of its tables.
    rows = sum(count for _, count, _ in synced)
    for cost, count, size in synced:
        cost.bytes += round(size * count / rows) if rows else 0
    for stats in instance.get_run_step_stats(run_id):
        if stats.start_time is None or stats.end_time is None:
            continue
        step = steps[stats.step_key]
        rest = max(0.0, stats.end_time - stats.start_time - step.known)
        name, day = f"step {stats.step_key}", _day(stats.end_time)
        for cost in step.sharing or [days.setdefault((name, day), AssetDay(name, day))]:
            cost.seconds += rest / max(1, len(step.sharing))
    return list(days.values())


def _events(instance: dg.DagsterInstance, run_id: str) -> Iterator[dg.EventLogEntry]:
    cursor, has_more = None, True
    while has_more:
        page = instance.get_records_for_run(run_id, cursor=cursor, of_type=_EVENTS, limit=_PAGE)
        yield from (record.event_log_entry for record in page.records)
        cursor, has_more = page.cursor, page.has_more


def _day(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).date().isoformat()


def _seconds(metadata: Metadata) -> float | None:
    for name in (EXECUTION_DURATION, SECONDS):
        value = metadata.get(name)
        if isinstance(value, dg.FloatMetadataValue | dg.IntMetadataValue) and value.value is not None:
            return float(value.value)
    return None


def _whole(metadata: Metadata, name: str) -> int:
    value = metadata.get(name)
    return value.value or 0 if isinstance(value, dg.IntMetadataValue) else 0
