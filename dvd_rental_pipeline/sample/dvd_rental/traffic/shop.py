"""The database as an event sees it: picking rows at random, and remembering what was taken away."""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

LARGEST_KEY = 32_000
"""Keys that others refer to stay below this, since many references are smallint."""

Row = dict[str, Any]


class NothingToDoError(Exception):
    """The data have no row that this kind of event could happen to."""


class Shop:
    """A connection, and the randomness of the events. The caller begins a transaction for each event."""

    def __init__(self, connection: psycopg.Connection, rng: random.Random) -> None:
        self._connection = connection
        self.rng = rng
        self._open_rentals: list[int] | None = None
        self._removed: list[list[tuple[str, Row]]] = []

    def run(self, statement: LiteralString | sql.Composed, values: Sequence[Any] = ()) -> int:
        """The number of rows affected."""
        return self._connection.execute(statement, values).rowcount

    def find(self, query: LiteralString | sql.Composed, values: Sequence[Any] = ()) -> Any:
        """The first column of the first row.

        Raises:
            NothingToDoError: there is no row.
        """
        found = self._connection.execute(query, values).fetchone()
        if found is None:
            raise NothingToDoError
        return found[0]

    def pick(self, table: str, condition: LiteralString = "true") -> int:
        """The key of a row at random, among those that meet the condition. Quick however large the table is.

        A store stays until the transaction ends: what is done with it no foreign key would protect.

        Raises:
            NothingToDoError: there is none.
        """
        key, name = sql.Identifier(f"{table}_id"), sql.Identifier(table)
        bounds = sql.SQL("select int8range(min({}), max({}), '[]') from {}").format(key, key, name)
        keys = self.find(bounds)
        if keys is None or keys.isempty:
            raise NothingToDoError
        start = self.rng.randrange(keys.lower, keys.upper)
        for comparison in (sql.SQL(">="), sql.SQL("<")):
            found = self._connection.execute(
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
            if found is not None:
                return int(found[0])
        raise NothingToDoError

    def add(self, table: str, **values: Any) -> int:
        """Insert a row; returns its key.

        Raises:
            NothingToDoError: the keys that references to the table can hold are used up.
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
        if table not in {"rental", "payment", "inventory"} and key > LARGEST_KEY:
            raise NothingToDoError
        return int(key)

    def touch(self, table: str, key: int) -> None:
        """Save a row as it is, as applications do: only its last_update changes."""
        name = sql.Identifier(f"{table}_id")
        self.run(
            sql.SQL("update {} set {} = {} where {} = %s").format(sql.Identifier(table), name, name, name),
            [key],
        )

    def remove(self, *what: tuple[str, str, int]) -> None:
        """Delete rows, given as table, column and value, in this order; `bring_back` knows them from now on."""
        removed: list[tuple[str, Row]] = []
        with self._connection.cursor(row_factory=dict_row) as cursor:
            for table, column, value in what:
                cursor.execute(
                    sql.SQL("delete from {} where {} = %s returning *").format(
                        sql.Identifier(table), sql.Identifier(column)
                    ),
                    [value],
                )
                removed += [(table, row) for row in cursor]
        if not removed:
            raise NothingToDoError
        self._removed.append(removed)

    def bring_back(self) -> None:
        """Insert again, with their old keys, rows that were removed together.

        Raises:
            NothingToDoError: nothing was removed, or the store that they belong to has gone meanwhile.
            psycopg.IntegrityError: something else that they belong to has.
        """
        if not self._removed:
            raise NothingToDoError
        for table, row in reversed(self._removed.pop(self.rng.randrange(len(self._removed)))):
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
    def undone(self) -> Iterator[None]:
        """What happens inside is rolled back to a savepoint."""
        with self._connection.transaction(force_rollback=True):
            yield

    def rented(self, rental: int) -> None:
        """Remember a rental that is not returned yet."""
        if self._open_rentals is not None:
            self._open_rentals.append(rental)

    def take_open_rental(self) -> int:
        """A rental that is not returned yet, as far as is known, and that is not taken a second time.

        Raises:
            NothingToDoError: everything is returned.
        """
        if self._open_rentals is None:
            # Nothing indexes them: they are looked for once.
            found = self._connection.execute(
                "select rental_id from rental where return_date is null order by rental_id"
            )
            self._open_rentals = [key for (key,) in found]
        if not self._open_rentals:
            raise NothingToDoError
        position = self.rng.randrange(len(self._open_rentals))
        self._open_rentals[position], self._open_rentals[-1] = (
            self._open_rentals[-1],
            self._open_rentals[position],
        )
        return self._open_rentals.pop()
