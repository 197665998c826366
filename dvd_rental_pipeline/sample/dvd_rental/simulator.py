"""Continuing business on the source database: events that happen now, each a transaction of its own."""

import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable

import psycopg
from psycopg.errors import DeadlockDetected, ForeignKeyViolation, RestrictViolation, UniqueViolation

from dvd_rental_pipeline.sample.database import is_empty
from dvd_rental_pipeline.sample.dvd_rental.traffic.events import WEIGHTS, Event
from dvd_rental_pipeline.sample.dvd_rental.traffic.shop import NothingToDoError, Shop
from dvd_rental_pipeline.sample.errors import SourceError

_TELL_EVERY = 50
_ATTEMPTS = 200

# What an event is told that somebody else was quicker than. PostgreSQL 18 calls some foreign keys' refusals a
# violation of RESTRICT, which older servers do not.
_BEATEN = (ForeignKeyViolation, RestrictViolation, UniqueViolation, DeadlockDetected)


def simulate(
    url: str,
    *,
    events: int = 500,
    rate: float | None = None,
    seed: int | None = None,
    progress: Callable[[str], None] | None = None,
    stop: threading.Event | None = None,
) -> dict[str, int]:
    """Let `events` business events happen, `rate` of them a second (default: as fast as they go).

    Each kind of event happens at least once, in random order, if the data allow it and there are events enough
    for all; between them they insert, update and delete rows of every table. Dates are the server's now, and
    everything is consistent with the foreign keys and with the rules of the business: a copy that is out is not
    rented again. The same seed makes the same choices on the same data. Ends early when `stop` is set.

    Returns how many events there were of each kind. Those of the kind `abandon` were rolled back.

    Raises:
        SourceError: there are no data to work on, an argument is out of range, or the database refuses.
    """
    if events < 0 or (rate is not None and rate <= 0):
        raise SourceError("The number of events must not be negative, and their rate a second must be above 0.")
    if is_empty(url):
        raise SourceError("The source holds no data to work on. `dvd-rental source generate` makes some.")
    tell = progress or (lambda _: None)
    stop = stop or threading.Event()
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            business = _Business(connection, random.Random(seed), events)
            if rate is None:
                # Waiting for the disk at each event would take most of the time.
                connection.execute("set synchronous_commit = off")
            started = time.monotonic()
            for number in range(events):
                wait = 0.0 if rate is None else started + number / rate - time.monotonic()
                if stop.wait(wait) if wait > 0 else stop.is_set():
                    break
                business.go_on()
                if (number + 1) % _TELL_EVERY == 0:
                    tell(f"Business goes on: {number + 1:,} of {events:,} events")
            # This commit waits, and so for all before it: logical decoding sees only what is on disk.
            connection.execute("set synchronous_commit = on")
            connection.execute("select pg_current_xact_id()")
    except psycopg.Error as error:
        raise SourceError(f"Business cannot go on in the source database: {error}") from error
    return dict(sorted(business.counts.items()))


class _Business:
    def __init__(self, connection: psycopg.Connection, rng: random.Random, events: int) -> None:
        self._connection = connection
        self._rng = rng
        self._shop = Shop(connection, rng)
        kinds = list(WEIGHTS)
        rng.shuffle(kinds)
        # What cannot happen yet (nothing was deleted that could come back) is tried again after the others.
        self._outstanding = deque(kinds * 3 if events >= len(kinds) else [])
        self.counts: Counter[str] = Counter()

    def go_on(self) -> None:
        """One more event.

        Raises:
            SourceError: whatever is tried, there is nothing it could happen to.
        """
        for _ in range(_ATTEMPTS):
            event = self._next()
            try:
                with self._connection.transaction():
                    event(self._shop)
            except (NothingToDoError, *_BEATEN):
                # Nothing to do, or somebody else took what the event relied on, or both waited for each other:
                # nothing was changed.
                continue
            self.counts[event.__name__] += 1
            return
        raise SourceError(
            "The source has too few rows for business to go on. `dvd-rental source generate` makes more."
        )

    def _next(self) -> Event:
        while self._outstanding:
            event = self._outstanding.popleft()
            if event.__name__ not in self.counts:
                return event
        return self._rng.choices(list(WEIGHTS), weights=list(WEIGHTS.values()))[0]
