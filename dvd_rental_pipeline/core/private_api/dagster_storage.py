"""Private names of Dagster's storages. Importing them loads SQLAlchemy, which takes a third of a second.

Where only an annotation needs a name, import it under `TYPE_CHECKING`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

# No public alternative: what `DagsterInstance.get_asset_records()` returns.
# No public alternative: `storage: sqlite:` in a dagster.yaml configures these, and no option keeps their files
# open or sets how long they wait for a lock.
from dagster._core.storage.event_log.base import AssetRecord, EventLogStorage
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite import SqliteEventLogStorage

# No public alternative: a dagster.yaml names its class, and only local files may be deleted with their run.
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.schedules import SqliteScheduleStorage
from dagster._core.storage.schedules.base import ScheduleStorage
from dagster._core.storage.schedules.sql_schedule_storage import SqlScheduleStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage

# No public alternative: the entry of a dagster.yaml, passed to every class that it configures.
from dagster._serdes import ConfigurableClassData
from sqlalchemy import DateTime, text

__all__ = [
    "AssetRecord",
    "ConfigurableClassData",
    "DagsterSqliteStorage",
    "LocalComputeLogManager",
    "SqliteEventLogStorage",
    "SqliteRunStorage",
    "SqliteScheduleStorage",
    "delete_check_results",
    "delete_evaluations",
    "read_earlier_check_results",
]

# SQLite takes at most 500 selects in one statement.
_SELECTS_PER_STATEMENT = 100


def delete_check_results(storage: EventLogStorage, run_id: str) -> None:
    """Delete the results of checks of a deleted run, except the last one of each check.

    Dagster's own storages keep all of them. No public alternative: nothing else deletes them.
    """
    if isinstance(storage, SqlEventLogStorage):
        with storage.index_connection() as connection:
            connection.execute(
                text(
                    "delete from asset_check_executions where run_id = :run_id and id not in"
                    " (select max(id) from asset_check_executions group by asset_key, check_name)"
                ),
                {"run_id": run_id},
            )


def read_earlier_check_results(
    storage: EventLogStorage, before: Mapping[dg.AssetCheckKey, int], limit: int
) -> Mapping[dg.AssetCheckKey, Sequence[Mapping[str, Any]]] | None:
    """The last `limit` results of each check before the one whose id `before` has, newest first.

    A result is the columns `run_id`, `execution_status`, `at` (in UTC, without a time zone) and
    `evaluation_event`, which is null if the check passed. None if `storage` has no such table.

    `get_asset_check_execution_history()`, the alternative, takes a statement per check and deserializes every
    event: six seconds of processor time for ten results of 500 checks.
    """
    if not isinstance(storage, SqlEventLogStorage):
        return None
    keys = list(before)
    results: dict[dg.AssetCheckKey, list[Mapping[str, Any]]] = {key: [] for key in keys}
    with storage.index_connection() as connection:
        for start in range(0, len(keys), _SELECTS_PER_STATEMENT):
            asked = range(start, min(start + _SELECTS_PER_STATEMENT, len(keys)))
            selects = [
                f"select * from (select {number} as number, id, run_id, execution_status,"
                " coalesce(evaluation_event_timestamp, create_timestamp) as at,"
                " case when execution_status != 'SUCCEEDED' then evaluation_event end as evaluation_event"
                " from asset_check_executions"
                f" where asset_key = :asset_{number} and check_name = :name_{number} and id < :id_{number}"
                f" order by id desc limit :limit) as results_{number}"
                for number in asked
            ]
            values: dict[str, Any] = {"limit": limit}
            for number in asked:
                values[f"asset_{number}"] = keys[number].asset_key.to_string()
                values[f"name_{number}"] = keys[number].name
                values[f"id_{number}"] = before[keys[number]]
            statement = text(f"{' union all '.join(selects)} order by number, id desc").columns(at=DateTime)
            for row in connection.execute(statement, values).mappings():
                results[keys[row["number"]]].append(dict(row))
    return results


def delete_evaluations(storage: ScheduleStorage | None, before: float) -> None:
    """Delete evaluations of automation conditions from before a time, in seconds since 1970.

    The storage of Dagster+ deletes them itself, and refuses to be asked. No public alternative: the daemon
    deletes only those of conditions that it evaluates itself.
    """
    if isinstance(storage, SqlScheduleStorage) and storage.supports_auto_materialize_asset_evaluations:
        storage.purge_asset_evaluations(before)
