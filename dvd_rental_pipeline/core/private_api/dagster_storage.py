"""Private names of Dagster's storages. Importing them loads SQLAlchemy, which takes a third of a second.

Where only an annotation needs a name, import it under `TYPE_CHECKING`.
"""

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
from sqlalchemy import text

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
]


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


def delete_evaluations(storage: ScheduleStorage | None, before: float) -> None:
    """Delete evaluations of automation conditions from before a time, in seconds since 1970.

    The storage of Dagster+ deletes them itself, and refuses to be asked. No public alternative: the daemon
    deletes only those of conditions that it evaluates itself.
    """
    if isinstance(storage, SqlScheduleStorage) and storage.supports_auto_materialize_asset_evaluations:
        storage.purge_asset_evaluations(before)
