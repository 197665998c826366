"""The source server: its identity, its suitability for logical replication, and the end of its WAL."""

from dataclasses import dataclass

import psycopg

from dvd_rental_pipeline.ingestion.postgres_cdc.connect.session import ReplicationError, place

OLDEST_VERSION = 140000


@dataclass(frozen=True)
class SourceIdentity:
    """The server, timeline and database of a source, and the end of its WAL as an LSN in bytes.

    `place` is its host, port and database, for messages.
    """

    place: str
    system_identifier: int
    timeline: str
    database_oid: int
    log_end: int


def identify(connection: psycopg.Connection, url: str) -> SourceIdentity:
    """Identify the source, and check that logical replication from it is possible.

    Raises:
        ReplicationError: it is a standby, too old, or configured so that its changes cannot be read.
        psycopg.Error: a query failed.
    """
    facts = connection.execute(
        "select pg_is_in_recovery(), current_setting('wal_level'), current_setting('server_version_num')::int,"
        " current_setting('server_version'), current_setting('server_encoding')"
    ).fetchone()
    if facts is None:
        raise ReplicationError(f"The source PostgreSQL at {place(url)} gave no answer.")
    is_standby, wal_level, number, version, encoding = facts
    if is_standby:
        raise ReplicationError(
            f"The source PostgreSQL at {place(url)} is a standby: use the URL of its primary server."
        )
    if number < OLDEST_VERSION:
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
            f"The database at {place(url)} has the encoding SQL_ASCII, which does not define its characters: "
            "restore it into a database with another encoding, such as UTF8."
        )
    row = connection.execute(
        "select system_identifier, substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8),"
        " (select oid::bigint from pg_database where datname = current_database()),"
        " pg_current_wal_flush_lsn() - '0/0'::pg_lsn"
        " from pg_control_system()"
    ).fetchone()
    if row is None:
        raise ReplicationError(f"The source PostgreSQL at {place(url)} does not identify itself.")
    return SourceIdentity(place(url), int(row[0]), row[1], row[2], int(row[3]))


def flushed_log_end(connection: psycopg.Connection) -> int:
    """An LSN after every transaction committed so far, up to which the WAL can be read.

    It is the end of a record. The flushed part of the WAL may end within a record, and a reader would wait for
    the rest.
    """
    row = connection.execute(
        "select pg_current_wal_insert_lsn() - '0/0'::pg_lsn, pg_current_wal_flush_lsn() - '0/0'::pg_lsn"
    ).fetchone()
    if row is None or row[0] > row[1]:
        # Some record, perhaps of an asynchronous commit, is not flushed yet: a synchronous commit flushes it.
        connection.execute(
            "select set_config('synchronous_commit', 'local', false), pg_logical_emit_message(true, '', '')"
        )
    return int(row[0]) if row else 0
