"""Parameters of the server's configuration that change capture needs. They are checked, never changed."""

import psycopg

from dvd_rental_pipeline.ingestion.postgres_cdc.setup.step import SetupStep

_SHORTEST_SENDER_TIMEOUT_MS = 60_000


def parameter_steps(connection: psycopg.Connection) -> list[SetupStep]:
    """One step per parameter.

    Raises:
        psycopg.Error: a query failed.
    """
    values: dict[str, str] = dict(
        connection.execute(
            "select name, setting from pg_settings where name = any(%s)",
            [["wal_level", "max_slot_wal_keep_size", "wal_sender_timeout", "max_replication_slots"]],
        ).fetchall()
    )
    row = connection.execute("select count(*) from pg_replication_slots").fetchone()
    used = row[0] if row else 0
    keep_mb, timeout_ms = int(values["max_slot_wal_keep_size"]), int(values["wal_sender_timeout"])
    total = int(values["max_replication_slots"])
    return [
        SetupStep(
            "wal_level",
            values["wal_level"],
            manual_step=None
            if values["wal_level"] == "logical"
            else "set wal_level = logical and restart the server; on Amazon RDS rds.logical_replication = 1 in "
            "the parameter group",
        ),
        SetupStep(
            "max_slot_wal_keep_size",
            "no limit: a stopped reader fills the disk" if keep_mb < 0 else f"{keep_mb} MB",
            manual_step=None
            if keep_mb >= 0
            else "set max_slot_wal_keep_size to a part of the free disk, e.g. 10240 (MB); on Amazon RDS in the "
            "parameter group",
        ),
        SetupStep(
            "wal_sender_timeout",
            "off" if timeout_ms == 0 else f"{timeout_ms / 1000:g} s",
            manual_step=None
            if timeout_ms == 0 or timeout_ms >= _SHORTEST_SENDER_TIMEOUT_MS
            else "set wal_sender_timeout to a minute or more: large transactions keep a reader silent",
        ),
        SetupStep(
            "max_replication_slots",
            f"{used} of {total} in use",
            manual_step=None
            if used < total
            else "raise max_replication_slots, or drop an unused slot (pg_replication_slots)",
        ),
    ]
