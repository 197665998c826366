"""The plan of a sync: whether it can continue at the stored LSN, and which tables are streamed or copied."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dvd_rental_pipeline.ingestion.postgres_cdc.connect.publication import Publication
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.relations import SourceRelation
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.server import SourceIdentity
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.session import ReplicationError
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.slot import ReplicationSlot
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.drift import SchemaDrift, compare_schema
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.state import StoredSource, StoredState, StoredTable


@dataclass(frozen=True)
class TablePlan:
    """How one table is synced: by a full copy if it has a `copy_reason`, by its changes otherwise.

    Attributes:
        membership: the table's membership in the publication.
        stored: its stored state, and `drift` what changed since; None before its first sync.
        schema_changes: the schema drift as text, and a primary key that is not the declared one.
    """

    relation: SourceRelation
    membership: str
    stored: StoredTable | None
    drift: SchemaDrift | None
    copy_reason: str | None
    schema_changes: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.relation.name

    @property
    def retired(self) -> Mapping[str, str]:
        """The columns of the raw table that the source no longer has, with their DuckDB types."""
        return self.drift.retired if self.drift is not None else {}


@dataclass(frozen=True)
class SyncPlan:
    """What a sync has to do.

    Attributes:
        refresh_reason: why every table is copied, and the slot created again; None if the sync continues at the
            stored LSN.
        source: the source as it is to be stored after the sync.
    """

    refresh_reason: str | None
    source: StoredSource
    tables: Sequence[TablePlan]


def require_owned_slot(
    slot: ReplicationSlot | None,
    name: str,
    identity: SourceIdentity,
    other_sources: Mapping[str, StoredSource],
) -> None:
    """Refuse a slot name that something else uses: a full refresh would drop that slot.

    `other_sources` are the sources of the other pipelines of the warehouse, by target schema. Slot names are
    unique on a server, so another pipeline's name is refused in every database of it.

    Raises:
        ReplicationError: the slot is another pipeline's, or not one for pgoutput in this database.
    """
    for target, source in other_sources.items():
        if source.slot == name and source.system_identifier == identity.system_identifier:
            raise ReplicationError(
                f"The replication slot {name} at {identity.place} belongs to another pipeline, whose raw "
                f"tables are in the schema {target} of this warehouse: give each pipeline its own slot name. "
                "If that pipeline no longer exists, delete its row in the warehouse: "
                f"DELETE FROM _replication.sources WHERE target = '{target}'."
            )
    if slot is not None and not slot.streams_this_database:
        raise ReplicationError(
            f"The replication slot {name} at {identity.place} does not belong to this pipeline (a {slot.kind} "
            f"slot, plugin {slot.plugin}, database {slot.database}): choose another slot name, "
            "DVD_RENTAL_REPLICATION_SLOT."
        )


def full_refresh_reason(
    stored: StoredSource | None,
    identity: SourceIdentity,
    slot: ReplicationSlot | None,
    publication: Publication | None,
    slot_name: str,
) -> str | None:
    """Why the next sync cannot continue at the stored LSN, so that every table is copied; None if it can."""
    if stored is None:
        return "first sync" if slot is None else "first sync; the slot is left over from a deleted warehouse"
    confirmed = slot.confirmed if slot is not None else None
    reasons = (
        (stored.system_identifier != identity.system_identifier, "the source is another server than before"),
        (stored.database_oid != identity.database_oid, "the source is another database than before"),
        (stored.timeline != identity.timeline, "the source was restored, or failed over to a standby"),
        (stored.slot != slot_name, f"the slot was {stored.slot} before"),
        (slot is None, "the replication slot no longer exists"),
        (
            slot is not None and slot.lost is not None,
            f"the replication slot is lost: {slot.lost if slot is not None else ''}",
        ),
        (stored.lsn > identity.log_end, "the source was restored to an earlier moment"),
        (confirmed is not None and confirmed > stored.lsn, "the replication slot is ahead of the warehouse"),
        (
            publication is None or stored.publication != publication.version,
            "the publication was changed",
        ),
    )
    return next((reason for applies, reason in reasons if applies), None)


def plan_sync(
    state: StoredState,
    identity: SourceIdentity,
    relations: Iterable[SourceRelation],
    publication: Publication,
    slot: ReplicationSlot | None,
    *,
    slot_name: str,
    target_lsn: int,
    requested_refresh: str | None,
    declared_keys: Mapping[str, tuple[str, ...]],
) -> SyncPlan:
    """Plan a sync up to `target_lsn`; `requested_refresh` is a reason to copy every table in any case."""
    before = state.source
    refresh_reason = requested_refresh or full_refresh_reason(before, identity, slot, publication, slot_name)
    source = StoredSource(
        slot=slot_name,
        system_identifier=identity.system_identifier,
        timeline=identity.timeline,
        database_oid=identity.database_oid,
        publication=publication.version,
        lsn=target_lsn,
        last_commit=before.last_commit if before is not None else None,
        lsn_offset=before.lsn_offset if before is not None else 0,
        syncs=(before.syncs if before is not None else 0) + 1,
    )
    tables = []
    for relation in relations:
        stored = state.tables.get(relation.name)
        membership = publication.membership(relation.oid)
        drift = compare_schema(stored, relation, membership) if stored is not None else None
        copy_reason: str | None
        if refresh_reason is not None:
            copy_reason = refresh_reason
        elif stored is None or drift is None:
            copy_reason = "first sync of this table"
        elif stored.stopped is not None:
            copy_reason = f"it was not replicated: {stored.stopped}"
        else:
            copy_reason = drift.copy_reason
        schema_changes = [*(drift.descriptions if drift is not None else ())]
        declared_key = declared_keys[relation.name]
        if set(declared_key) != set(relation.key):
            schema_changes.append(
                f"the primary key is ({', '.join(relation.key)}) in the source"
                f" and ({', '.join(declared_key)}) in the catalogue"
            )
        tables.append(TablePlan(relation, membership, stored, drift, copy_reason, tuple(schema_changes)))
    return SyncPlan(refresh_reason, source, tables)
