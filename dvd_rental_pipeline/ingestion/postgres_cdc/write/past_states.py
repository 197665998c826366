"""Past states of rows, for the tables of which a history is kept.

A raw table stores one state per row, so a row that changes twice between two builds of the models would lose
one. The superseded state is therefore added to a table of the same name in another schema (`past_schema`): the
key, the requested columns, and the LSN and times of the change. States that the same transaction created and
replaced were never visible to other sessions and are left out.

Everything here happens within the transaction of a sync.
"""

from collections.abc import Mapping

import duckdb

from dvd_rental_pipeline.ingestion.postgres_cdc.connect.relations import SourceRelation
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.text_forms import quoted
from dvd_rental_pipeline.ingestion.postgres_cdc.schemas import past_schema

CHANGE_COLUMNS = {
    "_ab_cdc_lsn": "BIGINT",
    "_ab_cdc_updated_at": "VARCHAR",
    "_ab_cdc_deleted_at": "VARCHAR",
}


class PastStates:
    """Past states of the rows of one relation.

    The key is kept, and those of `columns` that the relation has or once had (`retired`, with DuckDB types).
    """

    def __init__(
        self,
        warehouse: duckdb.DuckDBPyConnection,
        schema: str,
        relation: SourceRelation,
        columns: tuple[str, ...],
        retired: Mapping[str, str],
    ) -> None:
        self._warehouse = warehouse
        self._schema = past_schema(schema)
        self._name = relation.name
        self._kept = {
            column.name: column.type.warehouse
            for column in relation.columns
            if column.name in relation.key or column.name in columns
        } | {name: kind for name, kind in retired.items() if name in columns}
        self._ready = False

    @property
    def kept(self) -> tuple[str, ...]:
        """The columns of the raw table that are kept."""
        return tuple(self._kept)

    def add(self, states: str, values: Mapping[str, str]) -> None:
        """Add the rows of `states`, a FROM item; `values` maps each column to its expression there.

        A value that its column can no longer store, because its type in the source changed, becomes NULL.
        """
        self.prepare()
        types = {**self._kept, **CHANGE_COLUMNS}
        selected = ", ".join(f"TRY_CAST({value} AS {types[name]})" for name, value in values.items())
        self._warehouse.execute(
            f"INSERT INTO {quoted(self._schema, self._name)} ({', '.join(map(quoted, values))})"
            f" SELECT {selected} FROM {states}"
        )

    def prepare(self) -> None:
        """Create the table, or adapt it to the source's columns."""
        if self._ready:
            return
        types = {**self._kept, **CHANGE_COLUMNS}
        table = quoted(self._schema, self._name)
        self._warehouse.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(self._schema)}")
        self._warehouse.execute(
            f"CREATE TABLE IF NOT EXISTS {table}"
            f" ({', '.join(f'{quoted(name)} {kind}' for name, kind in types.items())})"
        )
        existing = dict(
            self._warehouse.execute(
                "SELECT column_name, data_type FROM duckdb_columns()"
                " WHERE database_name = current_database() AND schema_name = ? AND table_name = ?",
                [self._schema, self._name],
            ).fetchall()
        )
        for name, kind in types.items():
            if name not in existing:
                self._warehouse.execute(f"ALTER TABLE {table} ADD COLUMN {quoted(name)} {kind}")
            elif existing[name] != kind:
                self._warehouse.execute(
                    f"ALTER TABLE {table} ALTER COLUMN {quoted(name)} TYPE {kind}"
                    f" USING TRY_CAST({quoted(name)} AS {kind})"
                )
        self._ready = True
