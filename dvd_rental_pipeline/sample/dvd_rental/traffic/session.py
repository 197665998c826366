"""Database access for events: random rows, inserts, deletes that can be undone."""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

MAX_REFERENCED_KEY = 32_000
"""The largest key of tables that others refer to, since many references are smallint."""

Row = dict[str, Any]


class NoSuitableRowError(Exception):
    """The data contain no row that this kind of event applies to."""


class TrafficSession:
    """A connection and a random number generator. The caller starts a transaction for each event."""

    def __init__(self, connection: psycopg.Connection, rng: random.Random) -> None:
        self._connection = connection
        self.rng = rng
        self._open_rentals: list[int] | None = None
        self._deleted_rows: list[list[tuple[str, Row]]] = []

    def run(self, statement: LiteralString | sql.Composed, values: Sequence[Any] = ()) -> int:
        """Execute a statement; return the number of affected rows."""
        return self._connection.execute(statement, values).rowcount

    def find(self, query: LiteralString | sql.Composed, values: Sequence[Any] = ()) -> Any:
        """Return the first column of the first row.

        Raises:
            NoSuitableRowError: there is no row.
        """
        row = self._connection.execute(query, values).fetchone()
        if row is None:
            raise NoSuitableRowError
        return row[0]

    def pick(self, table: str, condition: LiteralString = "true") -> int:
        """Return the key of a random row that meets the condition; the cost does not grow with the table.

        A store is locked against deletion until the transaction ends, since no foreign key refers to it.

        Raises:
            NoSuitableRowError: no row meets the condition.
        """
        key, name = sql.Identifier(f"{table}_id"), sql.Identifier(table)
        bounds = sql.SQL("select int8range(min({}), max({}), '[]') from {}").format(key, key, name)
        keys = self.find(bounds)
        if keys is None or keys.isempty:
            raise NoSuitableRowError
        start = self.rng.randrange(keys.lower, keys.upper)
        for comparison in (sql.SQL(">="), sql.SQL("<")):
            row = self._connection.execute(
                sql.SQL(
                    "select {key} from {table} where {key} {comparison} %s and ({condition})"
                    " order by {key} limit 1 {lock}"
                ).format(
                    key=key,
                    table=name,
                    comparison=comparison,
                    condition=sql.SQL(condition),
                    lock=sql.SQL("for key share" if table == "store" else ""),
                ),
                [start],
            ).fetchone()
            if row is not None:
                return int(row[0])
        raise NoSuitableRowError

    def insert(self, table: str, **values: Any) -> int:
        """Insert a row; return its key.

        Raises:
            NoSuitableRowError: the key exceeds the range of references to the table.
        """
        key = self.find(
            sql.SQL("insert into {} ({}) values ({}) returning {}").format(
                sql.Identifier(table),
                sql.SQL(", ").join(map(sql.Identifier, values)),
                sql.SQL(", ").join([sql.Placeholder()] * len(values)),
                sql.Identifier(f"{table}_id"),
            ),
            list(values.values()),
        )
        if table not in {"rental", "payment", "inventory"} and key > MAX_REFERENCED_KEY:
            raise NoSuitableRowError
        return int(key)

    def touch(self, table: str, key: int) -> None:
        """Update a row without changing it, as applications do: only its last_update changes."""
        name = sql.Identifier(f"{table}_id")
        self.run(
            sql.SQL("update {} set {} = {} where {} = %s").format(sql.Identifier(table), name, name, name),
            [key],
        )

    def delete(self, *conditions: tuple[str, str, int]) -> None:
        """Delete the rows of each (table, column, value), in order; `restore_deleted` can insert them again."""
        deleted: list[tuple[str, Row]] = []
        with self._connection.cursor(row_factory=dict_row) as cursor:
            for table, column, value in conditions:
                cursor.execute(
                    sql.SQL("delete from {} where {} = %s returning *").format(
                        sql.Identifier(table), sql.Identifier(column)
                    ),
                    [value],
                )
                deleted += [(table, row) for row in cursor]
        if not deleted:
            raise NoSuitableRowError
        self._deleted_rows.append(deleted)

    def restore_deleted(self) -> None:
        """Insert rows that were deleted together again, with their old keys.

        Raises:
            NoSuitableRowError: no rows were deleted, or their store was deleted meanwhile.
            psycopg.IntegrityError: another row that they refer to was deleted meanwhile.
        """
        if not self._deleted_rows:
            raise NoSuitableRowError
        for table, row in reversed(self._deleted_rows.pop(self.rng.randrange(len(self._deleted_rows)))):
            if table != "store" and "store_id" in row:
                self.find("select store_id from store where store_id = %s for key share", [row["store_id"]])
            self.run(
                sql.SQL("insert into {} ({}) values ({})").format(
                    sql.Identifier(table),
                    sql.SQL(", ").join(map(sql.Identifier, row)),
                    sql.SQL(", ").join([sql.Placeholder()] * len(row)),
                ),
                list(row.values()),
            )

    @contextmanager
    def savepoint_rollback(self) -> Iterator[None]:
        """Roll back to a savepoint on exit."""
        with self._connection.transaction(force_rollback=True):
            yield

    def add_open_rental(self, rental: int) -> None:
        """Record a rental that is not returned yet."""
        if self._open_rentals is not None:
            self._open_rentals.append(rental)

    def take_open_rental(self) -> int:
        """Return a rental that is not returned yet, as far as known; each is returned once.

        Raises:
            NoSuitableRowError: there is no open rental.
        """
        if self._open_rentals is None:
            # No index finds them, so they are read once.
            rows = self._connection.execute(
                "select rental_id from rental where return_date is null order by rental_id"
            )
            self._open_rentals = [key for (key,) in rows]
        if not self._open_rentals:
            raise NoSuitableRowError
        position = self.rng.randrange(len(self._open_rentals))
        self._open_rentals[position], self._open_rentals[-1] = (
            self._open_rentals[-1],
            self._open_rentals[position],
        )
        return self._open_rentals.pop()
