"""Whether the log can be read on from where the last sync ended."""

from dvd_rental_pipeline.ingestion.postgres_cdc.connect.publication import Publication
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.session import ReplicationError, place
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.slot import Slot, Source
from dvd_rental_pipeline.ingestion.postgres_cdc.plan.state import StoredSource


def require_owned_slot(there: Slot | None, name: str, url: str) -> None:
    """Refuse a slot that somebody else made.

    Raises:
        ReplicationError: it is not one of pgoutput in this database.
    """
    if there is not None and not there.is_ours:
        raise ReplicationError(
            f"The replication slot {name} at {place(url)} belongs to something else "
            f"({there.kind}, database {there.database}): choose another slot name, "
            "DVD_RENTAL_REPLICATION_SLOT."
        )


def full_refresh_reason(
    known: StoredSource | None, source: Source, there: Slot | None, published: Publication | None, name: str
) -> str | None:
    """Why the log cannot be read on, in words; None when it can."""
    if known is None:
        return (
            "first sync" if there is None else "first sync; a slot is left over from a warehouse that is gone"
        )
    reasons = (
        (known.system_identifier != source.system_identifier, "the source is another server than before"),
        (known.database_oid != source.database_oid, "the source is another database than before"),
        (known.timeline != source.timeline, "the source was restored, or failed over to a standby"),
        (known.slot != name, f"the slot was {known.slot} before"),
        (there is None, "the replication slot is gone"),
        (
            there is not None and there.lost is not None,
            f"the replication slot is lost: {there and there.lost}",
        ),
        (known.lsn > source.log_end, "the source was restored to an earlier moment"),
        (
            there is not None and (there.confirmed or 0) > known.lsn,
            "the replication slot is ahead of the warehouse",
        ),
        (
            published is None or known.publication != published.version,
            "the publication was changed",
        ),
    )
    return next((reason for applies, reason in reasons if applies), None)
