"""The history of rentals, day by day, in chunks of bounded size.

A copy is rented at most once per day, and not before the day after its return, so that all rentals of a day can
be drawn at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from dvd_rental_pipeline.sample.dvd_rental.generator.clock import DAY, HOUR, MINUTE, NEVER, Micros, micros
from dvd_rental_pipeline.sample.dvd_rental.generator.reference_data import ReferenceData
from dvd_rental_pipeline.sample.dvd_rental.generator.sampling import draw_weighted
from dvd_rental_pipeline.sample.dvd_rental.generator.seasons import rentals_by_day, times_of_day

_CHUNK_ROWS = 50_000
_NEVER_RETURNED_SHARE = 0.003
_HOME_STORE_SHARE = 0.5  # rentals from the customer's home store
_OWN_STAFF_SHARE = 0.7  # rentals handled by staff of the copy's store
_MAX_DELAY_DAYS = 25
_MAX_DRAWS_PER_DAY = 8


@dataclass(frozen=True)
class Rentals:
    """Rentals in the order of their dates. Customer and copy are indices; staff_id is a key.

    `returned` is NEVER while the copy is rented, and for lost copies.
    """

    rental_id: NDArray[np.int64]
    rented: Micros
    returned: Micros
    copy: NDArray[np.int64]
    customer: NDArray[np.int64]
    staff_id: NDArray[np.int64]


def rental_history(reference: ReferenceData) -> Iterator[Rentals]:
    """Yield the history in chunks of whole days, of about 50 thousand rentals each."""
    days = _DailyRentals(reference)
    chunk: list[Rentals] = []
    rows = 0
    for day, count in enumerate(rentals_by_day(reference.plan)):
        rented = days.rent(day, int(count))
        chunk.append(rented)
        rows += len(rented.rented)
        if rows >= _CHUNK_ROWS:
            yield _join(chunk)
            chunk, rows = [], 0
    if rows:
        yield _join(chunk)


class _DailyRentals:
    """Draws the rentals of consecutive days; tracks when each copy is available."""

    def __init__(self, reference: ReferenceData) -> None:
        self._reference = reference
        plan, stock, customers = reference.plan, reference.stock, reference.customers
        self._rng = plan.rng("rentals")
        self._start, self._until = micros(plan.start), micros(plan.until)
        self._demand = np.cumsum(stock.demand)
        self._available_from = np.zeros(stock.count, dtype=np.int64)
        self._by_store = np.argsort(customers.store, kind="stable")
        self._store_ends = np.searchsorted(
            customers.store[self._by_store], np.arange(plan.stores), side="right"
        )
        self._next_id = 1
        self._carried_over = 0

    def rent(self, day: int, count: int) -> Rentals:
        # Rentals that a day lacks copies for are carried over to the next.
        copy = self._draw_copies(day, count + self._carried_over)
        self._carried_over += count - len(copy)
        count = len(copy)
        rented = self._start + day * DAY + times_of_day(self._reference.plan, self._rng, day, count)
        customer = self._draw_customers(day, self._reference.stock.store[copy])
        returned = self._return(rented, copy, customer)
        self._available_from[copy] = returned
        first, self._next_id = self._next_id, self._next_id + count
        return Rentals(
            rental_id=np.arange(first, first + count),
            rented=rented,
            returned=np.where(returned <= self._until, returned, NEVER),
            copy=copy,
            customer=customer,
            staff_id=self._draw_staff(self._reference.stock.store[copy]),
        )

    def _draw_copies(self, day: int, count: int) -> NDArray[np.int64]:
        midnight = self._start + day * DAY
        picked = np.empty(0, dtype=np.int64)
        for _ in range(_MAX_DRAWS_PER_DAY):
            missing = count - len(picked)
            if missing == 0:
                break
            tries = missing + missing // 4 + 2
            drawn = draw_weighted(self._rng, self._demand, np.zeros(tries), np.full(tries, self._demand[-1]))
            drawn = np.concatenate([picked, drawn[self._available_from[drawn] <= midnight]])
            _, first_seen = np.unique(drawn, return_index=True)
            picked = drawn[np.sort(first_seen)][:count]
        return picked

    def _draw_customers(self, day: int, store: NDArray[np.int64]) -> NDArray[np.int64]:
        is_customer = (self._reference.customers.joins <= day) & (day < self._reference.customers.leaves)
        appetite = np.cumsum(np.where(is_customer, self._reference.customers.appetite, 0.0)[self._by_store])
        ends = np.concatenate([[0.0], appetite])[np.concatenate([[0], self._store_ends])]
        low, high = ends[store], ends[store + 1]
        elsewhere = (self._rng.random(len(store)) >= _HOME_STORE_SHARE) | (low >= high)
        drawn = draw_weighted(
            self._rng, appetite, np.where(elsewhere, 0.0, low), np.where(elsewhere, appetite[-1], high)
        )
        return self._by_store[drawn]

    def _draw_staff(self, store: NDArray[np.int64]) -> NDArray[np.int64]:
        stores, per_store = self._reference.plan.stores, self._reference.plan.staff_per_store
        other_store = self._rng.random(len(store)) >= _OWN_STAFF_SHARE
        staff_store = np.where(other_store, self._rng.integers(0, stores, len(store)), store)
        return self._rng.integers(0, per_store, len(store)) * stores + staff_store + 1

    def _return(self, rented: Micros, copy: NDArray[np.int64], customer: NDArray[np.int64]) -> Micros:
        rng, count = self._rng, len(copy)
        allowed = self._reference.films.days[self._reference.stock.film[copy]] * DAY
        late = rng.random(count) < self._reference.customers.tardiness[customer]
        in_time = (allowed * rng.uniform(0.2, 1.0, count)).astype(np.int64)
        delay = np.minimum(rng.exponential(2.2, count), _MAX_DELAY_DAYS) * DAY + HOUR
        duration = np.where(late, allowed + delay.astype(np.int64), in_time) // MINUTE * MINUTE
        lost = rng.random(count) < _NEVER_RETURNED_SHARE
        return np.where(lost, NEVER, rented + duration)


def _join(parts: list[Rentals]) -> Rentals:
    return Rentals(
        **{
            field.name: np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(Rentals)
        }
    )
