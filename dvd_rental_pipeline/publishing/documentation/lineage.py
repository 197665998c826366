"""Column lineage: the columns that each column is computed from, read by sqlglot from dbt's compiled SQL.

dagster-dbt traces one step per model while it builds, with column types queried from the warehouse. Here all
models are traced at once, without a warehouse. A row count is computed from the key of the counted rows.
Columns that only filter, join or order rows are not traced.
"""

import graphlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp, parse_one
from sqlglot.lineage import Node, lineage
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, build_scope
from sqlglot.schema import MappingSchema

from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.publishing.documentation.entity_model import RAW_LAYER, Entity, EntityModel
from dvd_rental_pipeline.transform.manifest import DbtModel, Manifest

ROW_KEY = "_row"


class LineageError(PipelineError):
    """The SQL of a model cannot be traced."""


@dataclass(frozen=True, order=True)
class ColumnName:
    """A column of a table; `table` is schema and table."""

    table: str
    column: str

    def __str__(self) -> str:
        return f"{self.table}.{self.column}"


@dataclass(frozen=True)
class Lineage:
    """The columns of every table in their order, and the direct inputs of each column."""

    columns: Mapping[str, Sequence[str]]
    parents: Mapping[ColumnName, Sequence[ColumnName]]
    raw_tables: frozenset[str]

    def origins(self, column: ColumnName) -> set[ColumnName]:
        """The raw columns that `column` is computed from; `column` itself if it is one."""
        found: set[ColumnName] = set()
        seen: set[ColumnName] = set()
        pending = [column]
        while pending:
            name = pending.pop()
            if name in seen:
                continue
            seen.add(name)
            if name.table in self.raw_tables:
                found.add(name)
            pending.extend(self.parents.get(name, ()))
        return found


def trace(manifest: Manifest, model: EntityModel) -> Lineage:
    """The lineage of every column of `model`, from a manifest with compiled SQL.

    Raises:
        LineageError: the project was parsed but not compiled.
    """
    dialect = manifest.adapter_type
    by_id = {table.unique_id: table for table in model.tables.values()}
    relations = {
        _relation(relation_name, dialect): table
        for unique_id, table in by_id.items()
        if (relation_name := manifest.table(unique_id).relation_name)
    }
    columns = {
        table.name: [column.name for column in table.columns]
        for table in by_id.values()
        if table.layer == RAW_LAYER
    }
    schema = MappingSchema(dialect=dialect)
    for parts, table in relations.items():
        if table.name in columns:
            _add_columns(schema, parts, columns[table.name])
    relation_of = {table.name: parts for parts, table in relations.items()}
    parents: dict[ColumnName, Sequence[ColumnName]] = {}
    order = graphlib.TopologicalSorter(
        {unique_id: manifest.models[unique_id].parents for unique_id in sorted(manifest.models)}
    )
    for unique_id in order.static_order():
        table, node = by_id[unique_id], manifest.models.get(unique_id)
        if node is None:
            continue
        if not node.compiled_code:
            raise LineageError(f"{table.name} is not compiled: read the manifest that `dbt compile` writes.")
        traced = _Query(node.compiled_code, dialect, relations, schema).trace()
        if node.is_snapshot:
            traced |= _snapshot_columns(table, node, traced)
        columns[table.name] = list(traced)
        if table.name in relation_of:
            _add_columns(schema, relation_of[table.name], columns[table.name])
        for name, sources in traced.items():
            parents[ColumnName(table.name, name)] = sorted(
                source for source in sources if source.table != table.name
            )
    return Lineage(
        columns, parents, frozenset(name for name, table in model.tables.items() if table.layer == RAW_LAYER)
    )


def _relation(name: str, dialect: str) -> tuple[str, ...]:
    return _parts(exp.to_table(name, dialect=dialect))


def _add_columns(schema: MappingSchema, parts: Sequence[str], columns: Sequence[str]) -> None:
    # Lineage needs no types, and an unknown one spares sqlglot the reading of each.
    catalog, database, name = parts
    schema.add_table(exp.table_(name, database, catalog), dict.fromkeys(columns, "unknown"))


def _parts(table: exp.Table) -> tuple[str, ...]:
    return tuple(part.name.lower() for part in table.parts)


def _is_row_marker(value: exp.Expr) -> bool:
    while isinstance(value, exp.Cast | exp.Neg | exp.Paren):
        value = value.this
    if isinstance(value, exp.Boolean):
        return bool(value.this)
    return isinstance(value, exp.Literal) and not value.is_string and float(value.name) != 0


def _snapshot_columns(
    table: Entity, node: DbtModel, traced: Mapping[str, set[ColumnName]]
) -> Mapping[str, set[ColumnName]]:
    """The columns that dbt adds to a snapshot: computed from the column that its strategy compares."""
    updated_at: set[ColumnName] = traced.get(node.updated_at, set())
    return {column.name: updated_at for column in table.columns if column.name not in traced and updated_at}


class _Query:
    """The SQL of one model, traced to the relations that it reads."""

    def __init__(
        self,
        sql: str,
        dialect: str,
        relations: Mapping[tuple[str, ...], Entity],
        schema: MappingSchema,
    ) -> None:
        self._dialect = dialect
        self._relations = relations
        self._schema = schema
        self._query = qualify(
            parse_one(sql, dialect=dialect),
            schema=self._schema,
            dialect=dialect,
            validate_qualify_columns=False,
        )

    def trace(self) -> dict[str, set[ColumnName]]:
        """For each column of the query, the columns of relations that it is computed from."""
        self._replace_row_counts()
        nodes = lineage(
            None,
            self._query,
            self._schema,
            dialect=self._dialect,
            scope=build_scope(self._query),
            trim_selects=False,
            copy=False,
        )
        return {name.lower(): set(self._leaves(node)) for name, node in nodes.items() if name != ROW_KEY}

    def _leaves(self, node: Node) -> Iterator[ColumnName]:
        for step in node.walk():
            if isinstance(step.expression, exp.Table):
                table = self._relations.get(_parts(step.expression))
                if table is not None:
                    yield ColumnName(table.name, step.name.rpartition(".")[2].strip('"').lower())

    def _replace_row_counts(self) -> None:
        """Replace `*` in `count(*)` with the key of the rows, which every subquery passes on as `ROW_KEY`.

        A constant that marks rows for a sum, such as `1 as rented`, is replaced as well.
        """
        root = build_scope(self._query)
        for scope in root.traverse() if root else ():
            select = scope.expression
            if not isinstance(select, exp.Select):
                continue
            row = self._row_key(scope)
            for count in list(scope.find_all(exp.Count)):
                if isinstance(count.this, exp.Star):
                    count.set("this", row.copy())
            for projection in select.selects:
                if isinstance(projection, exp.Alias) and _is_row_marker(projection.this):
                    projection.set("this", row.copy())
            if not scope.is_subquery:
                select.select(exp.alias_(row.copy(), ROW_KEY), copy=False)

    def _row_key(self, scope: Scope) -> exp.Expr:
        """The key of the first relation or subquery in FROM."""
        for alias, (_, source) in scope.selected_sources.items():
            if isinstance(source, Scope):
                if isinstance(source.expression, exp.Query):
                    return exp.column(ROW_KEY, table=alias)
            else:
                table = self._relations.get(_parts(source))
                if table is not None and table.key:
                    return exp.func("concat", *(exp.column(name, table=alias) for name in table.key))
            break
        return exp.null()
