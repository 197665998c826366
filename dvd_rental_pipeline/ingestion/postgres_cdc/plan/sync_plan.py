"""The plan of a sync: for each table, whether its changes are streamed or it is copied in full, and why."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dvd_rental_pipeline.ingestion.postgres_cdc.connect.publication import Publication
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.relations import SourceRelation
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.server import SourceIdentity
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.drift import SchemaDrift, compare_schema
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.state import StoredSource, StoredState, StoredTable


@dataclass(frozen=True)
class TablePlan:
    """How one table is synced: by a full copy if it has a `copy_reason`, by its changes otherwise.

    `stored` and `drift` are None before the first sync of the table.
    """

    relation: SourceRelation
    membership: str
    stored: StoredTable | None
    drift: SchemaDrift | None
    copy_reason: str | None

    @property
    def name(self) -> str:
        return self.relation.name

    @property
    def retired(self) -> Mapping[str, str]:
        """The columns of the raw table that the source no longer has, with their DuckDB types."""
        return self.drift.retired if self.drift is not None else {}

    def schema_changes(self, declared_key: tuple[str, ...]) -> tuple[str, ...]:
        """The schema drift as text, and a primary key that is not the declared one."""
        changes = self.drift.descriptions if self.drift is not None else ()
        key = self.relation.key
        if set(declared_key) == set(key):
            return changes
        return (
            *changes,
            f"the primary key is ({', '.join(key)}) in the source"
            f" and ({', '.join(declared_key)}) in the catalogue",
        )


def refused_tables(
    relations: Mapping[str, SourceRelation], names: Iterable[str], schema: str, place: str
) -> dict[str, str]:
    """The tables among `names` that cannot be replicated, with the reason. `place` is where the source is."""
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


def plan_tables(
    relations: Iterable[SourceRelation],
    publication: Publication,
    state: StoredState,
    full_refresh_reason: str | None,
) -> list[TablePlan]:
    """Plan each of `relations`; a `full_refresh_reason` applies to all of them."""
    plans = []
    for relation in relations:
        stored = state.tables.get(relation.name)
        membership = publication.membership(relation.oid)
        drift = compare_schema(stored, relation, membership) if stored is not None else None
        if full_refresh_reason is not None:
            reason: str | None = full_refresh_reason
        elif stored is None or drift is None:
            reason = "first sync of this table"
        elif stored.stopped is not None:
            reason = f"it was not replicated: {stored.stopped}"
        else:
            reason = drift.copy_reason
        plans.append(TablePlan(relation, membership, stored, drift, reason))
    return plans


def next_source(
    identity: SourceIdentity, publication: Publication, slot: str, target_lsn: int, before: StoredSource | None
) -> StoredSource:
    """The source as it is stored after a sync that streams up to `target_lsn`."""
    return StoredSource(
        slot=slot,
        system_identifier=identity.system_identifier,
        timeline=identity.timeline,
        database_oid=identity.database_oid,
        publication=publication.version,
        lsn=target_lsn,
        last_commit=before.last_commit if before is not None else None,
        lsn_offset=before.lsn_offset if before is not None else 0,
        syncs=(before.syncs if before is not None else 0) + 1,
    )
