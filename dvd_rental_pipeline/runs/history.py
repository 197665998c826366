"""The local history of runs: Dagster's own SQLite files, accessed with engines that are kept.

Dagster creates an engine per statement, so that each statement is compiled again, and closes the file after it,
whereupon SQLite checkpoints its log. With engines that are kept, the results of 300 checks take a third of the
CPU.
"""

import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

from dagster import EventLogEntry
from sqlalchemy import Connection, Engine, QueuePool, create_engine

from dvd_rental_pipeline.core.private_api.dagster_storage import (
    ConfigurableClassData,
    DagsterSqliteStorage,
    SqliteEventLogStorage,
)

# Files that stay open: the index of all runs, and the runs used last.
OPEN_FILES = 4
# Another process may be writing.
BUSY_SECONDS = 60


class EventLog(SqliteEventLogStorage):
    """Dagster's event log in SQLite, with files that stay open."""

    def __init__(self, base_dir: str) -> None:
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        super().__init__(base_dir)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            engine = self._engines.pop(shard, None) or create_engine(
                self.conn_string_for_shard(shard),
                poolclass=QueuePool,
                connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
            )
            self._engines[shard] = engine
            if len(self._engines) > OPEN_FILES:
                self._engines.popitem(last=False)[1].dispose()
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.connect() as connection, connection.begin():
                yield connection

    def store_event(self, event: EventLogEntry) -> None:
        """Store the event and notify watchers of the run.

        The UI polls the modification time of the run's file, to which SQLite seldom writes while it is open.
        """
        super().store_event(event)
        os.utime(self.path_for_shard(event.run_id))

    def dispose(self) -> None:
        """Close the files."""
        while self._engines:
            self._engines.popitem()[1].dispose()
        super().dispose()


class RunHistory(DagsterSqliteStorage):
    """Dagster's storage in SQLite files below `base_dir`, for `storage: custom:` of a `dagster.yaml`."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(base_dir, inst_data)
        self._event_log_storage = EventLog(self._event_log_storage._base_dir)

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        """Called by Dagster to create the storage from a `dagster.yaml`."""
        return cls.from_local(inst_data=inst_data, **config_value)
