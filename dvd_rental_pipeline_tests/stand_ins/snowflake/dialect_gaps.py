"""Patches for differences between fakesnow 0.12 and Snowflake; each has a test in `test_stand_in.py`.

Only the process of the server imports this module, since it changes fakesnow in place.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from string import Template
from typing import Any

import duckdb
import fakesnow.arrow
import fakesnow.conn
import fakesnow.copy_into
import fakesnow.info_schema
import fakesnow.server
import fakesnow.transforms
import pyarrow as pa
import pyarrow.compute as pc
import sqlglot
from fakesnow.cursor import FakeSnowflakeCursor
from fakesnow.transforms import transforms
from fakesnow.transforms.merge import operations
from snowflake.connector.errors import ProgrammingError
from sqlglot import exp

_COLUMN_COMMENTS = re.compile(
    r'^\s*alter\s+(?:table|view)\s+(?P<table>[\w."$]+)\s+alter\s+(?P<columns>"?\w+"?\s+comment\s+\$\$.*)$',
    re.IGNORECASE | re.DOTALL,
)
_COLUMN_COMMENT = re.compile(r'("?\w+"?)\s+comment\s+\$\$(.*?)\$\$', re.IGNORECASE | re.DOTALL)
_MISSING = re.compile(r"(?:Table|View) with name \"?([\w$.]+)\"? does not exist", re.IGNORECASE)
_INFER_SCHEMA = re.compile(
    r"from\s+table\s*\(\s*infer_schema\s*\(\s*location\s*=>\s*(?P<location>\?|'[^']+')\s*,"
    r"\s*file_format\s*=>\s*(?:\?|'[^']+')\s*\)\s*\)",
    re.IGNORECASE,
)
_CLONE_SCHEMA = re.compile(
    r"\s*create\s+schema\s+if\s+not\s+exists\s+(?P<schema>[\w.]+)\s+clone\s+(?P<source>[\w.]+)\s*;?\s*$",
    re.IGNORECASE,
)
_SWAP = re.compile(r"\s*alter\s+table\s+(?P<one>\S+)\s+swap\s+with\s+(?P<other>\S+)\s*;?\s*$", re.IGNORECASE)
_SUCCESS = "select 'Statement executed successfully.' as status"
_SNOWFLAKE_TYPES = (
    (r"^(TINY|SMALL|BIG|HUGE|U\w*)?INT|^INTEGER", "NUMBER(38, 0)"),
    (r"^(DOUBLE|FLOAT)", "REAL"),
    (r"^DECIMAL\((.*)\)", r"NUMBER(\1)"),
    (r"^VARCHAR", "TEXT"),
    (r"^BLOB", "BINARY"),
    (r"^BOOLEAN", "BOOLEAN"),
    (r"^DATE$", "DATE"),
    (r"^TIMESTAMP WITH TIME ZONE", "TIMESTAMP_TZ"),
    (r"^TIMESTAMP", "TIMESTAMP_NTZ"),
    (r"^TIME", "TIME"),
    (r"", "VARIANT"),
)


class PatchedCursor(FakeSnowflakeCursor):
    """fakesnow's cursor with statements that it does not know or interprets differently from Snowflake."""

    def execute(self, command: str, params: Any = None, *args: Any, **kwargs: Any) -> FakeSnowflakeCursor:
        for prepared in self._prepare(command, params, kwargs):
            try:
                answer = super().execute(prepared, params, *args, **kwargs)
            except ProgrammingError as error:
                raise _as_snowflake_error(error) from error
        return answer

    def _prepare(self, command: str, params: Any, kwargs: dict[str, Any]) -> list[str]:
        """The statements that are equivalent to `command` and that fakesnow understands."""
        if comments := _COLUMN_COMMENTS.match(command):
            return [
                *(
                    f"comment on column {comments['table']}.{column} is '{text.replace(chr(39), chr(39) * 2)}'"
                    for column, text in _COLUMN_COMMENT.findall(comments["columns"])
                ),
                _SUCCESS,
            ]
        if swap := _SWAP.match(command):
            one, other = swap["one"], swap["other"].rstrip(";")
            spare = f"{one.rstrip(chr(34))}_SPARE" + (chr(34) if one.endswith(chr(34)) else "")
            return [
                f"create or replace table {spare} as select * from {one}",
                f"create or replace table {one} as select * from {other}",
                f"create or replace table {other} as select * from {spare}",
                f"drop table {spare}",
                _SUCCESS,
            ]
        if clone := _CLONE_SCHEMA.match(command):
            return list(self._cloned_schema(clone["schema"], clone["source"]))
        if schema := _INFER_SCHEMA.search(command):
            location = schema["location"]
            if location == "?":
                location = (kwargs.pop("binding_params", None) or params)[0]
            return [self._inferred_schema(location.strip("'").lstrip("@"))]
        if re.match(r"\s*copy\s+into", command, re.IGNORECASE):
            # The quoted form of a stage: from '@"STAGE"'.
            return [re.sub(r"(\bfrom\s+)'(@[^']+)'", r"\1\2", command, flags=re.IGNORECASE)]
        return [command]

    def _cloned_schema(self, schema: str, source: str) -> Iterator[str]:
        yield f"create schema if not exists {schema}"
        # If the schema exists, nothing is cloned.
        if not _relations(self._duck_conn, schema):
            for name, kind in _relations(self._duck_conn, source):
                cloned = "view" if kind == "VIEW" else "table"
                yield f'create {cloned} {schema}."{name}" as select * from {source}."{name}"'
        yield _SUCCESS

    def _inferred_schema(self, stage: str) -> str:
        url = fakesnow.copy_into.stage_url_from_var(
            stage, self._duck_conn, self._conn.database, self._conn.schema, self._conn.table_stages, None
        )
        files = fakesnow.copy_into._source_glob(url, self._duck_conn)
        described = self._duck_conn.execute("describe select * from read_parquet(?)", [files]).fetchall()
        rows = ", ".join(f"('{name}', '{_snowflake_type(type_)}')" for name, type_, *_ in described)
        return f"select column1 as column_name, column2 as type from values {rows}"

    def _transform(self, expression: exp.Expression, params: Any) -> exp.Expression:
        if isinstance(expression, exp.Create) and expression.kind in ("TABLE", "VIEW"):
            created = expression.find(exp.Table)
            properties = expression.args.get("properties")
            if created is not None and created.db and properties is not None:
                # DuckDB has a separate catalog of temporary objects: a qualified one becomes permanent.
                for property_ in list(properties.expressions):
                    if isinstance(property_, exp.TemporaryProperty):
                        property_.pop()
        return super()._transform(expression, params).transform(_array_to_string, copy=False)

    def _execute(self, transformed: exp.Expression, params: Any = None) -> None:
        if not isinstance(transformed, exp.Merge):
            return super()._execute(transformed, params)
        try:
            merged = self._duck_conn.execute(
                f"{transformed.sql(dialect='duckdb')} returning merge_action", params
            ).fetchall()
        except duckdb.BinderException as error:
            raise ProgrammingError(msg=str(error), errno=2043, sqlstate="02000") from error
        except duckdb.CatalogException as error:
            raise ProgrammingError(msg=str(error).split("\n")[0], errno=2003, sqlstate="42S02") from error
        rows_by_action = Counter(action for (action,) in merged)
        actions = {"inserted": "INSERT", "updated": "UPDATE", "deleted": "DELETE"}
        counts = sqlglot.parse_one(
            "select "
            + ", ".join(
                f'{rows_by_action[actions[operation]]} as "number of rows {operation}"'
                for operation, clauses in operations(transformed).items()
                if clauses
            ),
            read="duckdb",
        )
        counts.set("merge_counts", True)
        return super()._execute(counts, None)


