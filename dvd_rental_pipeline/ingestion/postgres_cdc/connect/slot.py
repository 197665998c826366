"""The replication slot: the place in the source's log from which changes are kept for this warehouse."""

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
    explanation,
    format_lsn,
    parse_lsn,
    place,
    quoted,
    translate_errors,
)


@dataclass(frozen=True)
class Source:
    """Which source this is, and where its log stands (bytes since it began)."""

    system_identifier: int
    timeline: str
    database_oid: int
    log_end: int


@dataclass(frozen=True)
class Slot:
    """A slot as the source has it; positions are bytes since the log began.

    `lost` says, in words, why its changes can no longer be read; None when they can.
    """

    kind: str
    database: str | None
    is_ours: bool
    confirmed: int | None
    retained_bytes: int
    lost: str | None


def identify(connection: psycopg.Connection, url: str) -> Source:
    """Who the source is.

    Raises:
        ReplicationError: it is set up so that its changes cannot be read.
        psycopg.Error: it refuses.
    """
    facts = connection.execute(
        "select pg_is_in_recovery(), current_setting('wal_level'), current_setting('server_version_num')::int,"
        " current_setting('server_version'), current_setting('server_encoding')"
    ).fetchone()
    if facts is None:
        raise ReplicationError(f"The source PostgreSQL at {place(url)} gave no answer.")
    standby, wal_level, number, version, encoding = facts
    if standby:
        raise ReplicationError(
            f"The source PostgreSQL at {place(url)} is a standby: give the URL of its primary server."
        )
    if number < 140000:
        raise ReplicationError(
            f"The source PostgreSQL at {place(url)} is version {version}: replication needs 14 or newer."
        )
    if wal_level != "logical":
        raise ReplicationError(
            f"The source PostgreSQL at {place(url)} has wal_level={wal_level}, and change capture needs "
            "logical. Run `ALTER SYSTEM SET wal_level = logical` and restart it; on Amazon RDS set "
            "rds.logical_replication = 1 in the parameter group and reboot the instance."
        )
    if encoding == "SQL_ASCII":
        raise ReplicationError(
            f"The database at {place(url)} is encoded in SQL_ASCII, which does not say what its characters "
            "mean: restore it into a database with an encoding, such as UTF8."
        )
    source = connection.execute(
        "select system_identifier, substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8),"
        " (select oid::bigint from pg_database where datname = current_database()),"
        " pg_current_wal_flush_lsn() - '0/0'::pg_lsn"
        " from pg_control_system()"
    ).fetchone()
    if source is None:
        raise ReplicationError(f"The source PostgreSQL at {place(url)} does not say who it is.")
    return Source(int(source[0]), source[1], source[2], int(source[3]))


def log_end(connection: psycopg.Connection) -> int:
    """A position after every transaction that has committed by now, all of it readable.

    It is where a record ends. What is on disk of the log may end within one, for whose rest a reader waits.
    """
    row = connection.execute(
        "select pg_current_wal_insert_lsn() - '0/0'::pg_lsn, pg_current_wal_flush_lsn() - '0/0'::pg_lsn"
    ).fetchone()
    if row is None or row[0] > row[1]:
        # Some record is not on disk yet, perhaps an asynchronous commit. A commit of our own takes it there.
        connection.execute(
            "select set_config('synchronous_commit', 'local', false), pg_logical_emit_message(true, '', '')"
        )
    return int(row[0]) if row else 0


def find(connection: psycopg.Connection, name: str) -> Slot | None:
    """The slot called `name`, if there is one."""
    with connection.cursor(row_factory=class_row(Slot)) as cursor:
        return cursor.execute(_SLOT_SQL, [name]).fetchone()


# The column invalidation_reason came with PostgreSQL 17; reading the row as JSON works before.
_SLOT_SQL = """
select
    s.slot_type as kind,
    s.database::text as database,
    s.slot_type = 'logical' and s.plugin = 'pgoutput' and s.database = current_database() as is_ours,
    (s.confirmed_flush_lsn - '0/0'::pg_lsn)::bigint as confirmed,
    coalesce(pg_current_wal_lsn() - s.restart_lsn, 0)::bigint as retained_bytes,
    case
        when s.wal_status = 'lost' or to_jsonb(s) ->> 'invalidation_reason' is not null
            then 'it was invalidated' || coalesce(' (' || (to_jsonb(s) ->> 'invalidation_reason') || ')', '')
        when s.confirmed_flush_lsn is null then 'it was never completed'
    end as lost
from pg_replication_slots s
where s.slot_name = %s
"""


def advance(connection: psycopg.Connection, name: str, lsn: int) -> None:
    """Let the source forget its log before `lsn`."""
    connection.execute("select pg_replication_slot_advance(%s, %s::pg_lsn)", [name, format_lsn(lsn)])


def drop(connection: psycopg.Connection, name: str, wait_seconds: float) -> None:
    """Drop the slot, waiting while the session of a sync that was killed still holds it.

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
    """A moment of the source: `name` joins it, `lsn` is where the changes after it begin."""

    name: str
    lsn: int


@contextmanager
def created(
    url: str, name: str, *, temporary: bool, wait_seconds: float, announce: Callable[[str], None]
) -> Iterator[ExportedSnapshot]:
    """A new slot, and the moment at which it begins, which readers may join within the `with` block.

    Exactly the transactions whose commit record starts before `lsn` are in the snapshot. A temporary slot ends
    with the block.

    Raises:
        ReplicationError: the source refuses, or a transaction stayed open for `wait_seconds`, for whose end the
            creation of a slot must wait.
    """
    connection = connect(url, replication=True)
    with connection, translate_errors(url):
        kind = "TEMPORARY " if temporary else ""
        # The replication protocol knows only simple queries, which psycopg's cursors do not send.
        connection.pgconn.send_query(f"CREATE_REPLICATION_SLOT {quoted(name)} {kind}LOGICAL pgoutput".encode())
        _wait(connection, url, wait_seconds, announce)
        result = connection.pgconn.get_result()
        if result is None or result.status != ExecStatus.TUPLES_OK:
            message = result.get_error_message() if result else "no answer"
            sqlstate = result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) if result else None
            raise ReplicationError(explanation(url, message, sqlstate.decode() if sqlstate else None))
        values = [(result.get_value(0, column) or b"").decode() for column in range(result.nfields)]
        while connection.pgconn.get_result() is not None:
            pass
        yield ExportedSnapshot(name=values[2], lsn=parse_lsn(values[1]))


def _wait(
    connection: psycopg.Connection, url: str, wait_seconds: float, announce: Callable[[str], None]
) -> None:
    """Wait for the answer with an end: the driver's own wait could not be interrupted."""
    started = time.monotonic()
    announced = False
    while connection.pgconn.is_busy():
        select.select([connection.pgconn.socket], [], [], 0.5)
        connection.pgconn.consume_input()
        waited = time.monotonic() - started
        if waited > wait_seconds:
            connection.cancel_safe()
            raise ReplicationError(
                f"A snapshot of the source PostgreSQL at {place(url)} could not begin for {wait_seconds:.0f} s,"
                " because a transaction stayed open there (see pg_stat_activity where backend_xid is not null):"
                " end it and try again."
            )
        if waited > 2 and not announced:
            announce("waiting for the source's open transactions to end, to begin a snapshot")
            announced = True
