"""The states that rows had before the one they have, of the tables of which a history is kept.

A raw table holds one state a row, so a row that changes twice between two builds of the models would lose one.
The state that is overwritten is therefore added to a table of the same name in the schema beside
(`past_schema`): the key, the columns that were asked for, and the position and times of the change. States that
a transaction made and overwrote itself were never seen by anybody and are left out.

Like all that touches the raw tables, this happens within the one transaction of a sync.
"""

from collections.abc import Mapping

import duckdb

from dvd_rental_pipeline.ingestion.postgres_cdc.connect.session import quoted
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.relations import Relation

CHANGE_COLUMNS = {
    "_ab_cdc_lsn": "BIGINT",
    "_ab_cdc_updated_at": "VARCHAR",
    "_ab_cdc_deleted_at": "VARCHAR",
}


def past_schema(schema: str) -> str:
    """Where the past states of the raw tables of `schema` stand."""
    return f"{schema}_past"


class PastStates:
    """Past states of the rows of one relation.

    `columns` beside the key are kept, as far as the relation has them or had them once (`retired`, with types).
    """

    def __init__(
        self,
        warehouse: duckdb.DuckDBPyConnection,
        schema: str,
        relation: Relation,
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
        """Keep the rows of `states`, what follows FROM; `values` tells for each column where it stands there.

        A value that its column cannot hold any more, because the source gave it another type, becomes NULL.
        """
        self.prepare()
        types = {**self._kept, **CHANGE_COLUMNS}
        selected = ", ".join(f"TRY_CAST({value} AS {types[name]})" for name, value in values.items())
        self._warehouse.execute(
            f"INSERT INTO {quoted(self._schema, self._name)} ({', '.join(map(quoted, values))})"
            f" SELECT {selected} FROM {states}"
        )

    def prepare(self) -> None:
        """Make the table, or let it follow the source's columns."""
        if self._ready:
            return
        types = {**self._kept, **CHANGE_COLUMNS}
        table = quoted(self._schema, self._name)
        self._warehouse.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(self._schema)}")
        self._warehouse.execute(
            f"CREATE TABLE IF NOT EXISTS {table}"
            f" ({', '.join(f'{quoted(name)} {kind}' for name, kind in types.items())})"
        )
        there = dict(
            self._warehouse.execute(
                "SELECT column_name, data_type FROM duckdb_columns()"
                " WHERE database_name = current_database() AND schema_name = ? AND table_name = ?",
                [self._schema, self._name],
            ).fetchall()
        )
        for name, kind in types.items():
            if name not in there:
                self._warehouse.execute(f"ALTER TABLE {table} ADD COLUMN {quoted(name)} {kind}")
            elif there[name] != kind:
                self._warehouse.execute(
                    f"ALTER TABLE {table} ALTER COLUMN {quoted(name)} TYPE {kind}"
                    f" USING TRY_CAST({quoted(name)} AS {kind})"
                )
        self._ready = True
