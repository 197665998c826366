"""The configuration of the embedded server: names, access rules, settings."""

from pathlib import Path

ROLE = "dvd_rental"
# Owns restored databases. No superuser: a dump, and its triggers later on, must not reach files and programs.
RESTORE_ROLE = "dvd_rental_restore"
DEFAULT_DATABASE = "dvdrental"
HOST = "127.0.0.1"
# An update of 1 % of 16 million rentals and their payments, spread over all pages, writes 5 GB of log.
LEAST_SLOT_LOG_GB = 4
MOST_SLOT_LOG_GB = 32

# One rule per kind of connection; PostgreSQL rejects what no rule allows.
PG_HBA_CONF = f"""\
local all         {ROLE},{RESTORE_ROLE}              scram-sha-256
local replication {ROLE},{RESTORE_ROLE}              scram-sha-256
host  all         {ROLE},{RESTORE_ROLE} {HOST}/32 scram-sha-256
host  replication {ROLE},{RESTORE_ROLE} {HOST}/32 scram-sha-256
"""

_POSTGRESQL_CONF = """\
# Overwritten at every start. ALTER SYSTEM takes precedence.
listen_addresses = '{host}'
port = {port}
unix_socket_directories = {sockets}
unix_socket_permissions = 0700
password_encryption = 'scram-sha-256'
max_connections = 60

wal_level = 'logical'
max_wal_senders = 20
max_replication_slots = 20
# An unused slot is invalidated before it fills the disk.
max_slot_wal_keep_size = '{slot_log_gb}GB'
max_wal_size = '1GB'

shared_buffers = '64MB'
work_mem = '8MB'
maintenance_work_mem = '64MB'
jit = off

# Commits are durable: replication confirms its position against them, and a source that lost a commit in a
# crash would differ from the warehouse for good. Bulk loads are few commits.
fsync = on
synchronous_commit = on

timezone = 'UTC'
log_timezone = 'UTC'
datestyle = 'iso, mdy'
lc_messages = 'C'
lc_monetary = 'C'
lc_numeric = 'C'
lc_time = 'C'
default_text_search_config = 'pg_catalog.english'

log_destination = 'stderr'
logging_collector = off
log_checkpoints = off
log_line_prefix = '%m [%p] %q%u@%d '
"""


def postgresql_conf(port: int, socket_folder: Path | None, free_bytes: int) -> str:
    """Return the text of `postgresql.conf`; without a socket folder, the server listens on TCP only.

    `free_bytes` is the free space of the disk. A replication slot may retain a fifth of it, but at least
    `LEAST_SLOT_LOG_GB`, and at most `MOST_SLOT_LOG_GB`.
    """
    slot_log_gb = min(max(free_bytes // 5 // 2**30, LEAST_SLOT_LOG_GB), MOST_SLOT_LOG_GB)
    # A list of names in double quotes, within a string in single quotes.
    sockets = '"{}"'.format(str(socket_folder).replace('"', '""')) if socket_folder else ""
    quoted = "'{}'".format(sockets.replace("\\", "\\\\").replace("'", "''"))
    return _POSTGRESQL_CONF.format(host=HOST, port=port, sockets=quoted, slot_log_gb=slot_log_gb)


def initial_statements(password: str, major: int) -> str:
    """Return a psql script that creates the default database and the role of restored databases, if missing.

    `major` is PostgreSQL's major version.
    """
    script = f"""\
select 'create database {DEFAULT_DATABASE} template template0'
where not exists (select from pg_database where datname = '{DEFAULT_DATABASE}') \\gexec
select 'create role {RESTORE_ROLE}'
where not exists (select from pg_roles where rolname = '{RESTORE_ROLE}') \\gexec
-- A dump may have changed its own role.
alter role {RESTORE_ROLE} reset all;
alter role {RESTORE_ROLE} login replication password '{password}';
"""
    if major >= 15:
        # Of two dumps, the rows of the second are inserted without triggers.
        script += f"grant set on parameter session_replication_role to {RESTORE_ROLE};\n"
    return script
