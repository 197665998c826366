"""The source database as a whole: is it there, is it a DVD rental database, and replacing all of it at once.

Whatever fills the database (the generator, a restore) fills a new one beside it. Only when that is complete
does it take the name of the old one, so that a failure or an interruption leaves the old data as they were.
"""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.sample.errors import SourceError

KEYS = {table.name: table.primary_key for table in DVD_RENTAL.tables}
"""The 15 tables, and the columns of each one's key."""

_SWAP_ATTEMPTS = 5
_SWAP_PAUSE_SECONDS = 0.2
_TERMINATE_MILLISECONDS = 10_000
_LONGEST_NAME = 63


@contextmanager
def staged_database(url: str) -> Iterator[str]:
    """Yield a connection string of a new, empty database to fill; it then replaces the one that `url` names.

    The replacement checks first that the new database is a DVD rental database. It ends the connections to the
    old database and drops it, with its replication slots and publications. When the block raises, or is
    interrupted, the new database is dropped and the old one stays. What an earlier, killed attempt left
    behind is removed first.

    Raises:
        SourceError: the server cannot be reached, may not be changed, is being filled by another process at
            this moment, or what was filled is not a DVD rental database.
    """
    live = _database_name(url)
    aside, old = _companion(live, "filling"), _companion(live, "replaced")
    with _maintenance_connection(url) as admin:
        _take_turn(admin, live)
        for debris in (aside, old):
            _drop(admin, debris)
        try:
            _create(admin, aside)
            aside_url = make_conninfo(url, dbname=aside)
            yield aside_url
            _require_dvd_rental(aside_url)
            _swap(admin, aside, live, old)
        finally:
            # After a swap there is nothing left under the first name; after a failure nothing under the second.
            # A connection lost on the way must not hide the failure that lost it; the next attempt cleans up.
            with suppress(psycopg.Error):
                _drop(admin, aside)
                _drop(admin, old)


def is_empty(url: str) -> bool:
    """Whether none of the 15 tables holds a row; also true when tables, or the database itself, are missing.

    Raises:
        psycopg.OperationalError: the server cannot be reached.
    """
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            return not any(
                connection.execute(
                    sql.SQL("select exists (select from {})").format(sql.Identifier("public", table))
                ).fetchone()
                == (True,)
                for table in _present_tables(connection)
            )
    except psycopg.OperationalError:
        if _exists(url):
            raise
        return True


def row_counts(url: str) -> dict[str, int]:
    """The exact number of rows by table, for those of the 15 tables that exist.

    Raises:
        psycopg.OperationalError: the server cannot be reached, or has no such database.
    """
    with psycopg.connect(url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        counts = {}
        for table in _present_tables(connection):
            found = connection.execute(
                sql.SQL("select count(*) from {}").format(sql.Identifier("public", table))
            ).fetchone()
            counts[table] = int(found[0]) if found else 0
        return counts


def _database_name(url: str) -> str:
    try:
        named = conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        raise SourceError(
            f"The URL of the source database is malformed: {error}. It reads postgresql://user@host:port/name."
        ) from error
    if not named.get("dbname"):
        raise SourceError(
            "The URL of the source database names no database. It reads postgresql://user@host:port/name."
        )
    return str(named["dbname"])


def _companion(live: str, role: str) -> str:
    """The name of a database beside `live`, unlike that of any other database's companion."""
    suffix = f"__{role}_{hashlib.sha256(live.encode()).hexdigest()[:8]}"
    kept = live.encode()[: _LONGEST_NAME - len(suffix)].decode(errors="ignore")
    return f"{kept}{suffix}"


@contextmanager
def _maintenance_connection(url: str) -> Iterator[psycopg.Connection]:
    """A connection to the server that is not to the database itself, which is about to change its name."""
    try:
        connection = psycopg.connect(make_conninfo(url, dbname="postgres"), autocommit=True)
    except psycopg.OperationalError as error:
        raise SourceError(f"The source database server cannot be reached: {error}") from error
    with connection:
        yield connection


def _exists(url: str) -> bool:
    with psycopg.connect(make_conninfo(url, dbname="postgres"), autocommit=True) as admin:
        found = admin.execute("select from pg_database where datname = %s", [_database_name(url)])
        return found.fetchone() is not None


def _take_turn(admin: psycopg.Connection, live: str) -> None:
    """One process at a time fills; the server forgets the turn when the connection ends, however it ends."""
    key = int.from_bytes(hashlib.sha256(f"fill {live}".encode()).digest()[:8], "big", signed=True)
    if admin.execute("select pg_try_advisory_lock(%s)", [key]).fetchone() != (True,):
        raise SourceError(
            f"Another process is filling the database {live} at this moment. Try again when it is done."
        )


def _create(admin: psycopg.Connection, name: str) -> None:
    try:
        admin.execute(
            sql.SQL("create database {} template template0 encoding 'UTF8'").format(sql.Identifier(name))
        )
    except psycopg.errors.InsufficientPrivilege as error:
        raise SourceError(
            f"The user {admin.info.user} may not create databases on {admin.info.host}, and the source is "
            f"filled in a new one beside the old. Grant it: alter role {admin.info.user} createdb."
        ) from error
    except psycopg.Error as error:
        raise SourceError(f"No database to fill could be created: {error}") from error


def _require_dvd_rental(url: str) -> None:
    with psycopg.connect(url) as connection:
        columns: dict[str, set[str]] = {table: set() for table in _present_tables(connection)}
        for table, column in connection.execute(
            "select table_name, column_name from information_schema.columns where table_schema = 'public'"
        ):
            if table in columns:
                columns[table].add(column)
    tables = [table for table in KEYS if table not in columns]
    keys = [
        f"{table}.{column}"
        for table, key in KEYS.items()
        if table in columns
        for column in key
        if column not in columns[table]
    ]
    if tables or keys:
        missing = [f"the tables {', '.join(tables)}"] * bool(tables) + [
            f"the columns {', '.join(keys)}"
        ] * bool(keys)
        raise SourceError(
            f"This is not a DVD rental database: in its schema public it lacks {' and '.join(missing)}. "
            "The data that were there before are unchanged."
        )


def _swap(admin: psycopg.Connection, aside: str, live: str, old: str) -> None:
    for attempt in range(_SWAP_ATTEMPTS):
        _end_connections(admin, aside, live)
        try:
            # Both names change, or neither.
            with admin.transaction():
                if admin.execute("select from pg_database where datname = %s", [live]).fetchone() is not None:
                    _rename(admin, live, old)
                _rename(admin, aside, live)
        except psycopg.errors.ObjectInUse as error:
            if attempt == _SWAP_ATTEMPTS - 1:
                raise SourceError(
                    f"Other programs keep connecting to the database {live}, so it cannot be replaced. "
                    "Stop them and try again; the old data are unchanged."
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
    # Logical slots go with their database, provided that nobody is reading them.
    _end_connections(admin, name)
    admin.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


def _end_connections(admin: psycopg.Connection, *databases: str) -> None:
    admin.execute(
        "select pg_terminate_backend(pid, %s) from pg_stat_activity where datname = any(%s)",
        [_TERMINATE_MILLISECONDS, list(databases)],
    )


def _present_tables(connection: psycopg.Connection) -> list[str]:
    """Those of the 15 tables that exist, partitioned ones included, in the order of the catalogue."""
    found = connection.execute(
        "select relname from pg_class where relnamespace = to_regnamespace('public')"
        " and relkind in ('r', 'p') and relname = any(%s)",
        [list(KEYS)],
    ).fetchall()
    names = {name for (name,) in found}
    return [table for table in KEYS if table in names]
