"""The work of a sync: PostgreSQL's changes into a file of its own, and from there to a destination."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import psycopg
from psycopg.conninfo import make_conninfo

from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.ingestion.postgres_cdc.replicator import Replicator
from dvd_rental_pipeline_tests.stand_ins.airbyte.destinations import Destination
from dvd_rental_pipeline_tests.stand_ins.airbyte.shapes import Shape, shape_of, text_of

_SCHEMA = "extracted"


class SyncFailedError(Exception):
    """A sync failed; the text is what Airbyte would show."""


@dataclass(frozen=True)
class Synced:
    """Rows by stream, and bytes in all."""

    rows: Mapping[str, int]
    bytes: int


class PostgresSync:
    """Follows one PostgreSQL database for one connection."""

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self._folder = tempfile.TemporaryDirectory(prefix="airbyte_stand_in_", ignore_cleanup_errors=True)
        self._delivered: dict[str, str] = {}

    @property
    def file(self) -> Path:
        return Path(self._folder.name) / "replica.duckdb"

    def run(
        self, source: Mapping[str, Any], streams: Sequence[Mapping[str, Any]], schema: str, *, anew: bool
    ) -> Synced:
        """Sync `streams` into `schema`; `anew` forgets everything before.

        Raises:
            SyncFailedError: the source is not set up, refuses, or a stream cannot be replicated.
        """
        url = source_url(source)
        method = source["replication_method"]
        keys = {stream["name"]: tuple(path[0] for path in stream["primaryKey"]) for stream in streams}
        try:
            _require(url, method)
            if anew:
                self.clear()
            result = Replicator(
                url,
                self.file,
                keys,
                source_schema=streams[0]["namespace"],
                target_schema=_SCHEMA,
                slot=method["replication_slot"],
            ).sync()
            if broken := {name: table.error for name, table in result.tables.items() if table.error}:
                raise SyncFailedError("; ".join(f"{name}: {why}" for name, why in broken.items()))
            shapes = discover(url, streams[0]["namespace"], list(keys))
        except (PipelineError, psycopg.Error) as error:
            raise SyncFailedError(str(error)) from error
        rows = {name: self._deliver(shapes[name], schema, anew=name not in self._delivered) for name in shapes}
        return Synced(rows, sum(table.bytes for table in result.tables.values()))

    def clear(self) -> None:
        self.file.unlink(missing_ok=True)
        self._delivered.clear()

    def _deliver(self, shape: Shape, schema: str, *, anew: bool) -> int:
        """Hand the destination what changed since the last delivery, as text."""
        since = self._delivered.get(shape.name, "-infinity")
        selected = ", ".join(text_of(column) for column in shape.columns)
        with duckdb.connect(self.file, read_only=True) as connection:
            connection.execute("set timezone = 'UTC'")
            changed = connection.execute(
                f'select {selected} from {_SCHEMA}."{shape.name}"'
                f" where _airbyte_extracted_at > '{since}'::timestamptz"
            ).to_arrow_table()
            (latest,) = connection.execute(
                f'select max(_airbyte_extracted_at)::varchar from {_SCHEMA}."{shape.name}"'
            ).fetchall()[0]
        self._destination.write(schema, shape, changed, anew=anew)
        # Only now: what a destination did not take is delivered again.
        self._delivered[shape.name] = latest or since
        return int(changed.num_rows)


def source_url(source: Mapping[str, Any]) -> str:
    """How to reach a source that is configured as Airbyte's connector wants it."""
    return make_conninfo(
        host=source["host"],
        port=source["port"],
        dbname=source["database"],
        user=source["username"],
        password=source.get("password") or "",
    )


def discover(url: str, schema: str, names: Sequence[str] | None = None) -> dict[str, Shape]:
    """The tables of a schema with a primary key, or those of them in `names`."""
    with psycopg.connect(url, connect_timeout=10) as connection:
        found = connection.execute(
            """
            select c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnum = any (i.indkey)
            from pg_class c
            join pg_index i on i.indrelid = c.oid and i.indisprimary
            join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
            where c.relnamespace = %s::regnamespace and c.relkind in ('r', 'p')
            order by c.relname, a.attnum
            """,
            [schema],
        ).fetchall()
    tables: dict[str, list[tuple[str, str, bool]]] = {}
    for table, *column in found:
        if names is None or table in names:
            tables.setdefault(table, []).append(tuple(column))
    return {name: shape_of(name, columns) for name, columns in tables.items()}


def _require(url: str, method: Mapping[str, Any]) -> None:
    """Airbyte makes neither slot nor publication, and refuses a source without them."""
    with psycopg.connect(url, connect_timeout=10) as connection:
        if heartbeat := method.get("heartbeat_action_query"):
            connection.execute(heartbeat)
        for what, name, query in (
            ("publication", method["publication"], "select from pg_publication where pubname = %s"),
            (
                "replication slot",
                method["replication_slot"],
                "select from pg_replication_slots where slot_name = %s and plugin = 'pgoutput'"
                " and database = current_database()",
            ),
        ):
            if connection.execute(query, [name]).rowcount != 1:
                raise SyncFailedError(f"Expected exactly one {what} named {name}")
