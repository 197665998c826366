"""The source's tables as its catalogue describes them, with versions by which a later sync detects changes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import psycopg
from psycopg.rows import dict_row

from dvd_rental_pipeline.ingestion.postgres_cdc.connect.column_types import ColumnType, PgType, column_type

RAW_COLUMNS = (
    "_airbyte_raw_id",
    "_airbyte_extracted_at",
    "_airbyte_meta",
    "_airbyte_generation_id",
    "_ab_cdc_lsn",
    "_ab_cdc_updated_at",
    "_ab_cdc_deleted_at",
)


@dataclass(frozen=True)
class SourceColumn:
    """A column of a source table.

    Attributes:
        version: the transaction that last wrote the column's catalogue row; every ALTER COLUMN changes it.
        labels: the labels of an enum by oid.
        missing: whether rows older than the column have its default value (`atthasmissing`).
    """

    name: str
    number: int
    type_oid: int
    modifier: int
    type_name: str
    version: str
    labels: Mapping[str, str]
    missing: bool
    type: ColumnType = field(compare=False)


@dataclass(frozen=True)
class SourceRelation:
    """A source table. Generated columns are left out: the change stream does not contain them.

    Attributes:
        storage: changes whenever the table is rewritten (ALTER TABLE, TRUNCATE, VACUUM FULL, CLUSTER) and, for
            a partitioned table, when its partitions change.
        pages: the size of its own file, in pages; 0 for a partitioned table.
    """

    schema: str
    name: str
    oid: int
    kind: str
    persistence: str
    replica_identity: str
    readable: bool
    key: tuple[str, ...]
    key_is_deferrable: bool
    identity_key: tuple[str, ...]
    columns: tuple[SourceColumn, ...]
    last_number: int
    last_dropped_number: int
    storage: str
    row_estimate: int
    pages: int

    @property
    def is_partitioned(self) -> bool:
        return self.kind == "p"

    @property
    def key_positions(self) -> tuple[int, ...]:
        """The positions of the key's columns in `columns`."""
        names = [column.name for column in self.columns]
        return tuple(names.index(name) for name in self.key)

    def refusal(self) -> str | None:
        """Why this table cannot be replicated; None when it can."""
        table = f"{self.schema}.{self.name}"
        names = [*(column.name.casefold() for column in self.columns), *RAW_COLUMNS]
        clash = next((name for name in names if names.count(name) > 1), "")
        refusals = (
            (self.kind not in "rp", "it is not a table."),
            (
                self.persistence != "p",
                "it is unlogged or temporary, so its changes are not in the WAL:"
                f" ALTER TABLE {table} SET LOGGED.",
            ),
            (not self.readable, f"this user may not read it: GRANT SELECT ON {table}."),
            (
                not self.key,
                "it has no primary key, and updates and deletes cannot be replicated without one: add one.",
            ),
            (
                self.key_is_deferrable,
                "its primary key is deferrable, and PostgreSQL does not log such a key: make it immediate.",
            ),
            (
                not self._replica_identity_contains_key(),
                "its replica identity does not contain its primary key, and updates and deletes cannot be "
                f"replicated without it: ALTER TABLE {table} REPLICA IDENTITY DEFAULT.",
            ),
            (
                bool(clash),
                "two of its columns differ only by case, or a column has the name of one of the pipeline's own:"
                f" {clash}.",
            ),
        )
        return next((f"{table} cannot be replicated: {why}" for applies, why in refusals if applies), None)

    def _replica_identity_contains_key(self) -> bool:
        if self.replica_identity in "df":
            return True
        return self.replica_identity == "i" and set(self.key) <= set(self.identity_key)


def read_relations(
    connection: psycopg.Connection, schema: str, tables: Iterable[str]
) -> dict[str, SourceRelation]:
    """The given tables of `schema` by name, without those that do not exist.

    Raises:
        psycopg.Error: the query failed.
    """
    with connection.cursor(row_factory=dict_row) as cursor:
        # One statement, so one snapshot of the catalogue.
        rows = cursor.execute(_TABLES_SQL, {"schema": schema, "tables": list(tables)}).fetchall()
    return {
        row["name"]: SourceRelation(
            **{**row, "key": tuple(row["key"]), "identity_key": tuple(row["identity_key"])}
            | {"columns": tuple(_column(column) for column in row["columns"])}
        )
        for row in rows
    }


