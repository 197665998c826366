"""Writing the raw tables: creating and altering them, applying folded changes, replacing their contents.

A raw table has the source's columns, then columns that the source dropped, then Airbyte's (`RAW_COLUMNS`). A
deleted row stays as a tombstone: its key, `_ab_cdc_deleted_at`, and NULL in every other column of the source.

`_ab_cdc_lsn` is the position of the transaction's commit record, and for a copied row the last position before
its snapshot, so that a later change always has the greater number. Everything here happens within a transaction
of the caller's.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import duckdb
import pyarrow as pa

from dvd_rental_pipeline.ingestion.postgres_cdc.compact.compact_rows import StreamMismatchError
from dvd_rental_pipeline.ingestion.postgres_cdc.compact.compacted import ChangeBatch, CompactedChanges
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.session import literal, quoted
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.column_types import array_json
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.relations import Column, Relation
from dvd_rental_pipeline.ingestion.postgres_cdc.write.past_states import CHANGE_COLUMNS, PastStates

_RAW_TYPES = {
    "_airbyte_raw_id": "UUID",
    "_airbyte_extracted_at": "TIMESTAMP WITH TIME ZONE",
    "_airbyte_meta": "JSON",
    "_airbyte_generation_id": "BIGINT",
    **CHANGE_COLUMNS,
}
# A relation's columns are called by position in between, whatever their names are: c0, c1 ...
_STRETCH = "_replication_stretch"
_CHANGES = "_replication_changes"
_SUPERSEDED = "_replication_superseded"
_FORMER = "temp._replication_former"


class UnrepresentableKeyError(Exception):
    """A primary key has a value that the warehouse's type cannot hold."""


