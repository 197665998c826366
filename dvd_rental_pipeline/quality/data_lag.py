"""Whether every snapshot, mart and report shows what was synced within the time that its layer allows.

Freshness policies measure when a table was built. A table may be built on time from data that no longer change,
or not at all because a check blocks it. Every sync evaluates these checks.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import dagster as dg

from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.runbook import FAILED_ROWS, RUNBOOK, Section
from dvd_rental_pipeline.quality import durations
from dvd_rental_pipeline.quality.durations import format_duration, parse_time
from dvd_rental_pipeline.transform.data_times import DATA_AS_OF, newest_commits, stored_data_times
from dvd_rental_pipeline.warehouse.interface import TableName
from dvd_rental_pipeline.warehouse.resource import WarehouseResource
from dvd_rental_pipeline.warehouse.table_columns import read_table_columns

# Snowflake prints times to the millisecond: a stored time may be that much too early.
PRINTED_PRECISION = timedelta(milliseconds=1)
# After the sync in the same run.
LOW_PRIORITY = {"dagster/priority": "-100"}


@dataclass(frozen=True)
class TrackedTable:
    """A table that must show what is new in `sources`, the asset keys of raw tables, within `limit`."""

    asset: dg.AssetKey
    sources: Collection[dg.AssetKey]
    limit: timedelta

    @property
    def spec(self) -> dg.AssetCheckSpec:
        """The check of this table. It warns: old numbers are not wrong."""
        hours = self.limit // timedelta(hours=1)
        return dg.AssetCheckSpec(
            name="data_lag_is_short",
            asset=self.asset,
            description=f"The table shows every change that was synced more than {hours} h ago.",
            metadata={RUNBOOK: Section.DATA_LAG.reference},
        )


@dataclass(frozen=True)
class Backlog:
    """Rows of the raw tables that changed after a build: their number, and when the first was synced."""

    rows: int = 0
    since: datetime | None = None

    def __add__(self, other: "Backlog") -> "Backlog":
        times = [since for since in (self.since, other.since) if since is not None]
        return Backlog(self.rows + other.rows, min(times, default=None))


def build_data_lag_checks(tables: Sequence[TrackedTable]) -> dg.AssetChecksDefinition:
    """One step with a check for each of `tables`."""
    tracked = {table.spec.key: table for table in tables}

    @dg.multi_asset_check(
        name="data_lag",
        specs=[table.spec for table in tracked.values()],
        can_subset=True,
        op_tags=LOW_PRIORITY,
        description="Compares what the tables show with what was synced. Changes nothing.",
    )
    def data_lag(
        context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource
    ) -> Iterator[dg.AssetCheckResult]:
        selected = [tracked[key] for key in tracked if key in context.selected_asset_check_keys]
        times = stored_data_times(context.instance, [table.asset for table in selected])
        try:
            backlogs = _read_backlogs(warehouse, [table for table in selected if table.asset in times], times)
        except PipelineError as error:
            raise dg.Failure(description=str(error), allow_retries=False) from None
        now = durations.utc_now()
        for table in selected:
            yield evaluate_lag(table, times.get(table.asset), backlogs.get(table.asset, Backlog()), now)

    return data_lag


def evaluate_lag(
    table: TrackedTable, as_of: datetime | None, backlog: Backlog, now: datetime
) -> dg.AssetCheckResult:
    """The result for a table whose data timestamp is `as_of`, with `backlog` not yet in it."""
    waiting = max(timedelta(), now - backlog.since) if backlog.since else timedelta()
    metadata: dict[str, Any] = {
        "lag_seconds": waiting.total_seconds(),
        "limit_seconds": table.limit.total_seconds(),
        FAILED_ROWS: backlog.rows if waiting > table.limit else 0,
        "waiting_rows": backlog.rows,
    }
    if as_of is None:
        found = "Not known: no build has recorded the data timestamp of the table yet."
    else:
        metadata[DATA_AS_OF] = dg.MetadataValue.timestamp(as_of)
        found = f"The table shows what was committed until {as_of:%Y-%m-%d %H:%M:%S} UTC"
        found += (
            f"; {backlog.rows:,} rows changed since, and wait for up to {format_duration(waiting)}."
            if backlog.rows
            else ", and nothing has changed since."
        )
    return dg.AssetCheckResult(
        asset_key=table.asset,
        check_name=table.spec.name,
        passed=waiting <= table.limit,
        severity=dg.AssetCheckSeverity.WARN,
        description=found,
        metadata=metadata,
    )


def _read_backlogs(
    warehouse: WarehouseResource, tables: Sequence[TrackedTable], times: Mapping[dg.AssetKey, datetime]
) -> Mapping[dg.AssetKey, Backlog]:
    """The backlog of each table, by two statements. Tables of one build share their questions."""
    sources = {source for table in tables for source in table.sources}
    if not sources:
        return {}
    with warehouse.reading() as reader:
        present = read_table_columns(reader, {source.path[0] for source in sources})
        newest = newest_commits(
            reader, [name for name in (TableName(*source.path) for source in sources) if name in present]
        )
        # Counting reads every row. What a build has seen the newest commit of has no backlog.
        questions = sorted(
            {
                (source, times[table.asset])
                for table in tables
                for source in table.sources
                if (commit := newest.get(TableName(*source.path))) is not None and commit > times[table.asset]
            }
        )
        # When a row was read, not when it was committed: a change that was synced late has not waited here.
        selects = [
            f"select {number} as question, count(*) as changed, cast(min(_airbyte_extracted_at) as varchar) as "
            f"since from {'.'.join(source.path)} where cast(_ab_cdc_updated_at as timestamp)"
            f" > cast('{time + PRINTED_PRECISION:%Y-%m-%d %H:%M:%S.%f}' as timestamp)"
            for number, (source, time) in enumerate(questions)
        ]
        rows = reader.query(" union all ".join(selects)).values if selects else []
    answers = {
        questions[int(number)]: Backlog(int(changed), None if since is None else parse_time(since))
        for number, changed, since in rows
    }
    return {
        table.asset: sum(
            (answers.get((source, times[table.asset]), Backlog()) for source in table.sources), Backlog()
        )
        for table in tables
    }
