"""Writing the raw tables: creating and altering them, applying folded changes, replacing their contents.

A raw table has the source's columns, then columns that the source dropped, then Airbyte's (`RAW_COLUMNS`). A
deleted row stays as a tombstone: its key, `_ab_cdc_deleted_at`, and NULL in every other column of the source.

`_ab_cdc_lsn` is the position of the transaction's commit record, and for a copied row the last position before
its snapshot, so that a later change always has the greater number. Everything here happens within a transaction
of the caller's.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from dvd_rental_pipeline.replication.column_types import array_json
from dvd_rental_pipeline.replication.folding import Change, Fold, Key, StreamMismatchError, column_values
from dvd_rental_pipeline.replication.past_states import CHANGE_COLUMNS, PastStates
from dvd_rental_pipeline.replication.pgoutput import UNCHANGED, Value
from dvd_rental_pipeline.replication.relations import Column, Relation
from dvd_rental_pipeline.replication.session import literal, quoted

_RAW_TYPES = {
    "_airbyte_raw_id": "VARCHAR",
    "_airbyte_extracted_at": "TIMESTAMP WITH TIME ZONE",
    "_airbyte_meta": "JSON",
    "_airbyte_generation_id": "BIGINT",
    **CHANGE_COLUMNS,
}
# A relation's columns are called by position in between, whatever their names are: c0, c1 ...
_STRETCH = "_replication_stretch"
_CHANGES = "temp._replication_changes"
_SUPERSEDED = "temp._replication_superseded"
_FORMER = "temp._replication_former"
# DuckDB keeps updated rows in memory until the commit, some 600 bytes each; deleted and inserted ones hardly.
# But small changes are faster, and smaller on disk, by updates.
REPLACE_FROM = 20_000


class UnholdableKeyError(Exception):
    """A primary key has a value that the warehouse's type cannot hold."""


