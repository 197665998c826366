"""Connections to the source, positions in its log, and what its refusals mean to a user."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from dvd_rental_pipeline.core.errors import PipelineError

# The text forms that the change stream carries follow the session: every session of a sync must agree.
_SESSION = {
    "bytea_output": "hex",
    "client_encoding": "UTF8",
    "datestyle": "ISO, YMD",
    "extra_float_digits": "1",
    "idle_in_transaction_session_timeout": "0",
    "intervalstyle": "postgres",
    # A sync that waits for a table which somebody locked says so in the end.
    "lock_timeout": "300s",
    "quote_all_identifiers": "off",
    # Without it, row security would hide rows from a copy; with it, the copy fails.
    "row_security": "off",
    "search_path": "pg_catalog",
    "statement_timeout": "0",
    # Nor may the server, when the network falls silent, keep the slot and the locks of a sync that is gone.
    "tcp_keepalives_count": "3",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_user_timeout": "60000",
    "timezone": "UTC",
}
SESSION_SQL = "select " + ", ".join(
    f"set_config('{name}', '{value}', false)" for name, value in _SESSION.items()
)

# A cut network must be noticed, not waited on for hours.
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
        "Every replication slot is taken: drop one that nobody uses (select * from pg_replication_slots), or "
        "raise max_replication_slots and restart the source."
    ),
    "53100": "The source's disk is full.",
    "55P03": (
        "A transaction of the source keeps a table locked (see pg_locks where not granted): end it, and sync"
        " again."
    ),
    "55006": "Another process reads the replication slot: stop it, or choose another slot name.",
    "57P": "The source is shutting down or starting: try again when it is up.",
}


class ReplicationError(PipelineError):
    """The source cannot be replicated: what it said, where, and what to do. Holds no password."""


def parse_lsn(text: str) -> int:
    """A position in the log from PostgreSQL's `X/Y` form, as the number of bytes since the log began."""
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


def format_lsn(lsn: int) -> str:
    """A position in the log in PostgreSQL's `X/Y` form."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def quoted(*names: str) -> str:
    """An SQL identifier, for PostgreSQL and DuckDB alike; several names are joined by dots."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def literal(text: str) -> str:
    """An SQL string constant, for places that take no parameter."""
    return "'" + text.replace("'", "''") + "'"


def connection_string(url: str, **parameters: str) -> str:
    """`url` completed with timeouts; what `url` itself says wins over them, `parameters` win over all.

    Raises:
        ReplicationError: `url` is no connection string.
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
    """An autocommit connection whose text forms are those of the change stream.

    With `replication` it speaks the replication protocol: only simple queries, through its `pgconn`.

    Raises:
        ReplicationError: the source is down, or refuses the user.
    """
    parameters = {"replication": "database"} if replication else {}
    with translate_errors(url):
        connection = psycopg.connect(connection_string(url, **parameters), autocommit=True)
        if not replication:
            connection.execute(SESSION_SQL)
    return connection


def place(url: str) -> str:
    """Where the source is, for messages: never its user or password."""
    given = conninfo_to_dict(url)
    host = given.get("host") or given.get("hostaddr") or "the local socket"
    port = f":{given['port']}" if given.get("port") else ""
    return f"{host}{port}/{given.get('dbname') or given.get('user') or ''}"


@contextmanager
def translate_errors(url: str) -> Iterator[None]:
    """Turn what PostgreSQL refuses into a `ReplicationError` that says what to do."""
    try:
        yield
    except psycopg.Error as error:
        raise ReplicationError(explanation(url, str(error), error.sqlstate)) from None


def explanation(url: str, message: str, sqlstate: str | None) -> str:
    """One message from what the server (or the driver) said at `url`."""
    password = conninfo_to_dict(url).get("password")
    said = re.sub(r"\s*\n\s*", "; ", message.strip()).rstrip(".;")
    if password:
        said = said.replace(str(password), "***")
    if sqlstate is None:
        return (
            f"Cannot reach the source PostgreSQL at {place(url)}: {said}. Check that it runs and that this "
            "machine may connect. The warehouse keeps its last state, and the next sync goes on from there."
        )
    advice = next((text for code, text in _ADVICE.items() if sqlstate.startswith(code)), "")
    return f"The source PostgreSQL at {place(url)} refused: {said}. {advice}".rstrip()


def format_sql(statement: str, **identifiers: str | tuple[str, ...]) -> sql.Composed:
    """`statement` with each `{name}` replaced by a quoted identifier, dotted when a tuple is given."""
    return sql.SQL(statement).format(
        **{
            name: sql.Identifier(*((value,) if isinstance(value, str) else value))
            for name, value in identifiers.items()
        }
    )
