"""Raw tables as the replication writes them, with a history given by the test, and dbt to build on them."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from dvd_rental_pipeline.core.catalog import CHANGE_CAPTURE_COLUMNS, Domain, Table
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline_tests.dbt_runner import run_dbt
from dvd_rental_pipeline_tests.parsed_project import ParsedProject

TABLES = {table.name: table for table in DVD_RENTAL.tables}
START = datetime(2020, 1, 1, 8)
OTHER_PIPELINES = ("source:sales+", "source:totesys+", "source:totesys_lake+", "source:signups+")
"""Selectors of the models whose raw tables are not here."""


class RawTables:
    """Raw tables with the current state of each row, tombstones included. Commit times advance by `pass_time`.

    With `keep_past`, past states are kept too, as the embedded replication does and Airbyte does not.
    """

    def __init__(self, home: Path, *, keep_past: bool = False) -> None:
        self.home = home
        self.keep_past = keep_past
        self.now = START
        self.lsn = 26_000_000
        self._warehouse: duckdb.DuckDBPyConnection | None = None
        self.create(DVD_RENTAL)
        for table in TABLES.values():
            if keep_past and table.history:
                self.warehouse.execute("create schema if not exists dvd_rental_past")
                self.warehouse.execute(
                    f"create table dvd_rental_past.{table.name} as"
                    f" select {_history_columns(table)} from dvd_rental.{table.name}"
                )

    def create(self, domain: Domain) -> None:
        """Create the empty raw tables of `domain`."""
        self.warehouse.execute(f"create schema {domain.name}")
        for table in domain.tables:
            columns = [(column.name, column.type) for column in (*table.columns, *CHANGE_CAPTURE_COLUMNS)]
            defined = ", ".join(f'"{name}" {_duckdb_type(type_)}' for name, type_ in columns)
            self.warehouse.execute(f"create table {domain.name}.{table.name} ({defined})")

    @property
    def warehouse(self) -> duckdb.DuckDBPyConnection:
        """A connection that stays open until `close`: close it before another process opens the file."""
        if self._warehouse is None:
            self._warehouse = duckdb.connect(self.home / "warehouse.duckdb")
        return self._warehouse

    def close(self) -> None:
        if self._warehouse is not None:
            self._warehouse.close()
            self._warehouse = None

    def put(self, name: str, row: Mapping[str, Any], *, lsn: int | None = None) -> None:
        """Insert or replace a row; columns that are not given are null."""
        table = TABLES[name]
        last_update = {"last_update": self.now} if any(c.name == "last_update" for c in table.columns) else {}
        self._replace(table, {**last_update, **row}, deleted=False, lsn=lsn)

    def delete(self, name: str, *key: int) -> None:
        """Replace the row by a tombstone, which has the key only."""
        table = TABLES[name]
        self._replace(table, dict(zip(table.primary_key, key, strict=True)), deleted=True, lsn=None)

    def vanish(self, name: str, *key: int) -> None:
        """Remove the row without a tombstone, as a full refresh of the raw table does."""
        self._remove(TABLES[name], key)

    def row(self, name: str, *key: int) -> dict[str, Any]:
        table = TABLES[name]
        columns = ", ".join(f'"{column.name}"' for column in table.columns)
        where = " and ".join(f"{column} = ?" for column in table.primary_key)
        found = self.warehouse.execute(
            f"select {columns} from dvd_rental.{name} where {where} and _ab_cdc_deleted_at is null", key
        ).fetchone()
        assert found, f"{name} {key} does not exist"
        return dict(zip([column.name for column in table.columns], found, strict=True))

    def change(self, name: str, *key: int, **values: Any) -> None:
        self.put(name, {**self.row(name, *key), "last_update": self.now, **values})

    def keys(self, name: str) -> list[int]:
        key = TABLES[name].primary_key[0]
        not_deleted = f"select {key} from dvd_rental.{name} where _ab_cdc_deleted_at is null order by 1"
        return [key for (key,) in self.query(not_deleted)]

    def pass_time(self, **duration: float) -> None:
        self.now += timedelta(**duration)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        return self.warehouse.execute(sql).fetchall()

    def _replace(self, table: Table, row: Mapping[str, Any], *, deleted: bool, lsn: int | None) -> None:
        self.lsn += 8
        committed = f"{self.now.isoformat(timespec='microseconds')}Z"
        values = {
            **{column: value for column, value in row.items() if column in {c.name for c in table.columns}},
            "_airbyte_raw_id": f"{table.name}-{self.lsn}",
            "_airbyte_generation_id": 1,
            "_ab_cdc_lsn": lsn or self.lsn,
            "_ab_cdc_updated_at": committed,
            "_ab_cdc_deleted_at": committed if deleted else None,
        }
        names = ", ".join(f'"{name}"' for name in values)
        marks = ", ".join("?" for _ in values)
        key = [row[column] for column in table.primary_key]
        if self.keep_past and table.history:
            where = " and ".join(f"{column} = ?" for column in table.primary_key)
            self.warehouse.execute(
                f"insert into dvd_rental_past.{table.name}"
                f" select {_history_columns(table)} from dvd_rental.{table.name} where {where}",
                key,
            )
        self._remove(table, key)
        self.warehouse.execute(
            f"insert into dvd_rental.{table.name} ({names}) values ({marks})", list(values.values())
        )

    def _remove(self, table: Table, key: Sequence[int]) -> None:
        where = " and ".join(f"{column} = ?" for column in table.primary_key)
        self.warehouse.execute(f"delete from dvd_rental.{table.name} where {where}", list(key))


def fill(raw: RawTables) -> None:
    """Insert two stores, six films, twelve copies and eight customers, without rentals and payments."""
    raw.put("language", {"language_id": 1, "name": "English".ljust(20)})
    raw.put("country", {"country_id": 1, "country": "Belgium"})
    for city_id, city in ((1, "Ghent"), (2, "Leuven")):
        raw.put("city", {"city_id": city_id, "city": city, "country_id": 1})
    for category_id, name in ((1, "Drama"), (2, "Music")):
        raw.put("category", {"category_id": category_id, "name": name})
    for address_id in range(1, 13):
        raw.put("address", {"address_id": address_id, "address": "1 Street", "district": "", "city_id": 1})
    for key in (1, 2):
        raw.put("staff", _person(key, "staff") | {"address_id": key, "active": True, "username": "x"})
        raw.put("store", {"store_id": key, "manager_staff_id": key, "address_id": key})
    raw.put("actor", {"actor_id": 1, "first_name": "Ada", "last_name": "Low"})
    for film_id in range(1, 7):
        raw.put(
            "film",
            {
                "film_id": film_id,
                "title": f"Film {film_id}",
                "language_id": 1,
                "rental_duration": 3,
                "rental_rate": 2.99,
                "replacement_cost": 19.99,
                "rating": "PG",
                "fulltext": "",
            },
        )
        raw.put("film_category", {"film_id": film_id, "category_id": 1 + film_id % 2})
        raw.put("film_actor", {"actor_id": 1, "film_id": film_id})
        for store_id in (1, 2):
            raw.put(
                "inventory",
                {"inventory_id": 2 * film_id + store_id - 2, "film_id": film_id, "store_id": store_id},
            )
    for customer_id in range(1, 9):
        put_customer(raw, customer_id)


def put_customer(raw: RawTables, customer_id: int) -> None:
    raw.put(
        "customer",
        _person(customer_id, "customer")
        | {
            "store_id": 1 + customer_id % 2,
            "address_id": 3 + customer_id % 8,
            "activebool": True,
            "active": 1,
            "create_date": START.date(),
        },
    )


def _person(key: int, table: str) -> dict[str, Any]:
    return {
        f"{table}_id": key,
        "first_name": f"First {key}",
        "last_name": f"Last {key}",
        "store_id": key,
        "email": f"{table}{key}@example.org",
    }


class Dbt:
    """Runs dbt in this process on the warehouse of these raw tables."""

    def __init__(self, raw: RawTables, project: ParsedProject) -> None:
        self.raw = raw
        self.project = project

    def __call__(self, *arguments: str, target: str = "local") -> str:
        """Run a dbt command, and return what it printed.

        Raises:
            AssertionError: the command failed; the message has the output of dbt.
        """
        self.raw.close()
        completed = run_dbt(
            *arguments,
            "--target",
            target,
            target_path=self.raw.home / "target",
            environment={"DVD_RENTAL_HOME": str(self.raw.home)},
            manifest=self.project.manifest(target),
        )
        assert completed.succeeded, completed.stdout
        return completed.stdout

    def build_marts(self, *arguments: str) -> None:
        """Build everything up to the marts, without tests."""
        self(
            "build", "--select", "+path:models/marts", "--exclude", *OTHER_PIPELINES,
            "--exclude-resource-type", "test", "--exclude-resource-type", "unit_test", *arguments,
        )  # fmt: skip


def _history_columns(table: Table) -> str:
    changes = ("_ab_cdc_lsn", "_ab_cdc_updated_at", "_ab_cdc_deleted_at")
    return ", ".join((*table.primary_key, *table.history, *changes))


def _duckdb_type(postgres_type: str) -> str:
    if postgres_type.startswith(("character", "mpaa", "tsvector")):
        return "varchar"
    return {"text[]": "varchar[]", "bytea": "blob", "year": "integer"}.get(postgres_type, postgres_type)
