"""Writing the raw tables: creating and altering them, applying batches of changes, replacing their contents.

A raw table has the source's columns, then columns that the source dropped, then Airbyte's (`RAW_COLUMNS`). A
deleted row stays as a tombstone: its key, `_ab_cdc_deleted_at`, and NULL in every other column of the source.

`_ab_cdc_lsn` is the LSN of the transaction's commit record, and for a copied row the last LSN before its
snapshot, so that a later change always has the greater number. Everything here happens within the caller's
transaction.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import duckdb
import pyarrow as pa

from dvd_rental_pipeline.ingestion.postgres_cdc.compact.change_batch import ChangeBatch, CompactedChanges
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.column_types import array_json
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.relations import SourceColumn, SourceRelation
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.text_forms import literal, quoted
from dvd_rental_pipeline.ingestion.postgres_cdc.stream.streamed_table import StreamMismatchError, Truncation
from dvd_rental_pipeline.ingestion.postgres_cdc.write.past_states import CHANGE_COLUMNS, PastStates

_RAW_TYPES = {
    "_airbyte_raw_id": "UUID",
    "_airbyte_extracted_at": "TIMESTAMP WITH TIME ZONE",
    "_airbyte_meta": "JSON",
    "_airbyte_generation_id": "BIGINT",
    **CHANGE_COLUMNS,
}
# In the intermediate tables, a relation's columns are named by position: c0, c1 ...
_BATCH = "_replication_batch"
_CHANGES = "_replication_changes"
_SUPERSEDED = "_replication_superseded"
_FORMER = "temp._replication_former"


class UnrepresentableKeyError(Exception):
    """A primary key has a value that the warehouse's type cannot represent."""