@dataclass(frozen=True)
class Counts:
    """Rows of a raw table, or rows that a step changed in it."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.inserted + other.inserted, self.updated + other.updated, self.deleted + other.deleted
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
        self._columns = [quoted(column.name) for column in relation.columns]
        self._key = [quoted(name) for name in relation.key]

    def count(self) -> tuple[int, int]:
        """Live rows, and tombstones."""
        row = self._row(
            f"SELECT count(*) FILTER (WHERE _ab_cdc_deleted_at IS NULL), count(_ab_cdc_deleted_at)"
            f" FROM {self._table}"
        )
        return row[0], row[1]

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

    def apply(self, fold: Fold) -> Counts:
        """Bring the raw table level with a stretch of folded changes.

        Raises:
            StreamMismatchError: the changes do not follow from the rows that are in the table.
            UnholdableKeyError: a key cannot be held.
        """
        counts = Counts()
        if fold.changes:
            self._stage(list(fold.changes.items()), _CHANGES)
            counts = self._check_staged()
            self._keep_superseded(fold.superseded)
        if fold.truncated is not None:
            counts = self._truncate(*fold.truncated, counts)
        if fold.changes:
            self._merge(len(fold.changes))
            self._warehouse.execute(f"DROP TABLE {_CHANGES}")
        self._warehouse.execute(f"DROP TABLE IF EXISTS {_SUPERSEDED}")
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

    def copy(self, reader: pa.RecordBatchReader, lsn: int, time: str) -> int:
        """Take in the rows of a snapshot, selected by `snapshot_columns`. The number of rows.

        Raises:
            UnholdableKeyError: a key cannot be held.
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
        self._warehouse.register("_replication_rows", reader)
        try:
            row = self._warehouse.execute(
                f"INSERT INTO {self._table} ({', '.join([*self._columns, *_RAW_TYPES])})"
                f" SELECT {', '.join(values)}, gen_random_uuid()::VARCHAR, $extracted::TIMESTAMPTZ,"
                f" {self._meta(notes)}, {self._generation}, $lsn, $time, NULL FROM _replication_rows",
                {"extracted": self._stamp.extracted_at, "lsn": lsn - 1 + self._stamp.offset, "time": time},
            ).fetchone()
        finally:
            self._warehouse.unregister("_replication_rows")
        unheld = " OR ".join(f"{key} IS NULL" for key in self._key)
        if self._row(f"SELECT count(*) FROM {self._table} WHERE {unheld}")[0]:
            raise self._unholdable_key()
        return int(row[0]) if row else 0

    def finish_replacement(self, lsn: int, time: str) -> int:
        """Turn former rows that are no more into tombstones, so that readers of changes see them go.

        The number of rows that were live before and are gone.
        """
        if not self._row(
            "SELECT count(*) FROM duckdb_tables() WHERE database_name = 'temp'"
            " AND table_name = '_replication_former'"
        )[0]:
            return 0
        self._keep_former()
        gone = f"FROM {_FORMER} AS former ANTI JOIN {self._table} USING ({', '.join(self._key)})"
        count = int(self._row(f"SELECT count(*) {gone} WHERE former._ab_cdc_deleted_at IS NULL")[0])
        was_live = "former._ab_cdc_deleted_at IS NULL"
        parameters = {
            "extracted": self._stamp.extracted_at, "lsn": lsn - 1 + self._stamp.offset, "time": time
        }  # fmt: skip
        self._warehouse.execute(
            f"INSERT INTO {self._table} ({', '.join([*self._key, *_RAW_TYPES])})"
            f" SELECT {', '.join(f'former.{key}' for key in self._key)}, gen_random_uuid()::VARCHAR,"
            f" $extracted::TIMESTAMPTZ, {self._meta([])}, {self._generation},"
            f" CASE WHEN {was_live} THEN $lsn ELSE former._ab_cdc_lsn END,"
            f" CASE WHEN {was_live} THEN $time ELSE former._ab_cdc_updated_at END,"
            f" CASE WHEN {was_live} THEN $time ELSE former._ab_cdc_deleted_at END {gone}",
            parameters,
        )
        self._warehouse.execute(f"DROP TABLE {_FORMER}")
        return count

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

    def _keep_superseded(self, superseded: Sequence[tuple[Key, Change]]) -> None:
        """Keep the states that came and went within the stretch, and never reach the raw table."""
        self._superseded = self._past is not None and bool(superseded)
        if self._past is None or not superseded:
            return
        self._stage(superseded, _SUPERSEDED)
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

    def _stage(self, items: Sequence[tuple[Key, Change]], into: str) -> None:
        """Folded changes as a temporary table of typed columns, beside what the raw table holds of them."""
        arrays: dict[str, pa.Array] = {}
        typed, staged, notes = [], [], []
        for position, described in enumerate(self.relation.columns):
            name = f"c{position}"
            values = list(column_values(items, self.relation.key_positions, position))
            parsed = described.type.parse.format(name)
            unchanged = [value is UNCHANGED for value in values]
            arrays[name] = _texts(values, array=described.type.array)
            typed.append(f"{parsed} AS {name}")
            if described.type.fallible:
                notes.append(_note(described, name, parsed))
            if any(unchanged):
                arrays[f"u{position}"] = pa.array(unchanged)
                typed.append(f"u{position}")
                staged.append(
                    f"CASE WHEN s.u{position} THEN base.{quoted(described.name)} ELSE s.{name} END AS {name}"
                )
            else:
                staged.append(f"s.{name}")
        changes = [change for _, change in items]
        offset = self._stamp.offset
        arrays["_deleted"] = pa.array([change.values is None for change in changes])
        arrays["_lsn"] = pa.array([change.lsn + offset for change in changes], pa.int64())
        arrays["_time"] = pa.array([change.time for change in changes], pa.string())
        arrays["_expected"] = pa.array([change.expected for change in changes], pa.bool_())
        joins = f"LEFT JOIN {self._table} AS target ON {self._on('target', 's.c')}"
        baseless = "FALSE"
        if any(change.base is not None for change in changes):
            for index, position in enumerate(self.relation.key_positions):
                kind = self.relation.columns[position].type
                arrays[f"b{position}"] = _texts(
                    [None if change.base is None else change.base[index] for change in changes],
                    array=kind.array,
                )
                typed.append(f"{kind.parse.format(f'b{position}')} AS b{position}")
            joins += f" LEFT JOIN {self._table} AS base ON {self._on('base', 's.b')}"
            first = self.relation.key_positions[0]
            baseless = (
                f"s.b{first} IS NOT NULL"
                f" AND (base.{self._key[0]} IS NULL OR base._ab_cdc_deleted_at IS NOT NULL)"
            )
        live = f"target.{self._key[0]} IS NOT NULL AND target._ab_cdc_deleted_at IS NULL"
        self._warehouse.register(_STRETCH, pa.table(arrays))
        try:
            self._warehouse.execute(
                f"CREATE OR REPLACE TEMP TABLE {into.removeprefix('temp.')} AS"
                f" SELECT {', '.join(staged)}, s._deleted, s._lsn, s._time, s._expected, s._meta,"
                f" {live} AS _live, {baseless} AS _baseless"
                f" FROM (SELECT {', '.join(typed)}, _deleted, _lsn, _time, _expected,"
                f" {self._meta(notes)} AS _meta FROM {_STRETCH}) AS s {joins}"
            )
        finally:
            self._warehouse.unregister(_STRETCH)

    def _check_staged(self) -> Counts:
        unheld = " OR ".join(f"c{position} IS NULL" for position in self.relation.key_positions)
        inserted, updated, deleted, misfits, keyless = self._row(
            "SELECT count(*) FILTER (WHERE NOT _deleted AND NOT _live),"
            " count(*) FILTER (WHERE NOT _deleted AND _live), count(*) FILTER (WHERE _deleted AND _live),"
            f" count(*) FILTER (WHERE _expected <> _live OR _baseless), count(*) FILTER (WHERE {unheld})"
            f" FROM {_CHANGES}"
        )
        if keyless:
            raise self._unholdable_key()
        if misfits:
            raise StreamMismatchError(
                f"{misfits} of its changes did not fit the raw table, which was out of step"
            )
        return Counts(inserted, updated, deleted)

    def _truncate(self, lsn: int, time: str, counts: Counts) -> Counts:
        """Make tombstones of all rows. Those of which the stretch says more are written again by the merge."""
        live = self.count()[0]
        at = lsn + self._stamp.offset
        self._keep_past(f"WHERE target._ab_cdc_deleted_at IS NULL AND target._ab_cdc_lsn <> {at}")
        values = {
            name: "NULL" for name in (*self._columns, *map(quoted, self._retired)) if name not in self._key
        }
        values |= {
            "_airbyte_raw_id": "gen_random_uuid()::VARCHAR",
            "_airbyte_extracted_at": "$extracted::TIMESTAMPTZ",
            "_airbyte_meta": self._meta([]),
            "_airbyte_generation_id": str(self._generation),
            "_ab_cdc_lsn": "$lsn",
            "_ab_cdc_updated_at": "$time",
            "_ab_cdc_deleted_at": "$time",
        }
        self._warehouse.execute(
            f"UPDATE {self._table} SET {', '.join(f'{name} = {value}' for name, value in values.items())}"
            " WHERE _ab_cdc_deleted_at IS NULL",
            {"extracted": self._stamp.extracted_at, "lsn": at, "time": time},
        )
        return Counts(counts.inserted, counts.updated, live - counts.updated)

    def _merge(self, changes: int) -> None:
        values = {name: f"s.c{position}" for position, name in enumerate(self._columns)}
        values |= {quoted(name): "NULL" for name in self._retired}
        values |= {
            "_airbyte_raw_id": "gen_random_uuid()::VARCHAR",
            "_airbyte_extracted_at": "$extracted::TIMESTAMPTZ",
            "_airbyte_meta": "s._meta",
            "_airbyte_generation_id": str(self._generation),
            "_ab_cdc_lsn": "s._lsn",
            "_ab_cdc_updated_at": "s._time",
            "_ab_cdc_deleted_at": "CASE WHEN s._deleted THEN s._time END",
        }
        matched = self._on("target", "s.c")
        self._keep_past(f"SEMI JOIN {_CHANGES} AS s ON {matched} AND target._ab_cdc_lsn <> s._lsn")
        extracted = {"extracted": self._stamp.extracted_at}
        if changes >= REPLACE_FROM:
            self._warehouse.execute(
                f"DELETE FROM {self._table} AS target USING {_CHANGES} AS s WHERE {matched}"
            )
            self._warehouse.execute(
                f"INSERT INTO {self._table} ({', '.join(values)})"
                f" SELECT {', '.join(values.values())} FROM {_CHANGES} AS s",
                extracted,
            )
            return
        updates = ", ".join(f"{name} = {value}" for name, value in values.items() if name not in self._key)
        self._warehouse.execute(
            f"MERGE INTO {self._table} AS target USING {_CHANGES} AS s ON {matched}"
            f" WHEN MATCHED THEN UPDATE SET {updates}"
            f" WHEN NOT MATCHED THEN INSERT ({', '.join(values)}) VALUES ({', '.join(values.values())})",
            extracted,
        )

    def _on(self, table: str, prefix: str) -> str:
        return " AND ".join(
            f"{table}.{key} = {prefix}{position}"
            for key, position in zip(self._key, self.relation.key_positions, strict=True)
        )

    def _meta(self, notes: Sequence[str]) -> str:
        """Airbyte's note on a row: the sync that wrote it, and what could not be held."""
        start = literal(f'{{"sync_id":{self._stamp.sync},"changes":[')
        return (
            f"({start} || concat_ws(',', {', '.join(notes)}) || ']}}')::JSON" if notes else f"{start[:-1]}]}}'"
        )

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

    def _unholdable_key(self) -> UnholdableKeyError:
        table = f"{self.relation.schema}.{self.relation.name}"
        return UnholdableKeyError(
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


def _texts(values: Sequence[Value], *, array: bool) -> pa.Array:
    if array:
        return pa.array(
            [array_json(value.decode()) if isinstance(value, bytes) else None for value in values], pa.string()
        )
    return pa.array([value if isinstance(value, bytes) else None for value in values], pa.string())
