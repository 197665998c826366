"""The local history of runs: Dagster's own SQLite files, accessed with engines that are kept.

Dagster creates an engine per statement, so that each statement is compiled again, and closes the file after it,
whereupon SQLite checkpoints its log. With engines that are kept, the results of 300 checks take a third of the
CPU. It compares the schema with its migrations whenever an instance is opened, which is once for every tick of
a sensor; here, once per process. It opens a file for each result of a check to see whether a table exists.
All files wait for a writer for a minute: with Dagster's five seconds, a daemon beside a run on a busy machine
fails with "database is locked". A commit does not wait for the disk: after a power failure the last events may
be missing, but the files are whole.
"""

import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from functools import cache
from pathlib import Path
from threading import RLock
from typing import Any, Self

from dagster import EventLogEntry
from filelock import FileLock
from sqlalchemy import Connection, Engine, NullPool, Pool, QueuePool, create_engine
from sqlalchemy.event import listen

from dvd_rental_pipeline.core.private_api.dagster_storage import (
    ConfigurableClassData,
    DagsterSqliteStorage,
    SqliteEventLogStorage,
    SqliteRunStorage,
    SqliteScheduleStorage,
    delete_check_results,
)

# Files that stay open: the index of all runs, and the runs used last.
OPEN_FILES = 4
# Another process may be writing.
BUSY_SECONDS = 60
INDEX_SHARD = "index"
# Dagster writes what a run plans in batches of this size; it reads the size from this variable alone.
BATCH_SIZE_VARIABLE = "DAGSTER_EVENT_BATCH_SIZE"
BATCH_SIZE = "1000"

# Files whose schema this process has compared with Dagster's migrations.
_verified: set[str] = set()


class EventLog(SqliteEventLogStorage):
    """Dagster's event log in SQLite, with files that stay open."""

    def __init__(self, base_dir: str) -> None:
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._tables: set[str] = set()
        # The transactions of a batch, by file, and what ends them.
        self._batch: dict[str, Connection] | None = None
        self._batch_ends = ExitStack()
        super().__init__(base_dir)
        # Within a batch, the thread that holds the lock uses the same connections again.
        self._db_lock = RLock()  # type: ignore[assignment]  # a Lock in Dagster

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            if self._batch is None:
                with self._transaction(shard) as connection:
                    yield connection
            else:
                if shard not in self._batch:
                    self._batch[shard] = self._batch_ends.enter_context(self._transaction(shard))
                yield self._batch[shard]

    @contextmanager
    def _transaction(self, shard: str) -> Iterator[Connection]:
        engine = self._engines.pop(shard, None) or _create_engine(
            self.conn_string_for_shard(shard), QueuePool, check_same_thread=False
        )
        self._engines[shard] = engine
        if len(self._engines) > OPEN_FILES:
            self._engines.popitem(last=False)[1].dispose()
        if shard not in self._initialized_dbs:
            if shard == INDEX_SHARD:
                _verify(self.path_for_shard(shard), lambda: self._initdb(engine))
            else:
                self._initdb(engine)
            self._initialized_dbs.add(shard)
        with engine.connect() as connection, connection.begin():
            yield connection

    def has_table(self, table_name: str) -> bool:
        """Whether the index has the table; it is not asked again for a table that exists."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    @contextmanager
    def _one_transaction_per_file(self) -> Iterator[None]:
        with self._db_lock, self._batch_ends:
            self._batch = {}
            try:
                yield
            finally:
                self._batch = None

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store the events in one transaction per file."""
        with self._one_transaction_per_file():
            super().store_event_batch(events)

    def store_event(self, event: EventLogEntry) -> None:
        """Store the event in one transaction per file, where Dagster has up to three, and notify watchers.

        The UI polls the modification time of the run's file, to which SQLite seldom writes while it is open.
        """
        with self._db_lock, nullcontext() if self._batch is not None else self._one_transaction_per_file():
            super().store_event(event)
        os.utime(self.path_for_shard(event.run_id))

    def delete_events(self, run_id: str) -> None:
        """Delete the file of the run, and what the index has of it, except the last result of a check.

        Dagster would empty the file and keep it, with all results of checks.
        """
        super().delete_events(run_id)
        delete_check_results(self, run_id)
        with self._db_lock:
            engine = self._engines.pop(run_id, None)
            if engine is not None:
                engine.dispose()
            self._initialized_dbs.discard(run_id)
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self.path_for_shard(run_id)}{suffix}").unlink(missing_ok=True)

    def dispose(self) -> None:
        """Close the files."""
        while self._engines:
            self._engines.popitem()[1].dispose()
        super().dispose()


class RunStorage(SqliteRunStorage):
    """Dagster's runs in SQLite."""

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A transaction that waits for other writers."""
        with _engine(self._conn_string).connect() as connection, connection.begin():
            yield connection


class ScheduleStorage(SqliteScheduleStorage):
    """Dagster's schedules, sensors and their ticks in SQLite."""

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A transaction that waits for other writers."""
        with _engine(self._conn_string).connect() as connection, connection.begin():
            yield connection


class RunHistory(DagsterSqliteStorage):
    """Dagster's storage in SQLite files below `base_dir`, for `storage: custom:` of a `dagster.yaml`."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        os.environ.setdefault(BATCH_SIZE_VARIABLE, BATCH_SIZE)
        # Not that of DagsterSqliteStorage, which opens Dagster's own storages.
        super(DagsterSqliteStorage, self).__init__()  # type: ignore[no-untyped-call]
        self.base_dir = base_dir
        self._inst_data = inst_data
        runs = Path(base_dir).absolute() / "history" / "runs.db"
        schedules = Path(base_dir).absolute() / "schedules" / "schedules.db"
        _verify(str(runs), lambda: RunStorage.from_local(str(runs.parent)))
        _verify(str(schedules), lambda: ScheduleStorage.from_local(str(schedules.parent)))
        self._run_storage = RunStorage(f"sqlite:///{runs}")
        self._event_log_storage = EventLog(str(runs.with_suffix("")))
        self._schedule_storage = ScheduleStorage(f"sqlite:///{schedules}")

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        """Called by Dagster to create the storage from a `dagster.yaml`."""
        return cls.from_local(inst_data=inst_data, **config_value)


@cache
def _engine(url: str) -> Engine:
    # Without a pool: a connection costs a fraction of a millisecond, and no file stays open.
    return _create_engine(url, NullPool)


def _create_engine(url: str, pool: type[Pool], **connect_args: bool) -> Engine:
    engine = create_engine(url, poolclass=pool, connect_args={"timeout": BUSY_SECONDS, **connect_args})
    listen(engine, "connect", lambda connection, _: connection.execute("pragma synchronous = normal"))
    return engine


def _verify(file: str, create: Callable[[], object]) -> None:
    """Call `create`, which creates or verifies the schema of `file`: once, one process at a time."""
    if file in _verified and Path(file).exists():
        return
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{file}.lock", timeout=BUSY_SECONDS):
        create()
    _verified.add(file)