@dataclass(frozen=True)
class WriteCounts:
    """Rows changed in a raw table; `added` are keys that it did not have before, not even as tombstones."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    added: int = 0

    def __add__(self, other: "WriteCounts") -> "WriteCounts":
        return WriteCounts(
            self.inserted + other.inserted,
            self.updated + other.updated,
            self.deleted + other.deleted,
            self.added + other.added,
        )


@dataclass(frozen=True)
class SyncStamp:
    """What a sync writes into every row it changes.

    `lsn_offset` is added to every LSN, so that `_ab_cdc_lsn` keeps growing even when the source was restored
    and its WAL starts at a lower LSN again.
    """

    sync: int
    extracted_at: str
    lsn_offset: int


class RawTable:
    """The raw table of one relation."""

    def __init__(
        self,
        warehouse: duckdb.DuckDBPyConnection,
        schema: str,
        relation: SourceRelation,
        *,
        retired: Mapping[str, str],
        generation: int,
        stamp: SyncStamp,
        history: tuple[str, ...] | None = None,
    ) -> None:
        """`history` are the columns whose past states are kept, beside the key; None to keep none."""
        self.relation = relation
        self._warehouse = warehouse
        self._schema = schema
        self._table = quoted(schema, relation.name)
        self._retired = retired
        self._generation = generation
        self._stamp = stamp
        self._past = PastStates(warehouse, schema, relation, history, retired) if history is not None else None
        self._has_superseded = False  # whether `_SUPERSEDED` exists
        warehouse.execute("SET python_scan_all_frames = true")
        self._columns = [quoted(column.name) for column in relation.columns]
        self._key = [quoted(name) for name in relation.key]

    def alter(self, added: Sequence[SourceColumn], widened: Sequence[SourceColumn]) -> None:
        """Add and widen columns as the source did. Added columns are NULL in existing rows."""
        for column in added:
            self._warehouse.execute(
                f"ALTER TABLE {self._table} ADD COLUMN {quoted(column.name)} {column.type.warehouse}"
            )
        for column in widened:
            self._warehouse.execute(
                f"ALTER TABLE {self._table} ALTER COLUMN {quoted(column.name)} TYPE {column.type.warehouse}"
            )

    def apply(self, batch: ChangeBatch) -> WriteCounts:
        """Apply a batch of changes.

        Raises:
            StreamMismatchError: the changes do not fit the rows of the table, which is unchanged.
            UnrepresentableKeyError: a key cannot be represented.
        """
        counts = WriteCounts()
        # DuckDB finds Arrow tables by the names of these variables (`_CHANGES`, `_SUPERSEDED`).
        _replication_changes = self._staged(batch.changes)
        _replication_superseded = self._staged(batch.superseded if self._past is not None else None)
        if _replication_changes is not None:
            counts = self._check_staged()
        self._has_superseded = _replication_superseded is not None
        self._keep_superseded_states()
        if batch.truncation is not None:
            counts = self._truncate(batch.truncation, counts)
        if _replication_changes is not None:
            self._replace_changed_rows(truncated=batch.truncation is not None)
        return counts

    def start_replacement(self, *, keep_tombstones: bool) -> None:
        """Empty the table and give it the relation's columns.

        With `keep_tombstones`, its keys are kept for `finish_replacement`.
        """
        self._warehouse.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(self._schema)}")
        self._warehouse.execute(f"DROP TABLE IF EXISTS {_FORMER}")
        if keep_tombstones and self._has_same_key_columns():
            existing = self._existing_columns("current", self._schema, self.relation.name)
            kept = [quoted(name) for name in (self._past.kept if self._past else ()) if name in existing]
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

    def insert_snapshot(self, parts: Sequence[pa.RecordBatchReader], lsn: int, time: str) -> int:
        """Insert the rows of a snapshot (`SnapshotRows.parts`), and return their number.

        Several parts are read in parallel, each by its own thread.

        Raises:
            UnrepresentableKeyError: a key cannot be represented.
        """
        values, notes = [], []
        for position, column in enumerate(self.relation.columns):
            kind = column.type
            value = f"c{position}"
            if kind.exact is not None:
                parsed = kind.parse.format(f"x{position}")
                values.append(f"coalesce({value}, {parsed})")
                notes += [_note(column, f"x{position}", parsed)] if kind.fallible else []
            elif kind.native:
                values.append(value)
            else:
                parsed = kind.parse.format(value)
                values.append(parsed)
                notes += [_note(column, value, parsed)] if kind.fallible else []
        names = [f"_replication_rows_{number}" for number in range(len(parts))]
        for name, part in zip(names, parts, strict=True):
            self._warehouse.register(name, part)
        # With insertion order preserved, the parts would be read one after the other.
        self._warehouse.execute(f"SET preserve_insertion_order = {str(len(parts) == 1).lower()}")
        try:
            row = self._warehouse.execute(
                f"INSERT INTO {self._table} ({', '.join([*self._columns, *_RAW_TYPES])})"
                f" SELECT {', '.join(values)}, gen_random_uuid(), $extracted::TIMESTAMPTZ,"
                f" {self._meta(notes)}, {self._generation}, $lsn, $time, NULL"
                f" FROM ({' UNION ALL '.join(f'FROM {name}' for name in names)})",
                {"extracted": self._stamp.extracted_at, "lsn": self._snapshot_lsn(lsn), "time": time},
            ).fetchone()
        finally:
            # In an aborted transaction this is neither possible nor needed.
            with suppress(duckdb.TransactionException):
                self._warehouse.execute("RESET preserve_insertion_order")
                for name in names:
                    self._warehouse.unregister(name)
        null_key = " OR ".join(f"{key} IS NULL" for key in self._key)
        if self._row(f"SELECT count(*) FROM {self._table} WHERE {null_key}")[0]:
            raise self._unrepresentable_key()
        return int(row[0]) if row else 0

    def finish_replacement(self, lsn: int, time: str) -> tuple[int, int]:
        """Insert tombstones for former rows that no longer exist, so that readers of changes see the deletions.

        Returns the number of rows that were live before and are deleted now, and the number of all tombstones.
        """
        if not self._row(
            "SELECT count(*) FROM duckdb_tables() WHERE database_name = 'temp'"
            " AND table_name = '_replication_former'"
        )[0]:
            return 0, 0
        self._keep_former_states()
        missing = f"FROM {_FORMER} AS former ANTI JOIN {self._table} USING ({', '.join(self._key)})"
        was_live = "former._ab_cdc_deleted_at IS NULL"
        deleted = int(self._row(f"SELECT count(*) {missing} WHERE {was_live}")[0])
        ((tombstones,),) = self._warehouse.execute(
            f"INSERT INTO {self._table} ({', '.join([*self._key, *_RAW_TYPES])})"
            f" SELECT {', '.join(f'former.{key}' for key in self._key)}, gen_random_uuid(),"
            f" $extracted::TIMESTAMPTZ, {self._meta([])}, {self._generation},"
            f" CASE WHEN {was_live} THEN $lsn ELSE former._ab_cdc_lsn END,"
            f" CASE WHEN {was_live} THEN $time ELSE former._ab_cdc_updated_at END,"
            f" CASE WHEN {was_live} THEN $time ELSE former._ab_cdc_deleted_at END {missing}",
            {"extracted": self._stamp.extracted_at, "lsn": self._snapshot_lsn(lsn), "time": time},
        ).fetchall()
        self._warehouse.execute(f"DROP TABLE {_FORMER}")
        return deleted, int(tombstones)

    def _snapshot_lsn(self, lsn: int) -> int:
        """`_ab_cdc_lsn` of rows copied from the snapshot at `lsn`."""
        return lsn - 1 + self._stamp.lsn_offset

    def _keep_past_states(self, condition: str) -> None:
        """Keep the states of the rows of the raw table, called `target`, that are about to be replaced."""
        if self._past is None:
            return
        names = (*self._past.kept, *CHANGE_COLUMNS)
        # A batch may end within a transaction. The row then has a state that was never visible, and the state
        # that the transaction committed is among the superseded ones of the next batch.
        same = f"{self._on('target', 'superseded.c')} AND target._ab_cdc_lsn = superseded._lsn"
        not_visible = f" ANTI JOIN {_SUPERSEDED} AS superseded ON {same}" if self._has_superseded else ""
        self._past.add(
            f"{self._table} AS target{not_visible} {condition}",
            {name: f"target.{quoted(name)}" for name in names},
        )

    def _keep_superseded_states(self) -> None:
        """Keep the states that were superseded within the batch, and never reach the raw table."""
        if self._past is None or not self._has_superseded:
            return
        staged = {
            column.name: f"c{position}"
            for position, column in enumerate(self.relation.columns)
            if column.name in self._past.kept
        }
        staged |= {
            "_ab_cdc_lsn": "_lsn",
            "_ab_cdc_updated_at": "_time",
            "_ab_cdc_deleted_at": "CASE WHEN _deleted THEN _time END",
        }
        self._past.add(_SUPERSEDED, staged)

    def _keep_former_states(self) -> None:
        """Keep the states of the replaced rows, except of rows that were deleted before and still are."""
        if self._past is None:
            return
        existing = self._existing_columns("temp", "main", "_replication_former")
        names = [name for name in (*self._past.kept, *CHANGE_COLUMNS) if name in existing]
        replaced = f"SELECT 1 FROM {self._table} AS target WHERE " + " AND ".join(
            f"target.{key} = former.{key}" for key in self._key
        )
        self._past.add(
            f"{_FORMER} AS former WHERE former._ab_cdc_deleted_at IS NULL OR EXISTS ({replaced})",
            {name: f"former.{quoted(name)}" for name in names},
        )

    def _staged(self, compacted: CompactedChanges | None) -> pa.Table | None:
        """Changes as typed columns, joined with the raw table's rows of the same keys.

        As Arrow, not as a temporary table or view: those stay in memory until the commit, even when dropped.
        """
        if compacted is None:
            return None
        arrays: dict[str, pa.Array] = {}
        typed, staged, notes = [], [], []
        for position, column in enumerate(self.relation.columns):
            name = f"c{position}"
            parsed = column.type.parse.format(name)
            arrays[name] = _parse_input(compacted.texts[position], is_array=column.type.array)
            typed.append(f"{parsed} AS {name}")
            if column.type.fallible:
                notes.append(_note(column, name, parsed))
            if position in compacted.unchanged:
                arrays[f"u{position}"] = compacted.unchanged[position]
                typed.append(f"u{position}")
                staged.append(
                    f"CASE WHEN s.u{position} THEN base.{quoted(column.name)} ELSE s.{name} END AS {name}"
                )
            else:
                staged.append(f"s.{name}")
        arrays["_deleted"] = compacted.deleted
        arrays["_lsn"] = compacted.lsns
        arrays["_time"] = compacted.times
        arrays["_expected"] = compacted.expected
        joins = f"LEFT JOIN {self._table} AS target ON {self._on('target', 's.c')}"
        base_missing = "FALSE"
        if compacted.bases is not None:
            for base, position in zip(compacted.bases, self.relation.key_positions, strict=True):
                kind = self.relation.columns[position].type
                arrays[f"b{position}"] = _parse_input(base, is_array=kind.array)
                typed.append(f"{kind.parse.format(f'b{position}')} AS b{position}")
            joins += f" LEFT JOIN {self._table} AS base ON {self._on('base', 's.b')}"
            first = self.relation.key_positions[0]
            base_missing = (
                f"s.b{first} IS NOT NULL"
                f" AND (base.{self._key[0]} IS NULL OR base._ab_cdc_deleted_at IS NOT NULL)"
            )
        live = f"target.{self._key[0]} IS NOT NULL AND target._ab_cdc_deleted_at IS NULL"
        # Found by DuckDB under the name of this variable (`_BATCH`).
        _replication_batch = pa.table(arrays)
        return self._warehouse.sql(
            f"SELECT {', '.join(staged)}, s._deleted, s._lsn, s._time, s._expected, s._meta,"
            f" target.rowid AS _row, {live} AS _live, {base_missing} AS _base_missing"
            f" FROM (SELECT {', '.join(typed)}, _deleted, _lsn + {self._stamp.lsn_offset} AS _lsn, _time,"
            f" _expected, {self._meta(notes)} AS _meta FROM {_BATCH}) AS s {joins}"
        ).to_arrow_table()

    def _check_staged(self) -> WriteCounts:
        null_key = " OR ".join(f"c{position} IS NULL" for position in self.relation.key_positions)
        inserted, updated, deleted, added, mismatches, null_keys = self._row(
            "SELECT count(*) FILTER (WHERE NOT _deleted AND NOT _live),"
            " count(*) FILTER (WHERE NOT _deleted AND _live), count(*) FILTER (WHERE _deleted AND _live),"
            " count(*) FILTER (WHERE _row IS NULL),"
            f" count(*) FILTER (WHERE _expected <> _live OR _base_missing), count(*) FILTER (WHERE {null_key})"
            f" FROM {_CHANGES}"
        )
        if null_keys:
            raise self._unrepresentable_key()
        if mismatches:
            raise StreamMismatchError(
                f"{mismatches} of its changes did not fit the raw table, which differed from the source"
            )
        return WriteCounts(inserted, updated, deleted, added)

    def _truncate(self, truncation: Truncation, counts: WriteCounts) -> WriteCounts:
        """Turn all rows into tombstones. Rows with later changes in the batch are written again afterwards."""
        lsn = truncation.lsn + self._stamp.lsn_offset
        self._keep_past_states(f"WHERE target._ab_cdc_deleted_at IS NULL AND target._ab_cdc_lsn <> {lsn}")
        was_live = "_ab_cdc_deleted_at IS NULL"
        ((live,),) = self._warehouse.execute(
            f"INSERT INTO {self._table} ({', '.join([*self._key, *_RAW_TYPES])})"
            f" SELECT {', '.join(self._key)}, gen_random_uuid(), $extracted::TIMESTAMPTZ, {self._meta([])},"
            f" {self._generation}, $lsn, $time, $time FROM {self._table} WHERE {was_live}",
            {"extracted": self._stamp.extracted_at, "lsn": lsn, "time": truncation.time},
        ).fetchall()
        self._warehouse.execute(f"DELETE FROM {self._table} WHERE {was_live}")
        return replace(counts, deleted=live - counts.updated)

    def _replace_changed_rows(self, *, truncated: bool) -> None:
        """Replace the raw table's rows of the staged keys by the staged rows.

        Rows are deleted and inserted, never updated: after an update, DuckDB's next checkpoint rewrites the
        column for all rows around it, and about 600 bytes per row stay in memory until the commit.
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
        # A TRUNCATE in the batch has replaced the rows.
        same = self._on("target", "s.c") if truncated else "target.rowid = s._row"
        self._keep_past_states(f"SEMI JOIN {_CHANGES} AS s ON {same} AND target._ab_cdc_lsn <> s._lsn")
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
        """`_airbyte_meta` of a row: the sync that wrote it, and the values that could not be stored."""
        start = literal(f'{{"sync_id":{self._stamp.sync},"changes":[')
        without_notes = f"{start[:-1]}]}}'::JSON"
        if not notes:
            return without_notes
        # Hardly any row has a note, so the text is built only for rows that do.
        has_note = " OR ".join(f"({note}) IS NOT NULL" for note in notes)
        with_notes = f"({start} || concat_ws(',', {', '.join(notes)}) || ']}}')::JSON"
        return f"CASE WHEN {has_note} THEN {with_notes} ELSE {without_notes} END"

    def _has_same_key_columns(self) -> bool:
        """Whether the table exists as a raw table, with the relation's key columns and their types."""
        existing = self._existing_columns("current", self._schema, self.relation.name)
        key = [self.relation.columns[position] for position in self.relation.key_positions]
        return _RAW_TYPES.keys() <= existing.keys() and all(
            existing.get(column.name) == column.type.warehouse for column in key
        )

    def _existing_columns(self, database: str, schema: str, table: str) -> dict[str, str]:
        """A table's columns with their types; empty if it does not exist. `database` may be `current`."""
        return dict(
            self._warehouse.execute(
                "SELECT column_name, data_type FROM duckdb_columns() WHERE database_name ="
                " CASE $database WHEN 'current' THEN current_database() ELSE $database END"
                " AND schema_name = $schema AND table_name = $table",
                {"database": database, "schema": schema, "table": table},
            ).fetchall()
        )

    def _unrepresentable_key(self) -> UnrepresentableKeyError:
        table = f"{self.relation.schema}.{self.relation.name}"
        return UnrepresentableKeyError(
            f"The primary key of {table} has a value that the warehouse cannot represent (NaN, or a time after"
            " the year 294246): correct it in the source, or choose another key."
        )

    def _row(self, query: str) -> tuple[int, ...]:
        return self._warehouse.execute(query).fetchall()[0]


def _note(column: SourceColumn, text: str, parsed: str) -> str:
    note = json.dumps(
        {"field": column.name, "change": "NULLED", "reason": "DESTINATION_FIELD_SIZE_LIMITATION"},
        separators=(",", ":"),
    )
    return f"CASE WHEN {text} IS NOT NULL AND {parsed} IS NULL THEN {literal(note)} END"


def _parse_input(texts: pa.Array, *, is_array: bool) -> pa.Array:
    """Texts of the change stream as `ColumnType.parse` expects them."""
    if not is_array:
        return texts
    return pa.array([None if text is None else array_json(text) for text in texts.to_pylist()], pa.string())
