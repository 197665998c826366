"""The replication slot: reading, locking, creating, advancing and dropping it."""

import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg.pq import ExecStatus
from psycopg.rows import class_row

from dvd_rental_pipeline.ingestion.postgres_cdc.connect.session import (
    ReplicationError,
    connect,
    error_message,
    place,
    translate_errors,
)
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.text_forms import format_lsn, parse_lsn, quoted

_ALLOWED_SHARE = 0.5
_ALLOWED_BYTES_WITHOUT_LIMIT = 1 << 30


@dataclass(frozen=True)
class ReplicationSlot:
    """A replication slot as `pg_replication_slots` shows it.

    Attributes:
        kind: `logical` or `physical`.
        plugin: the output plugin of a logical slot.
        database: the database of a logical slot; `in_this_database` compares it with the session's.
        status: `wal_status`, or `unknown`.
        active: whether a session is using it.
        confirmed: the LSN up to which its reader confirmed receipt, in bytes.
        retained_bytes: how much WAL it makes the server keep.
        limit_bytes: how much it may make the server keep (`max_slot_wal_keep_size`); None without a limit.
        lost: why its changes can no longer be read; None while they can.
    """

    name: str
    kind: str
    plugin: str | None
    database: str | None
    in_this_database: bool
    status: str
    active: bool
    confirmed: int | None
    retained_bytes: int
    limit_bytes: int | None
    lost: str | None

    @property
    def streams_this_database(self) -> bool:
        """Whether it is a logical slot for pgoutput in the session's database."""
        return self.kind == "logical" and self.plugin == "pgoutput" and self.in_this_database


def allowed_bytes(limit_bytes: int | None) -> int:
    """How much WAL a slot may make the server keep before syncs count as too slow, in bytes.

    Half of the server's own limit (`max_slot_wal_keep_size`); 1 GiB where the server sets none.
    """
    return _ALLOWED_BYTES_WITHOUT_LIMIT if limit_bytes is None else int(limit_bytes * _ALLOWED_SHARE)


def read_slot(connection: psycopg.Connection, name: str) -> ReplicationSlot | None:
    """The slot called `name`; None if the server has no such slot.

    Raises:
        psycopg.Error: the query failed.
    """
    with connection.cursor(row_factory=class_row(ReplicationSlot)) as cursor:
        return cursor.execute(_SLOT_SQL, [name]).fetchone()


# The column invalidation_reason exists since PostgreSQL 17; reading the row as JSON works in older versions.
_SLOT_SQL = """
select
    s.slot_name::text as name,
    s.slot_type as kind,
    s.plugin::text as plugin,
    s.database::text as database,
    coalesce(s.database = current_database(), false) as in_this_database,
    coalesce(s.wal_status, 'unknown') as status,
    s.active,
    (s.confirmed_flush_lsn - '0/0'::pg_lsn)::bigint as confirmed,
    coalesce(pg_current_wal_lsn() - s.restart_lsn, 0)::bigint as retained_bytes,
    (
        select nullif(setting::bigint, -1) * 1048576 from pg_settings where name = 'max_slot_wal_keep_size'
    ) as limit_bytes,
    case
        when s.wal_status = 'lost' or to_jsonb(s) ->> 'invalidation_reason' is not null
            then 'it was invalidated' || coalesce(' (' || (to_jsonb(s) ->> 'invalidation_reason') || ')', '')
        when s.confirmed_flush_lsn is null then 'its creation was not completed'
    end as lost
from pg_replication_slots s
where s.slot_name = %s
"""


