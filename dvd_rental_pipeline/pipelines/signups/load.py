"""Loading all minutes that are due: from the one after the last, to the last one that is complete."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from dvd_rental_pipeline.ingestion.http.json_client import JsonClient
from dvd_rental_pipeline.pipelines.signups.batch import BatchRequest
from dvd_rental_pipeline.pipelines.signups.store import LoadedBatch, SignupsStore
from dvd_rental_pipeline.pipelines.signups.validation import validate

MAX_MINUTES = 240
"""How many minutes one load catches up; the next load continues."""
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class LoadReport:
    """What a load did: the minutes it loaded, how many are still due, and rows over all its batches."""

    minutes: int
    minutes_due: int
    last_minute: datetime | None
    rows: LoadedBatch


def due_minutes(last: datetime | None, now: datetime) -> list[datetime]:
    """Return the complete minutes after `last`, oldest first; only the latest one before the first load."""
    newest = now.replace(second=0, microsecond=0) - _MINUTE
    if last is None:
        return [newest]
    return [last + _MINUTE * number for number in range(1, (newest - last) // _MINUTE + 1)]


def load_due_minutes(
    store: SignupsStore,
    client: JsonClient,
    now: datetime,
    *,
    batch_size: int,
    nationalities: str | None = None,
    log: Callable[[str], object] = lambda _: None,
) -> LoadReport:
    """Load the minutes that are due at `now`, in UTC, each in a transaction of its own.

    Raises:
        HttpError: the API gave no usable answer for a minute; those before it are loaded.
        SignupsStoreError: the database cannot be written.
    """
    due = due_minutes(store.last_minute(), now)
    minutes = due[:MAX_MINUTES]
    if len(due) > 1:
        log(f"{len(due)} minutes are due; loading {len(minutes)} of them.")
    batches = []
    for minute in minutes:
        records = BatchRequest(minute, batch_size, nationalities).fetch(client)
        users, rejections = validate(records)
        batches.append(store.load(minute, users, rejections))
    return LoadReport(
        minutes=len(minutes),
        minutes_due=len(due) - len(minutes),
        last_minute=minutes[-1] if minutes else store.last_minute(),
        rows=LoadedBatch(
            received=sum(batch.received for batch in batches),
            inserted=sum(batch.inserted for batch in batches),
            updated=sum(batch.updated for batch in batches),
            rejected=sum(batch.rejected for batch in batches),
        ),
    )
