"""The tables that a database must have to be accepted as a given kind of source."""

from collections.abc import Mapping
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from dvd_rental_pipeline.sample.errors import SourceError


@dataclass(frozen=True)
class RequiredTables:
    """Primary key columns by table of one schema; `database_kind` is used in messages ("DVD rental")."""

    database_kind: str
    primary_keys: Mapping[str, tuple[str, ...]]
    schema: str = "public"

    def are_missing(self, url: str) -> bool:
        """Return whether none of the tables exists, or the database itself does not.

        A database with tables is someone's, even if they have no rows.

        Raises:
            psycopg.OperationalError: the server cannot be reached.
        """
        try:
            with psycopg.connect(url, autocommit=True) as connection:
                return not self._existing(connection)
        except psycopg.OperationalError:
            if _database_exists(url):
                raise
            return True

    def row_counts(self, url: str) -> dict[str, int]:
        """Return the exact number of rows of each table that exists.

        Raises:
            psycopg.OperationalError: the server cannot be reached, or has no such database.
        """
        with psycopg.connect(url) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            counts = {}
            for table in self._existing(connection):
                row = connection.execute(
                    sql.SQL("select count(*) from {}").format(sql.Identifier(self.schema, table))
                ).fetchone()
                counts[table] = int(row[0]) if row else 0
            return counts

    def verify(self, url: str) -> None:
        """Check that the database has every table with its key columns. Other tables and columns are allowed.

        Raises:
            SourceError: tables or key columns are missing.
            psycopg.OperationalError: the server cannot be reached, or has no such database.
        """
        with psycopg.connect(url) as connection:
            columns: dict[str, set[str]] = {table: set() for table in self._existing(connection)}
            for table, column in connection.execute(
                "select table_name, column_name from information_schema.columns where table_schema = %s",
                [self.schema],
            ):
                if table in columns:
                    columns[table].add(column)
        missing_tables = [table for table in self.primary_keys if table not in columns]
        missing_columns = [
            f"{table}.{column}"
            for table, key in self.primary_keys.items()
            if table in columns
            for column in key
            if column not in columns[table]
        ]
        missing = []
        if missing_tables:
            missing.append(f"the tables {', '.join(missing_tables)}")
        if missing_columns:
            missing.append(f"the columns {', '.join(missing_columns)}")
        if missing:
            raise SourceError(
                f"This is not a {self.database_kind} database: its schema {self.schema} lacks "
                f"{' and '.join(missing)}. The existing data are unchanged."
            )

    def _existing(self, connection: psycopg.Connection) -> list[str]:
        """Return the tables that exist, partitioned ones included, in the order of the declaration."""
        rows = connection.execute(
            "select relname from pg_class where relnamespace = to_regnamespace(%s)"
            " and relkind in ('r', 'p') and relname = any(%s)",
            [self.schema, list(self.primary_keys)],
        ).fetchall()
        existing = {name for (name,) in rows}
        return [table for table in self.primary_keys if table in existing]


def _database_exists(url: str) -> bool:
    name = conninfo_to_dict(url).get("dbname")
    with psycopg.connect(make_conninfo(url, dbname="postgres"), autocommit=True) as connection:
        row = connection.execute("select from pg_database where datname = %s", [name]).fetchone()
        return row is not None