def lock_slot(
    connection: psycopg.Connection,
    name: str,
    url: str,
    *,
    wait_seconds: float,
    on_progress: Callable[[str], None],
) -> None:
    """Lock the slot against other syncs, until the session ends. The lock is advisory.

    Raises:
        ReplicationError: another sync still has the lock after `wait_seconds`.
    """
    deadline = time.monotonic() + wait_seconds
    reported = False
    while True:
        row = connection.execute(
            "select pg_try_advisory_lock(hashtextextended('dvd_rental replication ' || %s, 0))", [name]
        ).fetchone()
        if row is not None and row[0]:
            return
        if time.monotonic() > deadline:
            raise ReplicationError(
                f"Another sync has used the replication slot {name} at {place(url)} for more than "
                f"{wait_seconds:.0f} s: wait for it, or end its session (see pg_locks)."
            )
        if not reported:
            on_progress(f"waiting for another sync that uses the replication slot {name}")
            reported = True
        time.sleep(0.2)


def advance_slot(connection: psycopg.Connection, name: str, lsn: int) -> None:
    """Confirm all changes before `lsn`, so that the server may remove their WAL."""
    connection.execute("select pg_replication_slot_advance(%s, %s::pg_lsn)", [name, format_lsn(lsn)])


def drop_slot(connection: psycopg.Connection, name: str, wait_seconds: float) -> None:
    """Drop the slot, waiting while the session of a killed sync is still using it.

    Raises:
        psycopg.errors.ObjectInUse: it is still in use after `wait_seconds`.
    """
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            connection.execute("select pg_drop_replication_slot(%s)", [name])
        except psycopg.errors.ObjectInUse:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


@dataclass(frozen=True)
class ExportedSnapshot:
    """A snapshot of the source that other sessions can import by `name`; changes after it start at `lsn`."""

    name: str
    lsn: int


@contextmanager
def create_slot(
    url: str, name: str, *, temporary: bool, wait_seconds: float, on_progress: Callable[[str], None]
) -> Iterator[ExportedSnapshot]:
    """Create a slot, and export the snapshot at which it starts for the duration of the `with` block.

    The snapshot contains exactly the transactions whose commit record starts before `lsn`. A temporary slot is
    dropped at the end of the block.

    Raises:
        ReplicationError: the source refuses, or a transaction stayed open for `wait_seconds`: the creation of a
            slot waits for all running transactions.
    """
    connection = connect(url, replication=True)
    with connection, translate_errors(url):
        kind = "TEMPORARY " if temporary else ""
        # The replication protocol accepts only simple queries, which psycopg's cursors do not send.
        connection.pgconn.send_query(f"CREATE_REPLICATION_SLOT {quoted(name)} {kind}LOGICAL pgoutput".encode())
        _wait_for_result(connection, url, wait_seconds, on_progress)
        result = connection.pgconn.get_result()
        if result is None or result.status != ExecStatus.TUPLES_OK:
            message = result.get_error_message() if result else "no answer"
            sqlstate = result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) if result else None
            raise ReplicationError(error_message(url, message, sqlstate.decode() if sqlstate else None))
        values = [(result.get_value(0, column) or b"").decode() for column in range(result.nfields)]
        while connection.pgconn.get_result() is not None:
            pass
        yield ExportedSnapshot(name=values[2], lsn=parse_lsn(values[1]))


def _wait_for_result(
    connection: psycopg.Connection, url: str, wait_seconds: float, on_progress: Callable[[str], None]
) -> None:
    """Wait for the result with a time limit: the driver's own wait could not be interrupted."""
    started = time.monotonic()
    reported = False
    while connection.pgconn.is_busy():
        select.select([connection.pgconn.socket], [], [], 0.5)
        connection.pgconn.consume_input()
        waited = time.monotonic() - started
        if waited > wait_seconds:
            connection.cancel_safe()
            raise ReplicationError(
                f"A snapshot of the source PostgreSQL at {place(url)} could not start for {wait_seconds:.0f} s,"
                " because a transaction stayed open there (see pg_stat_activity where backend_xid is not null):"
                " end it and try again."
            )
        if waited > 2 and not reported:
            on_progress("waiting for the source's open transactions to end, to start a snapshot")
            reported = True
