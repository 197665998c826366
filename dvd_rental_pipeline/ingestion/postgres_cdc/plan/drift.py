"""Schema drift of a table between two syncs, and whether the change stream still describes its rows completely.

The WAL contains changes of rows, not of tables. What a statement did to rows without a change in the WAL (a
default for existing rows, a rewrite by ALTER TABLE ... USING, a renamed enum label, an attached partition)
needs a full copy of the table, whose reason is reported. In doubt, the table is copied.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from dvd_rental_pipeline.ingestion.postgres_cdc.connect.column_types import is_widening
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.relations import SourceColumn, SourceRelation
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.state import StoredColumn, StoredTable


@dataclass(frozen=True)
class SchemaDrift:
    """How a table differs from its stored state.

    Attributes:
        copy_reason: why the table needs a full copy; None when its changes suffice.
        added: columns to add to the raw table.
        widened: columns whose type in the raw table has to be widened.
        retired: all columns of the raw table that the source no longer has, with their DuckDB types.
        descriptions: the differences as text.
    """

    copy_reason: str | None
    added: tuple[SourceColumn, ...]
    widened: tuple[SourceColumn, ...]
    retired: Mapping[str, str]
    descriptions: tuple[str, ...]


def compare_schema(stored: StoredTable, relation: SourceRelation, membership: str) -> SchemaDrift:
    """Compare a table and its membership in the publication with its stored state."""
    old = {column.number: column for column in stored.columns}
    new = {column.number: column for column in relation.columns}
    common = [(old[number], new[number]) for number in old if number in new]
    added = tuple(column for column in relation.columns if column.number not in old)
    dropped = tuple(column for column in stored.columns if column.number not in new)
    # DuckDB treats names that differ only by case as equal.
    names = {column.name.casefold() for column in relation.columns}
    retired = {name: kind for name, kind in stored.retired.items() if name.casefold() not in names}
    retired |= {column.name: column.warehouse for column in dropped if column.name.casefold() not in names}
    descriptions = (
        *(f"column {was.name} renamed to {column.name}" for was, column in common if was.name != column.name),
        *(f"column {column.name} {column.type_name} added" for column in added),
        *(f"column {column.name} dropped" for column in dropped),
        *(
            f"column {column.name} changed from {was.type_name} to {column.type_name}"
            for was, column in common
            if was.type_name != column.type_name
        ),
    )
    copy_reason = (
        _table_replaced(stored, relation, membership)
        or _columns_rewritten(stored, relation, common)
        or _columns_added_with_values(stored, relation, added)
    )
    widened = tuple(column for was, column in common if was.warehouse != column.type.warehouse)
    return SchemaDrift(copy_reason, added, widened, retired, descriptions)


def _table_replaced(stored: StoredTable, relation: SourceRelation, membership: str) -> str | None:
    if stored.oid != relation.oid:
        return "the table was dropped and created again"
    if stored.membership != membership:
        return "the table was out of the publication for a while"
    if stored.key != relation.key:
        return f"the primary key changed from ({', '.join(stored.key)}) to ({', '.join(relation.key)})"
    return None


def _columns_rewritten(
    stored: StoredTable, relation: SourceRelation, common: list[tuple[StoredColumn, SourceColumn]]
) -> str | None:
    rewritten = stored.storage != relation.storage
    if rewritten and relation.is_partitioned:
        return "its partitions changed, or one was truncated or rewritten"
    reasons = (_column_changed(was, column, rewritten=rewritten) for was, column in common)
    return next((reason for reason in reasons if reason is not None), None)


def _column_changed(was: StoredColumn, column: SourceColumn, *, rewritten: bool) -> str | None:
    if was.name != column.name:
        return f"column {was.name} was renamed to {column.name}"
    widened = is_widening(was.warehouse, column.type.warehouse)
    retyped = (was.type_oid, was.modifier) != (column.type_oid, column.modifier)
    if (retyped and rewritten) or not widened:
        return f"column {column.name} changed from {was.type_name} to {column.type_name}"
    if rewritten and was.version != column.version:
        return f"column {column.name} was altered and the table rewritten"
    if any(column.labels.get(oid, label) != label for oid, label in was.labels.items()):
        return f"a label of the enum of column {column.name} was renamed"
    return None


def _columns_added_with_values(
    stored: StoredTable, relation: SourceRelation, added: tuple[SourceColumn, ...]
) -> str | None:
    if added and relation.last_dropped_number > stored.last_number:
        return "columns were added and dropped between syncs"
    former = {name.casefold() for name in (*(column.name for column in stored.columns), *stored.retired)}
    for column in added:
        if column.name.casefold() in former:
            return f"column {column.name} was dropped and added again"
        if column.missing or stored.storage != relation.storage or column.number <= stored.last_number:
            return f"column {column.name} was added with values for older rows"
    return None
