"""Whether a slot belongs to this pipeline, and whether the next sync can continue at the stored LSN."""

from collections.abc import Mapping

from dvd_rental_pipeline.ingestion.postgres_cdc.connect.publication import Publication
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.server import SourceIdentity
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.session import ReplicationError, place
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.slot import ReplicationSlot
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.state import StoredSource


def require_owned_slot(
    slot: ReplicationSlot | None,
    name: str,
    identity: SourceIdentity,
    other_sources: Mapping[str, StoredSource],
    url: str,
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
                f"The replication slot {name} at {place(url)} belongs to another pipeline, whose raw tables "
                f"are in the schema {target} of this warehouse: choose another slot name for one of the two "
                "(DVD_RENTAL_REPLICATION_SLOT). If that pipeline no longer exists, delete its row: "
                f"DELETE FROM _replication.sources WHERE target = '{target}'."
            )
    if slot is not None and not slot.streams_this_database:
        raise ReplicationError(
            f"The replication slot {name} at {place(url)} does not belong to this pipeline (a {slot.kind} "
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