@dataclass(frozen=True)
class Counts:
    """Rows that a step changed in a raw table; `added` are keys that it did not hold, even as tombstones."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    added: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.inserted + other.inserted,
            self.updated + other.updated,
            self.deleted + other.deleted,
            self.added + other.added,
        )


@dataclass(frozen=True)
class Stamp:
    """What a sync writes into the rows it touches.

    `offset` is added to every position in the log, so that `_ab_cdc_lsn` grows even when the source was
    restored and its log began again at an earlier position.
    """

    sync: int
    extracted_at: str
    offset: int


class RawTable:
    """The raw table of one relation."""

    def __init__(
        self,
        warehouse: duckdb.DuckDBPyConnection,
        schema: str,
        relation: Relation,
        *,
        retired: Mapping[str, str],
        generation: int,
        stamp: Stamp,
        past: PastStates | None = None,
    ) -> None:
        self.relation = relation
        self._warehouse = warehouse
        self._schema = schema
        self._table = quoted(schema, relation.name)
        self._retired = retired
        self._generation = generation
        self._stamp = stamp
        self._past = past
        self._superseded = False  # whether `_SUPERSEDED` is there
        warehouse.execute("SET python_scan_all_frames = true")
        self._columns = [quoted(column.name) for column in relation.columns]
        self._key = [quoted(name) for name in relation.key]

    def alter(self, added: Sequence[Column], widened: Sequence[Column]) -> None:
        """Follow the source's columns. Added ones are NULL in the rows there are."""
        for column in added:
            self._warehouse.execute(
                f"ALTER TABLE {self._table} ADD COLUMN {quoted(column.name)} {column.type.warehouse}"
            )
        for column in widened:
            self._warehouse.execute(
                f"ALTER TABLE {self._table} ALTER COLUMN {quoted(column.name)} TYPE {column.type.warehouse}"
            )

    def apply(self, batch: ChangeBatch) -> Counts:
        """Bring the raw table level with a stretch of changes.

        Raises:
            StreamMismatchError: the changes do not follow from the rows that are in the table.
            UnrepresentableKeyError: a key cannot be held.
        """
        counts = Counts()
        # DuckDB finds Arrow tables by the names of these variables (`_CHANGES`, `_SUPERSEDED`).
        _replication_changes = self._staged(batch.changes)
        _replication_superseded = self._staged(batch.superseded if self._past is not None else None)
        if _replication_changes is not None:
            counts = self._check_staged()
        self._superseded = _replication_superseded is not None
        self._keep_superseded()
        if batch.truncated is not None:
            counts = self._truncate(*batch.truncated, counts)
        if _replication_changes is not None:
            self._replace(truncated=batch.truncated is not None)
        return counts

    def start_replacement(self, *, keep_tombstones: bool) -> None:
        """Empty the table and give it the relation's columns.

        With `keep_tombstones` the keys that it held are remembered for `finish_replacement`.
        """
        self._warehouse.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(self._schema)}")
        self._warehouse.execute(f"DROP TABLE IF EXISTS {_FORMER}")
        if keep_tombstones and self._holds_key():
            there = self._columns_there("current", self._schema, self.relation.name)
            kept = [quoted(name) for name in (self._past.kept if self._past else ()) if name in there]
            self._warehouse.execute(
                f"CREATE TEMP TABLE {_FORMER.removeprefix('temp.')} AS"
                f" SELECT {', '.join(dict.fromkeys([*self._key, *kept]))}, {', '.join(_RAW_TYPES)}"
                f" FROM {self._table}"
            )
        columns = {
            **{column.name: column.type.warehouse for column in self.relation.columns},
            **self._retired,
            **_RAW_TYPES,
        }
        definition = ", ".join(f"{quoted(name)} {kind}" for name, kind in columns.items())
        self._warehouse.execute(f"CREATE OR REPLACE TABLE {self._table} ({definition})")
        if self._past is not None:
            self._past.prepare()

    def copy(self, parts: Sequence[pa.RecordBatchReader], lsn: int, time: str) -> int:
        """Take in the rows of a snapshot, selected by `snapshot_columns`. The number of rows.

        Several parts are read at the same time, each by a thread of its own.

        Raises:
            UnrepresentableKeyError: a key cannot be held.
        """
        values, notes = [], []
        for position, column in enumerate(self.relation.columns):
            kind = column.type
            came = f"c{position}"
            if kind.exact is not None:
                parsed = kind.parse.format(f"x{position}")
                values.append(f"coalesce({came}, {parsed})")
                notes += [_note(column, f"x{position}", parsed)] if kind.fallible else []
            elif kind.native:
                values.append(came)
            else:
                parsed = kind.parse.format(came)
                values.append(parsed)
                notes += [_note(column, came, parsed)] if kind.fallible else []
        names = [f"_replication_rows_{number}" for number in range(len(parts))]
        for name, part in zip(names, parts, strict=True):
            self._warehouse.register(name, part)
        # In order, the parts would be read one after the other.
        self._warehouse.execute(f"SET preserve_insertion_order = {str(len(parts) == 1).lower()}")
        try:
            row = self._warehouse.execute(
                f"INSERT INTO {self._table} ({', '.join([*self._columns, *_RAW_TYPES])})"
                f" SELECT {', '.join(values)}, gen_random_uuid(), $extracted::TIMESTAMPTZ,"
                f" {self._meta(notes)}, {self._generation}, $lsn, $time, NULL"
                f" FROM ({' UNION ALL '.join(f'FROM {name}' for name in names)})",
                {"extracted": self._stamp.extracted_at, "lsn": lsn - 1 + self._stamp.offset, "time": time},
            ).fetchone()
        finally:
            # In a transaction that has failed it is neither possible nor needed.
            with suppress(duckdb.TransactionException):
                self._warehouse.execute("RESET preserve_insertion_order")
                for name in names:
                    self._warehouse.unregister(name)
        unheld = " OR ".join(f"{key} IS NULL" for key in self._key)
        if self._row(f"SELECT count(*) FROM {self._table} WHERE {unheld}")[0]:
            raise self._unholdable_key()
        return int(row[0]) if row else 0

    def finish_replacement(self, lsn: int, time: str) -> tuple[int, int]:
        """Turn former rows that are no more into tombstones, so that readers of changes see them go.

        The number of rows that were live before and are gone, and of all tombstones.
        """
        if not self._row(
            "SELECT count(*) FROM duckdb_tables() WHERE database_name = 'temp'"
            " AND table_name = '_replication_former'"
        )[0]:
            return 0, 0
        self._keep_former()
        gone = f"FROM {_FORMER} AS former ANTI JOIN {self._table} USING ({', '.join(self._key)})"
        count = int(self._row(f"SELECT count(*) {gone} WHERE former._ab_cdc_deleted_at IS NULL")[0])
        was_live = "former._ab_cdc_deleted_at IS NULL"
        parameters = {
            "extracted": self._stamp.extracted_at, "lsn": lsn - 1 + self._stamp.offset, "time": time
        }  # fmt: skip
        ((tombstones,),) = self._warehouse.execute(
            f"INSERT INTO {self._table} ({', '.join([*self._key, *_RAW_TYPES])})"
            f" SELECT {', '.join(f'former.{key}' for key in self._key)}, gen_random_uuid(),"
            f" $extracted::TIMESTAMPTZ, {self._meta([])}, {self._generation},"
            f" CASE WHEN {was_live} THEN $lsn ELSE former._ab_cdc_lsn END,"
            f" CASE WHEN {was_live} THEN $time ELSE former._ab_cdc_updated_at END,"
            f" CASE WHEN {was_live} THEN $time ELSE former._ab_cdc_deleted_at END {gone}",
            parameters,
        ).fetchall()
        self._warehouse.execute(f"DROP TABLE {_FORMER}")
        return count, int(tombstones)

    def _keep_past(self, which: str) -> None:
        """Keep the states that rows of the raw table, `target`, are about to lose."""
        if self._past is None:
            return
        names = (*self._past.kept, *CHANGE_COLUMNS)
        # A stretch may end within a transaction: then the row has a state that nobody saw, and the state with
        # which that transaction committed is among the superseded ones of the next stretch.
        same = f"{self._on('target', 'seen.c')} AND target._ab_cdc_lsn = seen._lsn"
        unseen = f" ANTI JOIN {_SUPERSEDED} AS seen ON {same}" if self._superseded else ""
        self._past.add(
            f"{self._table} AS target{unseen} {which}",
            {name: f"target.{quoted(name)}" for name in names},
        )

    def _keep_superseded(self) -> None:
        """Keep the states that came and went within the stretch, and never reach the raw table."""
        if self._past is None or not self._superseded:
            return
        staged = {
            described.name: f"c{position}"
            for position, described in enumerate(self.relation.columns)
            if described.name in self._past.kept
        }
        staged |= {
            "_ab_cdc_lsn": "_lsn",
            "_ab_cdc_updated_at": "_time",
            "_ab_cdc_deleted_at": "CASE WHEN _deleted THEN _time END",
        }
        self._past.add(_SUPERSEDED, staged)

    def _keep_former(self) -> None:
        """Keep what the replaced rows were; those that were gone and still are have not changed."""
        if self._past is None:
            return
        there = self._columns_there("temp", "main", "_replication_former")
        names = [name for name in (*self._past.kept, *CHANGE_COLUMNS) if name in there]
        again = f"SELECT 1 FROM {self._table} AS now WHERE " + " AND ".join(
            f"now.{key} = former.{key}" for key in self._key
        )
        self._past.add(
            f"{_FORMER} AS former WHERE former._ab_cdc_deleted_at IS NULL OR EXISTS ({again})",
            {name: f"former.{quoted(name)}" for name in names},
        )

    def _staged(self, compacted: CompactedChanges | None) -> pa.Table | None:
        """Changes as typed columns, beside what the raw table holds of them.

        In Arrow, and not registered: a temporary table or view that is dropped stays in memory to the commit.
        """
        if compacted is None:
            return None
        arrays: dict[str, pa.Array] = {}
        typed, staged, notes = [], [], []
        for position, described in enumerate(self.relation.columns):
            name = f"c{position}"
            parsed = described.type.parse.format(name)
            arrays[name] = _sent(compacted.texts[position], array=described.type.array)
            typed.append(f"{parsed} AS {name}")
            if described.type.fallible:
                notes.append(_note(described, name, parsed))
            if position in compacted.unchanged:
                arrays[f"u{position}"] = compacted.unchanged[position]
                typed.append(f"u{position}")
                staged.append(
                    f"CASE WHEN s.u{position} THEN base.{quoted(described.name)} ELSE s.{name} END AS {name}"
                )
            else:
                staged.append(f"s.{name}")
        arrays["_deleted"] = compacted.deleted
        arrays["_lsn"] = compacted.lsns
        arrays["_time"] = compacted.times
        arrays["_expected"] = compacted.expected
        joins = f"LEFT JOIN {self._table} AS target ON {self._on('target', 's.c')}"
        baseless = "FALSE"
        if compacted.bases is not None:
            for base, position in zip(compacted.bases, self.relation.key_positions, strict=True):
                kind = self.relation.columns[position].type
                arrays[f"b{position}"] = _sent(base, array=kind.array)
                typed.append(f"{kind.parse.format(f'b{position}')} AS b{position}")
            joins += f" LEFT JOIN {self._table} AS base ON {self._on('base', 's.b')}"
            first = self.relation.key_positions[0]
            baseless = (
                f"s.b{first} IS NOT NULL"
                f" AND (base.{self._key[0]} IS NULL OR base._ab_cdc_deleted_at IS NOT NULL)"
            )
        live = f"target.{self._key[0]} IS NOT NULL AND target._ab_cdc_deleted_at IS NULL"
        _replication_stretch = pa.table(arrays)
        return self._warehouse.sql(
            f"SELECT {', '.join(staged)}, s._deleted, s._lsn, s._time, s._expected, s._meta,"
            f" target.rowid AS _row, {live} AS _live, {baseless} AS _baseless"
            f" FROM (SELECT {', '.join(typed)}, _deleted, _lsn + {self._stamp.offset} AS _lsn, _time,"
            f" _expected, {self._meta(notes)} AS _meta FROM {_STRETCH}) AS s {joins}"
        ).to_arrow_table()

    def _check_staged(self) -> Counts:
        unheld = " OR ".join(f"c{position} IS NULL" for position in self.relation.key_positions)
        inserted, updated, deleted, added, misfits, null_keys = self._row(
            "SELECT count(*) FILTER (WHERE NOT _deleted AND NOT _live),"
            " count(*) FILTER (WHERE NOT _deleted AND _live), count(*) FILTER (WHERE _deleted AND _live),"
            " count(*) FILTER (WHERE _row IS NULL),"
            f" count(*) FILTER (WHERE _expected <> _live OR _baseless), count(*) FILTER (WHERE {unheld})"
            f" FROM {_CHANGES}"
        )
        if null_keys:
            raise self._unholdable_key()
        if misfits:
            raise StreamMismatchError(
                f"{misfits} of its changes did not fit the raw table, which was out of step"
            )
        return Counts(inserted, updated, deleted, added)

    def _truncate(self, lsn: int, time: str, counts: Counts) -> Counts:
        """Make tombstones of all rows. Those of which the stretch says more are written again by the merge."""
        at = lsn + self._stamp.offset
        self._keep_past(f"WHERE target._ab_cdc_deleted_at IS NULL AND target._ab_cdc_lsn <> {at}")
        values = {
            name: "NULL" for name in (*self._columns, *map(quoted, self._retired)) if name not in self._key
        }
        values |= {
            "_airbyte_raw_id": "gen_random_uuid()",
            "_airbyte_extracted_at": "$extracted::TIMESTAMPTZ",
            "_airbyte_meta": self._meta([]),
            "_airbyte_generation_id": str(self._generation),
            "_ab_cdc_lsn": "$lsn",
            "_ab_cdc_updated_at": "$time",
            "_ab_cdc_deleted_at": "$time",
        }
        ((live,),) = self._warehouse.execute(
            f"UPDATE {self._table} SET {', '.join(f'{name} = {value}' for name, value in values.items())}"
            " WHERE _ab_cdc_deleted_at IS NULL",
            {"extracted": self._stamp.extracted_at, "lsn": at, "time": time},
        ).fetchall()
        return replace(counts, deleted=live - counts.updated)

    def _replace(self, *, truncated: bool) -> None:
        """Write the staged rows in place of those that the table has of them.

        Rows are deleted and inserted, never updated: an update makes DuckDB write anew, at its next checkpoint,
        the column of every row around it, and keep some 600 bytes in memory for each row until the commit.
        """
        values = {name: f"s.c{position}" for position, name in enumerate(self._columns)}
        values |= {quoted(name): "NULL" for name in self._retired}
        values |= {
            "_airbyte_raw_id": "gen_random_uuid()",
            "_airbyte_extracted_at": "$extracted::TIMESTAMPTZ",
            "_airbyte_meta": "s._meta",
            "_airbyte_generation_id": str(self._generation),
            "_ab_cdc_lsn": "s._lsn",
            "_ab_cdc_updated_at": "s._time",
            "_ab_cdc_deleted_at": "CASE WHEN s._deleted THEN s._time END",
        }
        # The update of a TRUNCATE may have moved rows.
        same = self._on("target", "s.c") if truncated else "target.rowid = s._row"
        self._keep_past(f"SEMI JOIN {_CHANGES} AS s ON {same} AND target._ab_cdc_lsn <> s._lsn")
        self._warehouse.execute(f"DELETE FROM {self._table} AS target USING {_CHANGES} AS s WHERE {same}")
        self._warehouse.execute(
            f"INSERT INTO {self._table} ({', '.join(values)})"
            f" SELECT {', '.join(values.values())} FROM {_CHANGES} AS s",
            {"extracted": self._stamp.extracted_at},
        )

    def _on(self, table: str, prefix: str) -> str:
        return " AND ".join(
            f"{table}.{key} = {prefix}{position}"
            for key, position in zip(self._key, self.relation.key_positions, strict=True)
        )

    def _meta(self, notes: Sequence[str]) -> str:
        """Airbyte's note on a row: the sync that wrote it, and what could not be held."""
        start = literal(f'{{"sync_id":{self._stamp.sync},"changes":[')
        nothing = f"{start[:-1]}]}}'::JSON"
        if not notes:
            return nothing
        # Hardly any row has a note: those that have none need no text put together.
        noted = " OR ".join(f"({note}) IS NOT NULL" for note in notes)
        listed = f"({start} || concat_ws(',', {', '.join(notes)}) || ']}}')::JSON"
        return f"CASE WHEN {noted} THEN {listed} ELSE {nothing} END"

    def _holds_key(self) -> bool:
        held = self._columns_there("current", self._schema, self.relation.name)
        wanted = [self.relation.columns[position] for position in self.relation.key_positions]
        return _RAW_TYPES.keys() <= held.keys() and all(
            held.get(column.name) == column.type.warehouse for column in wanted
        )

    def _columns_there(self, database: str, schema: str, table: str) -> dict[str, str]:
        """The types of a table's columns by name; empty when there is no table. `database` may be `current`."""
        return dict(
            self._warehouse.execute(
                "SELECT column_name, data_type FROM duckdb_columns() WHERE database_name ="
                " CASE $database WHEN 'current' THEN current_database() ELSE $database END"
                " AND schema_name = $schema AND table_name = $table",
                {"database": database, "schema": schema, "table": table},
            ).fetchall()
        )

    def _unholdable_key(self) -> UnrepresentableKeyError:
        table = f"{self.relation.schema}.{self.relation.name}"
        return UnrepresentableKeyError(
            f"The primary key of {table} has a value that the warehouse cannot hold (NaN, or a time after the"
            " year 294246): correct it in the source, or choose another key."
        )

    def _row(self, query: str) -> tuple[int, ...]:
        return self._warehouse.execute(query).fetchall()[0]


def snapshot_columns(relation: Relation) -> str:
    """What `RawTable.copy` wants selected from the source."""
    selected = []
    for position, column in enumerate(relation.columns):
        name = quoted(column.name)
        value = column.type.source.format(name)
        if column.type.exact is None:
            selected.append(f"{value} AS c{position}")
        else:
            exact = column.type.exact.format(name)
            selected.append(f"CASE WHEN {exact} THEN {value} END AS c{position}")
            selected.append(f"CASE WHEN NOT ({exact}) THEN {value}::text END AS x{position}")
    return ", ".join(selected)


def _note(column: Column, text: str, parsed: str) -> str:
    note = json.dumps(
        {"field": column.name, "change": "NULLED", "reason": "DESTINATION_FIELD_SIZE_LIMITATION"},
        separators=(",", ":"),
    )
    return f"CASE WHEN {text} IS NOT NULL AND {parsed} IS NULL THEN {literal(note)} END"


def _sent(texts: pa.Array, *, array: bool) -> pa.Array:
    """Texts as `ColumnType.parse` takes them."""
    if not array:
        return texts
    return pa.array([None if text is None else array_json(text) for text in texts.to_pylist()], pa.string())
