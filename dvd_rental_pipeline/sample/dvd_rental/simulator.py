"""Simulate business activity on the DVD rental database: random events, one transaction each."""

import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable

import psycopg
from psycopg.errors import DeadlockDetected, ForeignKeyViolation, RestrictViolation, UniqueViolation

from dvd_rental_pipeline.sample.dvd_rental.tables import DVD_RENTAL_TABLES
from dvd_rental_pipeline.sample.dvd_rental.traffic.events import WEIGHTS, Event
from dvd_rental_pipeline.sample.dvd_rental.traffic.session import NoSuitableRowError, TrafficSession
from dvd_rental_pipeline.sample.errors import SourceError

_PROGRESS_EVENTS = 50
_MAX_ATTEMPTS = 200

# Raised when a concurrent session changed what the event relies on. PostgreSQL 18 reports some foreign key
# violations as RestrictViolation, unlike older versions.
_CONFLICTS = (ForeignKeyViolation, RestrictViolation, UniqueViolation, DeadlockDetected)


def simulate(
    url: str,
    *,
    events: int = 500,
    rate: float | None = None,
    seed: int | None = None,
    on_progress: Callable[[str], None] | None = None,
    stop: threading.Event | None = None,
) -> dict[str, int]:
    """Execute `events` business events, `rate` per second (default: without pauses).

    If there are enough events, and rows that they apply to, each kind occurs at least once, in random order;
    together they insert, update and delete rows of every table. Dates are the server's current time. The data
    stay consistent with the foreign keys and the business rules: a rented copy is not rented again. The same
    seed makes the same choices on the same data. Ends early if `stop` is set.

    Returns:
        The number of events by kind. Those of the kind `rent_and_roll_back` were rolled back.

    Raises:
        SourceError: the database is empty, an argument is out of range, or a statement failed.
    """
    if events < 0 or (rate is not None and rate <= 0):
        raise SourceError("The number of events must not be negative, and the rate per second must be above 0.")
    if DVD_RENTAL_TABLES.are_missing(url) or not any(DVD_RENTAL_TABLES.row_counts(url).values()):
        raise SourceError("The source is empty. Fill it with `dvd-rental source generate`.")
    report = on_progress or (lambda _: None)
    stop = stop or threading.Event()
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            simulation = _Simulation(connection, random.Random(seed), events)
            if rate is None:
                # Waiting for the disk at each commit would take most of the time.
                connection.execute("set synchronous_commit = off")
            started = time.monotonic()
            for number in range(events):
                wait = 0.0 if rate is None else started + number / rate - time.monotonic()
                if stop.wait(wait) if wait > 0 else stop.is_set():
                    break
                simulation.execute_event()
                if (number + 1) % _PROGRESS_EVENTS == 0:
                    report(f"Simulating: {number + 1:,} of {events:,} events")
            # This commit waits for the disk, so the earlier ones are durable too: logical decoding requires it.
            connection.execute("set synchronous_commit = on")
            connection.execute("select pg_current_xact_id()")
    except psycopg.Error as error:
        raise SourceError(f"The simulation failed in the source database: {error}") from error
    return dict(sorted(simulation.counts.items()))


class _Simulation:
    def __init__(self, connection: psycopg.Connection, rng: random.Random, events: int) -> None:
        self._connection = connection
        self._rng = rng
        self._session = TrafficSession(connection, rng)
        kinds = list(WEIGHTS)
        rng.shuffle(kinds)
        # Kinds that do not apply yet (no deleted rows to restore) are tried again after the others.
        self._outstanding = deque(kinds * 3 if events >= len(kinds) else [])
        self.counts: Counter[str] = Counter()

    def execute_event(self) -> None:
        """Execute one event.

        Raises:
            SourceError: the data contain no suitable row for any event tried.
        """
        for _ in range(_MAX_ATTEMPTS):
            event = self._next_kind()
            try:
                with self._connection.transaction():
                    event(self._session)
            except (NoSuitableRowError, *_CONFLICTS):
                # Rolled back; another event is tried.
                continue
            self.counts[event.__name__] += 1
            return
        raise SourceError(
            "The source has too few rows for the simulation. Generate more with `dvd-rental source generate`."
        )

    def _next_kind(self) -> Event:
        while self._outstanding:
            event = self._outstanding.popleft()
            if event.__name__ not in self.counts:
                return event
        return self._rng.choices(list(WEIGHTS), weights=list(WEIGHTS.values()))[0]