def patch_fakesnow() -> None:
    """Change fakesnow in this process."""
    fakesnow.conn.FakeSnowflakeCursor = PatchedCursor
    fakesnow.arrow.timestamp_to_sf_struct = _timestamps_with_nulls
    fakesnow.info_schema.insert_table_comment_sql = _table_comment_with_quotes
    fakesnow.server.from_binding = _bound_value
    # MERGE is executed by DuckDB, in `PatchedCursor._execute`.
    fakesnow.transforms.merge = lambda expression: [expression]
    fakesnow.transforms.identifier = _identifier_of_three_parts
    # fakesnow sums all types as floats, to allow sums of texts; a sum of money must be exact.
    fakesnow.transforms.numeric_agg_implicit_cast = lambda expression: expression
    # DESCRIBE TABLE of a database other than that of the session.
    transforms.SQL_DESCRIBE_TABLE = Template(
        transforms.SQL_DESCRIBE_TABLE.template.replace(
            "FROM _fs_information_schema._fs_columns", "FROM _fs_global._fs_information_schema._fs_columns"
        )
    )


_timestamp_to_sf_struct = fakesnow.arrow.timestamp_to_sf_struct
_insert_table_comment_sql = fakesnow.info_schema.insert_table_comment_sql
_identifier = fakesnow.transforms.identifier
_from_binding = fakesnow.server.from_binding


