"""What became of a table between two syncs, and whether the change stream still tells all of it.

The log holds changes of rows, not of tables. What a statement did to rows without a change in the log (a
default for older rows, a rewrite by ALTER TABLE ... USING, a renamed enum label, an attached partition) can
only be had by copying the table again: that is a refresh, and its reason is announced. Where in doubt, refresh.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from dvd_rental_pipeline.ingestion.postgres_cdc.plan.column_types import is_widening
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.relations import Column, Relation
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.state import StoredColumn, StoredTable


@dataclass(frozen=True)
class Drift:
    """How a table differs from what is stored of it.

    `refresh` is the reason for a full copy, or None. `added` and `widened` are to be done to the raw table;
    `retired` are all columns that it keeps though the source has them no more.
    """

    refresh: str | None
    added: tuple[Column, ...]
    widened: tuple[Column, ...]
    retired: Mapping[str, str]
    descriptions: tuple[str, ...]


def compare(before: StoredTable, now: Relation, membership: str) -> Drift:
    """What became of the table stored as `before`."""
    old = {column.number: column for column in before.columns}
    new = {column.number: column for column in now.columns}
    common = [(old[number], new[number]) for number in old if number in new]
    added = tuple(column for column in now.columns if column.number not in old)
    dropped = tuple(column for column in before.columns if column.number not in new)
    # DuckDB takes names that differ only by case for one.
    names = {column.name.casefold() for column in now.columns}
    retired = {name: kind for name, kind in before.retired.items() if name.casefold() not in names}
    retired |= {column.name: column.warehouse for column in dropped if column.name.casefold() not in names}
    descriptions = (
        *(f"column {was.name} renamed to {now_.name}" for was, now_ in common if was.name != now_.name),
        *(f"column {column.name} {column.type_name} added" for column in added),
        *(f"column {column.name} dropped" for column in dropped),
        *(
            f"column {is_.name} changed from {was.type_name} to {is_.type_name}"
            for was, is_ in common
            if was.type_name != is_.type_name
        ),
    )
    refresh = (
        _replaced(before, now, membership) or _rewritten(before, now, common) or _added(before, now, added)
    )
    widened = tuple(is_ for was, is_ in common if was.warehouse != is_.type.warehouse)
    return Drift(refresh, added, widened, retired, descriptions)


def _replaced(before: StoredTable, now: Relation, membership: str) -> str | None:
    if before.oid != now.oid:
        return "the table was dropped and created again"
    if before.membership != membership:
        return "the table was out of the publication for a while"
    if before.key != now.key:
        return f"the primary key changed from ({', '.join(before.key)}) to ({', '.join(now.key)})"
    return None


def _rewritten(before: StoredTable, now: Relation, common: list[tuple[StoredColumn, Column]]) -> str | None:
    stored_anew = before.storage != now.storage
    if stored_anew and now.is_partitioned:
        return "its partitions changed, or one was truncated or rewritten"
    reasons = (_changed(was, is_, stored_anew=stored_anew) for was, is_ in common)
    return next((reason for reason in reasons if reason is not None), None)


def _changed(was: StoredColumn, is_: Column, *, stored_anew: bool) -> str | None:
    if was.name != is_.name:
        return f"column {was.name} was renamed to {is_.name}"
    widened = is_widening(was.warehouse, is_.type.warehouse)
    retyped = (was.type_oid, was.modifier) != (is_.type_oid, is_.modifier)
    if (retyped and stored_anew) or not widened:
        return f"column {is_.name} changed from {was.type_name} to {is_.type_name}"
    if stored_anew and was.version != is_.version:
        return f"column {is_.name} was altered and the table rewritten"
    if any(is_.labels.get(oid, label) != label for oid, label in was.labels.items()):
        return f"a label of the enum of column {is_.name} was renamed"
    return None


def _added(before: StoredTable, now: Relation, added: tuple[Column, ...]) -> str | None:
    if added and now.last_dropped_number > before.last_number:
        return "columns came and went"
    former = {name.casefold() for name in (*(column.name for column in before.columns), *before.retired)}
    for column in added:
        if column.name.casefold() in former:
            return f"column {column.name} was dropped and added again"
        if column.missing or before.storage != now.storage or column.number <= before.last_number:
            return f"column {column.name} was added with values for older rows"
    return None
