"""The heartbeat table, which a reader of the WAL writes regularly.

While the captured tables do not change, only its changes let the reader confirm newer LSNs, so that the server
can remove WAL that other databases and tables wrote.
"""

HEARTBEAT_SCHEMA = "replication"
HEARTBEAT_TABLE = "heartbeat"
HEARTBEAT_QUERY = (
    f"insert into {HEARTBEAT_SCHEMA}.{HEARTBEAT_TABLE} (id, beat_at) values (1, now())"
    " on conflict (id) do update set beat_at = excluded.beat_at"
)