def _timestamps_with_nulls(timestamps: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Null stays null; fakesnow sends 1970-01-01."""
    if isinstance(timestamps, pa.ChunkedArray):
        timestamps = timestamps.combine_chunks()
    sent = _timestamp_to_sf_struct(timestamps)
    if not timestamps.null_count:
        return sent
    fields = [pc.fill_null(sent.field(position), 0) for position in range(sent.type.num_fields)]
    return pa.StructArray.from_arrays(fields, fields=list(sent.type), mask=pc.is_null(timestamps))


def _bound_value(binding: dict[str, str]) -> Any:
    """A bound decimal keeps its fraction: fakesnow reads every number as an integer."""
    if binding["type"] == "FIXED" and "." in binding["value"]:
        return Decimal(binding["value"])
    return _from_binding(binding)


def _table_comment_with_quotes(catalog: str, schema: str, table: str, comment: str | None) -> str:
    return _insert_table_comment_sql(catalog, schema, table, (comment or "").replace("'", "''"))


def _identifier_of_three_parts(expression: exp.Expression, params: Any) -> exp.Expression:
    """`identifier('"DB"."SCHEMA"."NAME"')` is a table name of three parts."""
    found = _identifier(expression, params)
    if isinstance(found, exp.Table) and isinstance(found.this, exp.Identifier) and '"."' in found.this.name:
        parts = [exp.to_identifier(part, quoted=True) for part in found.this.name.split('"."')]
        return exp.Table(**dict(zip(("this", "db", "catalog"), reversed(parts), strict=False)))
    return found


def _array_to_string(expression: exp.Expression) -> exp.Expression:
    """An ARRAY is JSON in fakesnow, which DuckDB's function does not accept."""
    if not isinstance(expression, exp.ArrayToString):
        return expression
    texts = exp.cast(expression.this, exp.DataType.build("varchar[]", dialect="duckdb"))
    return exp.func("array_to_string", texts, expression.expression, dialect="duckdb")


def _as_snowflake_error(error: ProgrammingError) -> ProgrammingError:
    """Clients parse "does not exist or not authorized"."""
    missing = _MISSING.search(error.msg or "") if error.errno == 2003 else None
    if missing is None:
        return error
    return ProgrammingError(
        msg=f"SQL compilation error:\nObject '{missing[1]}' does not exist or not authorized.",
        errno=2003,
        sqlstate="42S02",
    )


def _relations(connection: duckdb.DuckDBPyConnection, schema: str) -> Sequence[tuple[str, str]]:
    """Name and kind of each table and view of a schema, which has its database in its name."""
    database, _, name = schema.upper().rpartition(".")
    return connection.execute(
        "select table_name, table_type from information_schema.tables"
        " where upper(table_catalog) = ? and upper(table_schema) = ?",
        [database, name],
    ).fetchall()


def _snowflake_type(duckdb_type: str) -> str:
    for pattern, replacement in _SNOWFLAKE_TYPES:
        if found := re.search(pattern, duckdb_type):
            return found.expand(replacement)
    raise AssertionError("the last pattern matches any type")
