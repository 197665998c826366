"""A source database with its warehouse, and an oracle that compares the two.

The oracle shares no code with the replication: it reads the source's values in PostgreSQL's text form, converts
those of the warehouse to that form, and compares.
"""

import json
import secrets
import struct
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from dvd_rental_pipeline.ingestion.postgres_cdc.outcome import Step, SyncResult, TableSync, TableVerification
from dvd_rental_pipeline.ingestion.postgres_cdc.replicator import Replicator
from dvd_rental_pipeline.ingestion.postgres_cdc.verify.verification import Verifier
from dvd_rental_pipeline_tests.duckdb_files import open_file

Rows = list[tuple[str | None, ...]]


class Interrupted(BaseException):
    """Simulates a killed process: a BaseException, so that no handler for errors catches it."""


@dataclass
class Pair:
    """A source, a connection to it, and the warehouse that replicates it into one schema."""

    url: str
    warehouse: Path
    source: psycopg.Connection
    slot: str
    target_schema: str = "dvd_rental"
    messages: list[str] = field(default_factory=list)

    @classmethod
    @contextmanager
    def connected(
        cls, url: str, warehouse: Path, slot: str | None = None, target_schema: str = "dvd_rental"
    ) -> Iterator["Pair"]:
        with psycopg.connect(url, autocommit=True) as source:
            yield cls(url, warehouse, source, slot or f"slot_{secrets.token_hex(6)}", target_schema)

    def run(self, *statements: str) -> None:
        """Execute each statement in a transaction of its own."""
        for statement in statements:
            self.source.execute(statement)

    def in_transaction(self, *statements: str) -> None:
        """Execute the statements in one transaction."""
        with self.source.transaction():
            self.run(*statements)

    def value(self, query: str) -> Any:
        row = self.source.execute(query).fetchone()
        return row[0] if row else None

    def keys(self) -> dict[str, tuple[str, ...]]:
        """The primary key of every table of the source; empty for a table without one."""
        tables = self.source.execute(
            "select c.relname, array(select a.attname::text from pg_index i join pg_attribute a"
            " on a.attrelid = c.oid and a.attnum = any (i.indkey) where i.indrelid = c.oid and i.indisprimary)"
            " from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')"
            " and not c.relispartition order by 1"
        )
        return {name: tuple(key) for name, key in tables}

    def replicator(self, **options: Any) -> Replicator:
        defaults = {
            "source_url": self.url,
            "warehouse": self.warehouse,
            "tables": self.keys(),
            "target_schema": self.target_schema,
            "slot": self.slot,
            "wait_seconds": 20,
            "on_progress": self.messages.append,
        }
        return Replicator(**{**defaults, **options})

    def sync(self, *, full_refresh: bool = False, **options: Any) -> SyncResult:
        """Sync, and require every table without an error to equal its source."""
        result = self.replicator(**options).sync(full_refresh=full_refresh)
        for name, table in result.tables.items():
            if table.error is None:
                self.require_equal(name, table)
        return result

    def verify(self, *, sample_rows: int | None = None) -> dict[str, TableVerification]:
        """The result of the project's own comparison, by table."""
        verifier = Verifier(
            self.url, self.warehouse, list(self.keys()), target_schema=self.target_schema, slot=self.slot,
            wait_seconds=20, on_progress=self.messages.append,
        )  # fmt: skip
        return dict(verifier.verify(sample_rows=sample_rows))

    def sync_one(self, table: str = "t", **options: Any) -> TableSync:
        return self.sync(**options).tables[table]

    def interrupt_at(self, at: Step, **options: Any) -> None:
        """Run a sync that is interrupted at a step, as if it was killed there."""

        def interrupt(step: Step) -> None:
            if step is at:
                raise Interrupted

        try:
            self.replicator(on_step=interrupt, **options).sync()
        except Interrupted:
            return
        raise AssertionError(f"the sync never reached the step {at!r}")

    def raw(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Query the warehouse."""
        with open_file(self.warehouse) as warehouse:
            return warehouse.execute(query, list(parameters)).fetchall()

    def require_equal(self, table: str, sync: TableSync | None = None) -> None:
        """Require the raw table, without tombstones, to have exactly the source's rows."""
        columns = self._columns(table)
        expected = self._source_rows(table, columns)
        found = self._raw_rows(table, columns)
        missing = list((Counter(expected) - Counter(found)).elements())
        unexpected = list((Counter(found) - Counter(expected)).elements())
        assert (missing, unexpected) == ([], []), (
            f"{table} differs from its source: {len(missing)} rows are missing, such as {missing[:3]}, and "
            f"{len(unexpected)} are unexpected, such as {unexpected[:3]}"
        )
        if sync is not None:
            ((tombstones,),) = self.raw(f"select count(_ab_cdc_deleted_at) from {self._raw_name(table)}")
            assert (sync.rows, sync.tombstones) == (len(expected), tombstones)

    def _raw_name(self, table: str) -> str:
        return f"{quoted(self.target_schema)}.{quoted(table)}"

    def _columns(self, table: str) -> dict[str, str]:
        """How each column is compared: as `float4`, `float8`, `temporal` or `text`; with `[]` for an array."""
        return dict(
            self.source.execute(
                "select a.attname, case when e.typname = 'float8' then 'float8[]'"
                " when e.oid is not null then 'text[]'"
                " when t.typname in ('float4', 'float8') then t.typname"
                " when t.typname in ('date', 'timestamp', 'timestamptz', 'time') then 'temporal'"
                " else 'text' end"
                " from pg_attribute a join pg_type t on t.oid = a.atttypid"
                " left join pg_type e on e.oid = t.typelem and e.typarray = t.oid and e.typdelim = ','"
                " where a.attrelid = %s::regclass and a.attnum > 0 and not a.attisdropped"
                " and a.attgenerated = '' order by a.attnum",
                [f"public.{quoted(table)}"],
            ).fetchall()
        )

    def _source_rows(self, table: str, columns: dict[str, str]) -> Rows:
        # format() writes a value in its type's output form, which a cast to text may not.
        selected = [
            sql.SQL(
                "array_to_json({0}::text::text[])::text"
                if kind.endswith("[]")
                else "case when {0} is distinct from null then format('%s', {0}) end"
            ).format(sql.Identifier(name))
            for name, kind in columns.items()
        ]
        with psycopg.connect(self.url) as connection:
            connection.execute(
                "select set_config('datestyle', 'ISO', true), set_config('timezone', 'UTC', true),"
                " set_config('intervalstyle', 'postgres', true), set_config('search_path', 'pg_catalog', true),"
                " set_config('bytea_output', 'hex', true), set_config('extra_float_digits', '1', true)"
            )
            (kind,) = connection.execute(
                "select relkind from pg_class where oid = %s::regclass", [f"public.{quoted(table)}"]
            ).fetchall()[0]
            rows = connection.execute(
                sql.SQL("select {} from {} {}").format(
                    sql.SQL(", ").join(selected),
                    sql.SQL("only" if kind == "r" else ""),
                    sql.Identifier("public", table),
                )
            ).fetchall()
        kinds = list(columns.values())
        return sorted(
            (tuple(_comparable(value, kind) for value, kind in zip(row, kinds, strict=True)) for row in rows),
            key=repr,
        )

    def _raw_rows(self, table: str, columns: dict[str, str]) -> Rows:
        selected = [
            # Python has neither years BC nor infinite times.
            f"{quoted(name)}::varchar" if kind == "temporal" else quoted(name)
            for name, kind in columns.items()
        ]
        with open_file(self.warehouse) as warehouse:
            warehouse.execute("set timezone = 'UTC'")
            rows = warehouse.execute(
                f"select {', '.join(selected)} from {self._raw_name(table)} where _ab_cdc_deleted_at is null"
            ).fetchall()
        kinds = list(columns.values())
        return sorted(
            (tuple(_written(value, kind) for value, kind in zip(row, kinds, strict=True)) for row in rows),
            key=repr,
        )


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _comparable(text: str | None, kind: str) -> str | None:
    """PostgreSQL's text, with numbers in one canonical spelling."""
    if text is None:
        return None
    if kind == "float8":
        return repr(float(text))
    if kind == "float4":
        return repr(struct.unpack("f", struct.pack("f", float(text)))[0])
    if kind.endswith("[]"):
        return json.dumps(
            [item if isinstance(item, list) else _comparable(item, kind[:-2]) for item in json.loads(text)]
        )
    return text


def _written(value: Any, kind: str) -> str | None:
    """A warehouse value in the form of `_comparable`."""
    if value is None:
        return None
    if kind in {"float4", "float8"}:
        return repr(value)
    if kind.endswith("[]"):
        # An inner array comes as JSON text.
        return json.dumps(
            [
                json.loads(item)
                if isinstance(item, str) and item.startswith("[")
                else _written(item, kind[:-2])
                for item in value
            ]
        )
    if kind == "temporal":
        return value.replace(" (BC)", "") + " BC" if " (BC)" in value else str(value)
    return _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    if isinstance(value, Decimal):
        return f"{value:f}"
    return str(value)
