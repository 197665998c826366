"""The last executions of each check, from a Dagster instance whatever storage it has.

An SQL storage answers for a hundred checks per query, and without the events of evaluations that passed. For
another one, that of Dagster+, it takes one query per check; several run at a time, so that their latency does
not add up.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC
from typing import Any

import dagster as dg

from dvd_rental_pipeline.core.private_api.dagster import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)

CONNECTIONS = 8

Latest = Mapping[dg.AssetCheckKey, AssetCheckExecutionRecord]


@dataclass(frozen=True)
class CheckExecution:
    """An execution of a check. `at` is in seconds since 1970. There may be no `event` of one that passed."""

    run_id: str
    status: AssetCheckExecutionRecordStatus
    at: float
    event: dg.EventLogEntry | None

    @classmethod
    def of(cls, record: AssetCheckExecutionRecord) -> "CheckExecution":
        """What `record` says."""
        at = record.event.timestamp if record.event else record.create_timestamp
        return cls(record.run_id, record.status, at, record.event)

    @property
    def evaluation(self) -> dg.AssetCheckEvaluation | None:
        """What was found; None while the check is planned, and without an `event`."""
        if self.event is None or self.event.dagster_event is None:
            return None
        is_planned = self.status is AssetCheckExecutionRecordStatus.PLANNED
        return None if is_planned else self.event.dagster_event.asset_check_evaluation_data


def read_histories(
    instance: dg.DagsterInstance, latest: Latest, length: int
) -> Mapping[dg.AssetCheckKey, Sequence[CheckExecution]]:
    """The executions of each check up to its `latest` one: at most `length`, newest first."""
    # Its module loads SQLAlchemy, which takes a third of a second.
    from dvd_rental_pipeline.core.private_api.dagster_storage import (  # noqa: PLC0415
        read_earlier_check_results,
    )

    before = {key: record.id for key, record in latest.items()}
    rows = read_earlier_check_results(instance.event_log_storage, before, length - 1)
    if rows is None:
        earlier = read_earlier_by_check(instance, latest, length - 1)
    else:
        earlier = {key: [_from_row(row) for row in rows[key]] for key in latest}
    return {key: [CheckExecution.of(record), *earlier[key]] for key, record in latest.items()}


def read_earlier_by_check(
    instance: dg.DagsterInstance, latest: Latest, limit: int
) -> Mapping[dg.AssetCheckKey, Sequence[CheckExecution]]:
    """The last executions of each check before its `latest` one, by one query per check."""

    def earlier(key: dg.AssetCheckKey) -> Sequence[CheckExecution]:
        records = instance.event_log_storage.get_asset_check_execution_history(
            key, limit=limit, cursor=latest[key].id
        )
        return [CheckExecution.of(record) for record in records]

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        return dict(zip(latest, pool.map(earlier, latest), strict=True))


def _from_row(row: Mapping[str, Any]) -> CheckExecution:
    event = row["evaluation_event"]
    return CheckExecution(
        run_id=row["run_id"],
        status=AssetCheckExecutionRecordStatus(row["execution_status"]),
        at=row["at"].replace(tzinfo=UTC).timestamp(),
        event=None if event is None else dg.deserialize_value(event, dg.EventLogEntry),
    )
