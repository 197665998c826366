"""The tables of new users in PostgreSQL: one transaction per batch, and a row changes only where it differs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from importlib.resources import files

import psycopg
from psycopg import sql

from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.pipelines.signups.validation import Rejection, User
from dvd_rental_pipeline.warehouse.interface import Rows

KEPT_DAYS = 30
"""How long the minutes that were loaded, and the rejected records, are kept."""

_LOCK = 0x5160_0B5
_COLUMNS = [field.name for field in fields(User)]
_VALUES = [name for name in _COLUMNS if name != "user_uuid"]


class SignupsStoreError(PipelineError):
    """The database of the new users cannot be reached or written."""


@dataclass(frozen=True)
class LoadedBatch:
    """What loading a batch changed, in rows."""

    received: int
    inserted: int
    updated: int
    rejected: int


class SignupsStore:
    """The tables in the database of `connection`, which commits by itself. Created by `open_store`."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def last_minute(self) -> datetime | None:
        """Return the latest minute that was loaded; None before the first.

        Raises:
            SignupsStoreError: the database cannot be read.
        """
        with _translated_errors():
            row = self._connection.execute("select max(minute) from signups.loaded_batches").fetchone()
        # In the time zone of the session.
        return row[0].astimezone(UTC) if row and row[0] else None

    def query(self, statement: str) -> Rows:
        """Return what `statement`, a constant of the code, selects.

        Raises:
            SignupsStoreError: the database cannot be read.
        """
        with _translated_errors():
            cursor = self._connection.execute(statement.encode())
            return Rows([column.name for column in cursor.description or ()], cursor.fetchall())

    def load(self, minute: datetime, users: Sequence[User], rejections: Sequence[Rejection]) -> LoadedBatch:
        """Write the batch of `minute` in one transaction; loading a minute again changes nothing.

        Minutes are loaded in order. A batch that is not newer than the last one adds users that are missing,
        and overwrites none.

        Raises:
            SignupsStoreError: the database cannot be written.
        """
        with _translated_errors(), self._connection.transaction():
            # Two processes that load at once would lock rows in different orders.
            self._connection.execute("select pg_advisory_xact_lock(%s)", [_LOCK])
            last = self.last_minute()
            inserted, updated = self._upsert(users, overwrite=last is None or minute > last)
            self._reject(minute, rejections)
            batch = LoadedBatch(len(users) + len(rejections), inserted, updated, len(rejections))
            self._connection.execute(
                "insert into signups.loaded_batches (minute, received, inserted, updated, rejected) "
                "values (%s, %s, %s, %s, %s) on conflict (minute) do nothing",
                [minute, batch.received, batch.inserted, batch.updated, batch.rejected],
            )
            for table in ("loaded_batches", "rejected_records"):
                self._connection.execute(
                    sql.SQL("delete from signups.{} where minute < %s - make_interval(days => %s)").format(
                        sql.Identifier(table)
                    ),
                    [minute, KEPT_DAYS],
                )
        return batch

    def _upsert(self, users: Sequence[User], *, overwrite: bool) -> tuple[int, int]:
        """The numbers of inserted and updated rows."""
        columns = sql.SQL(", ").join(map(sql.Identifier, _COLUMNS))
        self._connection.execute(
            "create temporary table received on commit drop as select * from signups.users with no data"
        )
        copy = sql.SQL("copy received ({}) from stdin").format(columns)
        with self._connection.cursor() as cursor, cursor.copy(copy) as stream:
            for user in users:
                stream.write_row([getattr(user, name) for name in _COLUMNS])
        on_conflict: sql.Composable = sql.SQL("do nothing")
        if overwrite:
            on_conflict = sql.SQL(
                "do update set ({values}) = row({new}), updated_at = excluded.updated_at"
                " where ({old}) is distinct from ({new})"
            ).format(
                values=sql.SQL(", ").join(map(sql.Identifier, _VALUES)),
                old=sql.SQL(", ").join(sql.Identifier("users", name) for name in _VALUES),
                new=sql.SQL(", ").join(sql.Identifier("excluded", name) for name in _VALUES),
            )
        counts = self._connection.execute(
            sql.SQL(
                "with changed as ("
                " insert into signups.users as users ({columns}, first_seen_at, updated_at)"
                " select {columns}, now(), now() from received"
                " on conflict (user_uuid) {on_conflict} returning xmax = 0 as is_new)"
                " select count(*) filter (where is_new), count(*) filter (where not is_new) from changed"
            ).format(columns=columns, on_conflict=on_conflict)
        ).fetchone()
        return (counts[0], counts[1]) if counts else (0, 0)

    def _reject(self, minute: datetime, rejections: Sequence[Rejection]) -> None:
        with self._connection.cursor() as cursor:
            cursor.executemany(
                "insert into signups.rejected_records (minute, position, path, reason) values (%s, %s, %s, %s)"
                " on conflict (minute, position) do nothing",
                [(minute, each.position, each.path, each.reason) for each in rejections],
            )


@contextmanager
def open_store(url: str) -> Iterator[SignupsStore]:
    """Yield the store in the database at `url`; its tables are created where they are missing.

    Raises:
        SignupsStoreError: the database cannot be reached, or the role may not create the tables.
    """
    with _translated_errors():
        connection = psycopg.connect(url, autocommit=True, connect_timeout=10)
    with connection:
        with _translated_errors(), connection.transaction():
            connection.execute("select pg_advisory_xact_lock(%s)", [_LOCK])
            connection.execute(_tables_sql())
        yield SignupsStore(connection)


def _tables_sql() -> bytes:
    return files("dvd_rental_pipeline.pipelines.signups").joinpath("tables.sql").read_bytes()


@contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise _unusable(error) from None


def _unusable(error: psycopg.Error) -> SignupsStoreError:
    # Not the whole message: its detail would show the values of a row.
    unreached = type(error).__name__ if error.sqlstate else str(error).splitlines()[0]
    reason = error.diag.message_primary or unreached
    return SignupsStoreError(
        f"The signups database cannot be used: {reason}. Check DVD_RENTAL_SIGNUPS_DATABASE_URL, and that its "
        "role may create the schema `signups`."
    )