def refused_tables(
    relations: Mapping[str, SourceRelation], names: Iterable[str], schema: str, place: str
) -> dict[str, str]:
    """The tables among `names` that cannot be replicated, with the reason; `relations` are those that exist.

    `place` is the host, port and database of the source, for messages.
    """
    refusals: dict[str, str | None] = {}
    spellings: dict[str, str] = {}
    for name in names:
        first = spellings.setdefault(name.casefold(), name)
        if name not in relations:
            refusals[name] = (
                f"The source has no table {schema}.{name} at {place}: create it there, or remove it from the "
                "catalogue."
            )
        elif first != name:
            refusals[name] = (
                f"The names {first} and {name} differ only by case, which the warehouse does not distinguish."
            )
        else:
            refusals[name] = relations[name].refusal()
    return {name: refusal for name, refusal in refusals.items() if refusal is not None}


def _column(row: Mapping[str, object]) -> SourceColumn:
    facts = dict(row)
    pg_type = PgType(**{name: facts.pop(f"base_{name}") for name in PgType.__dataclass_fields__})  # type: ignore[arg-type]
    return SourceColumn(**facts, type=column_type(pg_type))  # type: ignore[arg-type]


_TABLES_SQL = """
select
    n.nspname as schema,
    c.relname as name,
    c.oid::bigint as oid,
    c.relkind::text as kind,
    c.relpersistence::text as persistence,
    c.relreplident::text as replica_identity,
    has_table_privilege(c.oid, 'SELECT') as readable,
    array(
        select a.attname::text
        from pg_index i, unnest(i.indkey::int2[]) with ordinality k (number, position)
        join pg_attribute a on a.attnum = k.number
        where i.indrelid = c.oid and i.indisprimary and a.attrelid = c.oid
        order by k.position
    ) as key,
    exists (
        select from pg_index i where i.indrelid = c.oid and i.indisprimary and not i.indimmediate
    ) as key_is_deferrable,
    array(
        select a.attname::text
        from pg_index i
        join pg_attribute a on a.attrelid = c.oid and a.attnum = any (i.indkey::int2[])
        where i.indrelid = c.oid and i.indisreplident
    ) as identity_key,
    coalesce((
        select json_agg(
            json_build_object(
                'name', a.attname, 'number', a.attnum, 'type_oid', a.atttypid::bigint, 'modifier', a.atttypmod,
                'type_name', format_type(a.atttypid, a.atttypmod), 'version', a.xmin::text,
                'missing', a.atthasmissing,
                'labels', coalesce((
                    select json_object_agg(e.oid::text, e.enumlabel) from pg_enum e where e.enumtypid = b.oid
                ), '{}'),
                'base_oid', b.oid::bigint, 'base_modifier', b.modifier,
                'base_output_function', format('%%I.%%I', pn.nspname, p.proname),
                'base_element_oid', coalesce(e.oid::bigint, 0),
                'base_element_delimiter', coalesce(e.typdelim::text, '')
            )
            order by a.attnum
        )
        from pg_attribute a
        cross join lateral (
            with recursive chain as (
                select t.oid, t.typtype, t.typbasetype, a.atttypmod as modifier, t.typtypmod
                from pg_type t
                where t.oid = a.atttypid
                union all
                select t.oid, t.typtype, t.typbasetype, chain.typtypmod, t.typtypmod
                from chain
                join pg_type t on t.oid = chain.typbasetype
                where chain.typtype = 'd'
            )
            select chain.oid, chain.modifier from chain where chain.typtype <> 'd'
        ) b
        join pg_type t on t.oid = b.oid
        join pg_proc p on p.oid = t.typoutput
        join pg_namespace pn on pn.oid = p.pronamespace
        left join pg_type e on e.oid = t.typelem and e.typarray = t.oid
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
    ), '[]') as columns,
    c.relnatts as last_number,
    coalesce((
        select max(a.attnum) from pg_attribute a where a.attrelid = c.oid and a.attisdropped
    ), 0) as last_dropped_number,
    case c.relkind
        when 'p' then coalesce((
            select string_agg(l.oid::text || ':' || l.relfilenode::text, ' ' order by l.oid)
            from pg_partition_tree(c.oid) tree
            join pg_class l on l.oid = tree.relid
            where tree.isleaf
        ), '')
        else c.relfilenode::text
    end as storage,
    greatest(case c.relkind
        when 'p' then (
            select sum(greatest(l.reltuples, 0))::bigint
            from pg_partition_tree(c.oid) tree
            join pg_class l on l.oid = tree.relid
            where tree.isleaf
        )
        else c.reltuples::bigint
    end, 0) as row_estimate,
    case c.relkind
        when 'r' then pg_relation_size(c.oid) / current_setting('block_size')::bigint
        else 0
    end as pages
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where n.nspname = %(schema)s and c.relname = any (%(tables)s)
"""
