"""A sync: the changes of PostgreSQL into a DuckDB file of its own, and from there into a destination."""

import tempfile
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.slot import advance_slot
from dvd_rental_pipeline.ingestion.postgres_cdc.outcome import Step
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.state import read_state
from dvd_rental_pipeline.ingestion.postgres_cdc.replicator import Replicator
from dvd_rental_pipeline_tests.duckdb_files import open_file
from dvd_rental_pipeline_tests.stand_ins.airbyte.destinations import Destination
from dvd_rental_pipeline_tests.stand_ins.airbyte.final_tables import FinalTable, final_table, text_expression

_SCHEMA = "extracted"


class SyncFailedError(Exception):
    """A sync failed; the message is the one that Airbyte would show."""


@dataclass(frozen=True)
class SyncResult:
    """Rows by stream, and total bytes."""

    rows: Mapping[str, int]
    bytes: int


class PostgresSync:
    """Replicates one PostgreSQL database for one connection."""

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self._folder = tempfile.TemporaryDirectory(prefix="airbyte_stand_in_", ignore_cleanup_errors=True)
        self._delivered: dict[str, str] = {}
        self._position: int | None = None

    @property
    def file(self) -> Path:
        return Path(self._folder.name) / "replica.duckdb"

    def run(
        self,
        source: Mapping[str, Any],
        streams: Sequence[Mapping[str, Any]],
        schema: str,
        *,
        full_refresh: bool,
    ) -> SyncResult:
        """Sync `streams` into `schema`, with `full_refresh` from scratch.

        Raises:
            SyncFailedError: the source is not set up, refuses, or a stream cannot be replicated.
        """
        url = source_url(source)
        method = source["replication_method"]
        keys = {stream["name"]: tuple(path[0] for path in stream["primaryKey"]) for stream in streams}
        slot, namespace = method["replication_slot"], streams[0]["namespace"]
        try:
            _check_source(url, method)
            if full_refresh:
                self.clear()
            # Only now, and not when the last sync ended, the source confirms what that one delivered.
            if self._position is not None:
                _confirm(url, slot, self._position)
            replicator = Replicator(
                url,
                self.file,
                keys,
                source_schema=namespace,
                target_schema=_SCHEMA,
                slot=slot,
                on_step=_stop_before_the_slot_advances,
            )
            with suppress(_CommittedError):
                replicator.sync()
            errors, self._position = self._read_state(keys)
            if errors:
                raise SyncFailedError("; ".join(f"{name}: {error}" for name, error in errors.items()))
            tables = discover(url, namespace, list(keys))
        except (PipelineError, psycopg.Error) as error:
            raise SyncFailedError(str(error)) from error
        rows, size = {}, 0
        for stream in streams:
            selected = stream.get("selectedFields")
            names = [field["fieldPath"][0] for field in selected] if selected else None
            table = tables[stream["name"]].select(names)
            rows[table.name], written = self._deliver(table, schema, replace=table.name not in self._delivered)
            size += written
        return SyncResult(rows, size)

    def _read_state(self, names: Collection[str]) -> tuple[Mapping[str, str], int | None]:
        """Why tables could not be replicated, by table, and the position after the last sync."""
        with open_file(self.file, read_only=True) as connection:
            state = read_state(connection, _SCHEMA)
        errors = {name: "it cannot be replicated" for name in names if name not in state.tables}
        errors |= {name: table.stopped for name, table in state.tables.items() if table.stopped}
        return errors, state.source.lsn if state.source else None

    def clear(self) -> None:
        self.file.unlink(missing_ok=True)
        self._delivered.clear()
        self._position = None

    def _deliver(self, table: FinalTable, schema: str, *, replace: bool) -> tuple[int, int]:
        """Write the rows that changed since the last delivery to the destination, as text.

        Returns their number, and their size in bytes.
        """
        since = self._delivered.get(table.name, "-infinity")
        selected = ", ".join(text_expression(column) for column in table.columns)
        with open_file(self.file, read_only=True) as connection:
            connection.execute("set timezone = 'UTC'")
            changed = connection.execute(
                f'select {selected} from {_SCHEMA}."{table.name}"'
                f" where _airbyte_extracted_at > '{since}'::timestamptz"
            ).to_arrow_table()
            (latest,) = connection.execute(
                f'select max(_airbyte_extracted_at)::varchar from {_SCHEMA}."{table.name}"'
            ).fetchall()[0]
        self._destination.write(schema, table, changed, replace=replace)
        # Only after the write: rows that a destination refuses are delivered again.
        self._delivered[table.name] = latest or since
        return int(changed.num_rows), int(changed.nbytes)


class _CommittedError(Exception):
    """Ends a sync of the replicator when its rows are stored."""


def _stop_before_the_slot_advances(step: Step) -> None:
    if step is Step.COMMITTED:
        raise _CommittedError


def _confirm(url: str, slot: str, position: int) -> None:
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        advance_slot(connection, slot, position)


def source_url(source: Mapping[str, Any]) -> str:
    """The connection string of a source, from the configuration of Airbyte's connector."""
    return make_conninfo(
        host=source["host"],
        port=source["port"],
        dbname=source["database"],
        user=source["username"],
        password=source.get("password") or "",
    )


def discover(url: str, schema: str, names: Sequence[str] | None = None) -> dict[str, FinalTable]:
    """The final tables for the tables of a schema that have a primary key, or those of them in `names`."""
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
    return {name: final_table(name, columns) for name, columns in tables.items()}


def _check_source(url: str, method: Mapping[str, Any]) -> None:
    """Airbyte creates neither slot nor publication, and refuses a source without them."""
    with psycopg.connect(url, connect_timeout=10) as connection:
        if heartbeat := method.get("heartbeat_action_query"):
            connection.execute(heartbeat)
        for subject, name, query in (
            ("publication", method["publication"], "select from pg_publication where pubname = %s"),
            (
                "replication slot",
                method["replication_slot"],
                "select from pg_replication_slots where slot_name = %s and plugin = 'pgoutput'"
                " and database = current_database()",
            ),
        ):
            if connection.execute(query, [name]).rowcount != 1:
                raise SyncFailedError(f"Expected exactly one {subject} named {name}")
