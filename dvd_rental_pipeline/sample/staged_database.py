"""Replace a whole database atomically.

The generator and the restore fill a new database under a temporary name. Only when it is complete is it renamed
to the name of the old one, so that a failure or an interruption leaves the old data unchanged.
"""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from dvd_rental_pipeline.sample.errors import SourceError
from dvd_rental_pipeline.sample.required_tables import RequiredTables

_SWAP_ATTEMPTS = 5
_SWAP_PAUSE_SECONDS = 0.2
_TERMINATE_MILLISECONDS = 10_000
_MAX_NAME_BYTES = 63


@contextmanager
def staged_database(url: str, tables: RequiredTables, owner: str | None = None) -> Iterator[str]:
    """Yield a connection string of a new, empty database; on exit it replaces the database that `url` names.

    It is owned and used by `owner`; default: the user of `url`, who administers the server in any case.
    Before the swap, the new database is checked for `tables`. The swap ends the connections to the old database
    and drops it, with its replication slots and publications. If the block raises or is interrupted, the new
    database is dropped and the old one stays. Leftovers of an earlier, killed attempt are removed first.

    Raises:
        SourceError: the server cannot be reached, the user may not create or replace the database, another
            process is filling it, or the new database lacks some of `tables`.
    """
    live = _database_name(url)
    staged, replaced = _temporary_name(live, "filling"), _temporary_name(live, "replaced")
    with _maintenance_connection(url) as admin:
        _lock_filling(admin, live)
        for leftover in (staged, replaced):
            _drop(admin, leftover)
        try:
            _create(admin, staged, owner)
            staged_url = make_conninfo(url, dbname=staged, **({} if owner is None else {"user": owner}))
            yield staged_url
            tables.verify(staged_url)
            _swap(admin, staged, live, replaced)
        finally:
            # After a swap nothing has the first name; after a failure nothing has the second. A lost connection
            # must not hide the failure that caused it: the next attempt cleans up.
            with suppress(psycopg.Error):
                _drop(admin, staged)
                _drop(admin, replaced)


def _database_name(url: str) -> str:
    try:
        parameters = conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        raise SourceError(
            f"The URL of the source database is malformed: {error}. The format is "
            "postgresql://user@host:port/name."
        ) from error
    if not parameters.get("dbname"):
        raise SourceError(
            "The URL of the source database names no database. The format is postgresql://user@host:port/name."
        )
    return str(parameters["dbname"])


def _temporary_name(live: str, role: str) -> str:
    """Return a name derived from `live` that no other database's temporary name equals."""
    suffix = f"__{role}_{hashlib.sha256(live.encode()).hexdigest()[:8]}"
    prefix = live.encode()[: _MAX_NAME_BYTES - len(suffix)].decode(errors="ignore")
    return f"{prefix}{suffix}"


@contextmanager
def _maintenance_connection(url: str) -> Iterator[psycopg.Connection]:
    """Connect to the database `postgres` of the server, since a database in use cannot be renamed."""
    try:
        connection = psycopg.connect(make_conninfo(url, dbname="postgres"), autocommit=True)
    except psycopg.OperationalError as error:
        raise SourceError(f"The source database server cannot be reached: {error}") from error
    with connection:
        yield connection


def _lock_filling(admin: psycopg.Connection, live: str) -> None:
    """Take the advisory lock on filling `live`; the server releases it when the connection ends."""
    key = int.from_bytes(hashlib.sha256(f"fill {live}".encode()).digest()[:8], "big", signed=True)
    if admin.execute("select pg_try_advisory_lock(%s)", [key]).fetchone() != (True,):
        raise SourceError(f"Another process is filling the database {live}. Try again when it has finished.")


def _create(admin: psycopg.Connection, name: str, owner: str | None) -> None:
    try:
        admin.execute(
            sql.SQL("create database {} owner {} template template0 encoding 'UTF8'").format(
                sql.Identifier(name), sql.SQL("default") if owner is None else sql.Identifier(owner)
            )
        )
    except psycopg.errors.InsufficientPrivilege as error:
        raise SourceError(
            f"The user {admin.info.user} may not create databases on {admin.info.host}, which replacing the "
            f"source database requires. Grant it: alter role {admin.info.user} createdb."
        ) from error
    except psycopg.Error as error:
        raise SourceError(f"The new source database cannot be created: {error}") from error


def _swap(admin: psycopg.Connection, staged: str, live: str, replaced: str) -> None:
    for attempt in range(_SWAP_ATTEMPTS):
        _end_connections(admin, staged, live)
        try:
            # Both names change, or neither.
            with admin.transaction():
                if admin.execute("select from pg_database where datname = %s", [live]).fetchone() is not None:
                    _rename(admin, live, replaced)
                _rename(admin, staged, live)
        except psycopg.errors.ObjectInUse as error:
            if attempt == _SWAP_ATTEMPTS - 1:
                raise SourceError(
                    f"Other programs keep connecting to the database {live}, so it cannot be replaced. "
                    "Stop them and try again; the existing data are unchanged."
                ) from error
            time.sleep(_SWAP_PAUSE_SECONDS)
        except psycopg.errors.InsufficientPrivilege as error:
            raise SourceError(
                f"The user {admin.info.user} does not own the database {live}, so it cannot replace it: {error}"
            ) from error
        else:
            return


def _rename(admin: psycopg.Connection, name: str, to: str) -> None:
    admin.execute(sql.SQL("alter database {} rename to {}").format(sql.Identifier(name), sql.Identifier(to)))


def _drop(admin: psycopg.Connection, name: str) -> None:
    # Logical slots are dropped with their database, provided that no connection is reading them.
    _end_connections(admin, name)
    admin.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


def _end_connections(admin: psycopg.Connection, *databases: str) -> None:
    admin.execute(
        "select pg_terminate_backend(pid, %s) from pg_stat_activity where datname = any(%s)",
        [_TERMINATE_MILLISECONDS, list(databases)],
    )
