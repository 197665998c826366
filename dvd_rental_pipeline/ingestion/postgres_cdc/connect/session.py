"""Sessions with the source: connection parameters, and PostgreSQL's errors as messages that say what to do."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.redaction import redact

# The text forms in the change stream follow the session's settings, so all sessions of a sync must agree.
_SESSION = {
    "bytea_output": "hex",
    "client_encoding": "UTF8",
    "datestyle": "ISO, YMD",
    "extra_float_digits": "1",
    "idle_in_transaction_session_timeout": "0",
    "intervalstyle": "postgres",
    # A sync that waits for a locked table fails with a message instead of waiting forever.
    "lock_timeout": "300s",
    "quote_all_identifiers": "off",
    # With row_security on, row-level security would hide rows from a copy; off, the copy fails instead.
    "row_security": "off",
    "search_path": "pg_catalog",
    "statement_timeout": "0",
    # Without keepalives, the server would keep the slot and the locks of a client that is unreachable.
    "tcp_keepalives_count": "3",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_user_timeout": "60000",
    "timezone": "UTC",
}
SESSION_SQL = "select " + ", ".join(
    f"set_config('{name}', '{value}', false)" for name, value in _SESSION.items()
)

# Detects a broken network within minutes; the operating system's defaults take hours.
_CONNECTION = {
    "application_name": "dvd_rental replication",
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}

_ADVICE = {
    "28": "Check the user and the password of the source's URL.",
    "3D": "Check the database name of the source's URL.",
    "42501": (
        "Replication needs a user with REPLICATION (on Amazon RDS: grant rds_replication), SELECT on the "
        "tables, and, for the publication, their ownership and CREATE on the database."
    ),
    "53300": "Raise max_connections or max_wal_senders in the source, or close other sessions.",
    "53400": (
        "All replication slots are in use: drop an unused one (select * from pg_replication_slots), or "
        "raise max_replication_slots and restart the source."
    ),
    "53100": "The source's disk is full.",
    "55P03": (
        "A transaction in the source keeps a table locked (see pg_locks where not granted): end it, and sync"
        " again."
    ),
    "55006": "Another process is using the replication slot: stop it, or choose another slot name.",
    "57P": "The source is shutting down or starting: try again when it is up.",
}


class ReplicationError(PipelineError):
    """The source cannot be replicated. The message gives the cause, the place and the fix, never a password."""


def connection_string(url: str, **parameters: str) -> str:
    """`url` completed with timeouts; parameters in `url` override them, `parameters` override both.

    Raises:
        ReplicationError: `url` is not a connection string.
    """
    try:
        given = {name: value for name, value in conninfo_to_dict(url).items() if value is not None}
        return make_conninfo("", **{**_CONNECTION, **given, **parameters})
    except psycopg.Error:
        # The parser's own message may quote a part of the URL, and with it the password.
        raise ReplicationError(
            "The source's URL is not valid. Its form is postgresql://user:password@host:port/database, with "
            "special characters of the password percent-encoded."
        ) from None


def connect(url: str, *, replication: bool = False) -> psycopg.Connection:
    """An autocommit connection with the session settings that the change stream needs.

    With `replication`, it uses the replication protocol: simple queries only, through its `pgconn`.

    Raises:
        ReplicationError: the source is down, or rejects the user.
    """
    parameters = {"replication": "database"} if replication else {}
    with translate_errors(url):
        connection = psycopg.connect(connection_string(url, **parameters), autocommit=True)
        if not replication:
            connection.execute(SESSION_SQL)
    return connection


def place(url: str) -> str:
    """Host, port and database of the source, for messages: never its user or password."""
    given = conninfo_to_dict(url)
    host = given.get("host") or given.get("hostaddr") or "the local socket"
    port = f":{given['port']}" if given.get("port") else ""
    return f"{host}{port}/{given.get('dbname') or given.get('user') or ''}"


@contextmanager
def translate_errors(url: str, errors: type[Exception] = psycopg.Error) -> Iterator[None]:
    """Raise the driver's `errors` as a `ReplicationError` that says what to do."""
    try:
        yield
    except errors as error:
        raise ReplicationError(error_message(url, str(error), getattr(error, "sqlstate", None))) from None


def error_message(url: str, text: str, sqlstate: str | None) -> str:
    """The message for an error that the server at `url`, or the driver, reported as `text`."""
    password = conninfo_to_dict(url).get("password")
    detail = re.sub(r"\s*\n\s*", "; ", text.strip()).rstrip(".;")
    detail = redact(detail, [str(password)] if password else [])
    if sqlstate is None:
        return (
            f"Cannot reach the source PostgreSQL at {place(url)}: {detail}. Check that it runs and accepts "
            "connections from this machine. The warehouse is unchanged, and the next sync continues from there."
        )
    advice = next((text for code, text in _ADVICE.items() if sqlstate.startswith(code)), "")
    return f"The source PostgreSQL at {place(url)} reported: {detail}. {advice}".rstrip()
