"""The history of rentals, day by day, in chunks of bounded size.

A copy is rented at most once a day, and not before the day after it came back. That is what lets a whole day be
drawn at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from dvd_rental_pipeline.sample.dvd_rental.generator.business import Business
from dvd_rental_pipeline.sample.dvd_rental.generator.chance import draw
from dvd_rental_pipeline.sample.dvd_rental.generator.clock import DAY, HOUR, MINUTE, NEVER, Micros, micros
from dvd_rental_pipeline.sample.dvd_rental.generator.seasons import rentals_by_day, times_of_day

_CHUNK_ROWS = 50_000
_NEVER_RETURNED_SHARE = 0.003
_AT_HOME_SHARE = 0.5  # of the customers' visits, in the store they belong to
_OWN_STAFF_SHARE = 0.7  # of the rentals, by staff of the copy's own store
_LONGEST_DELAY_DAYS = 25
_DRAWS_A_DAY = 8


@dataclass(frozen=True)
class Rentals:
    """Rentals in the order of their dates. Customer, copy, film by index; staff_id is a key.

    `returned` is NEVER while the copy is out, and stays so if it is lost.
    """

    rental_id: NDArray[np.int64]
    rented: Micros
    returned: Micros
    copy: NDArray[np.int64]
    customer: NDArray[np.int64]
    staff_id: NDArray[np.int64]


def rental_history(business: Business) -> Iterator[Rentals]:
    """The whole history, in chunks of about 50 thousand rentals of whole days."""
    days = _Days(business)
    chunk: list[Rentals] = []
    rows = 0
    for day, count in enumerate(rentals_by_day(business.plan)):
        rented = days.rent(day, int(count))
        chunk.append(rented)
        rows += len(rented.rented)
        if rows >= _CHUNK_ROWS:
            yield _join(chunk)
            chunk, rows = [], 0
    if rows:
        yield _join(chunk)


class _Days:
    """What is out and who is a customer, as the days go by."""

    def __init__(self, business: Business) -> None:
        self._business = business
        plan, stock, customers = business.plan, business.stock, business.customers
        self._rng = plan.rng("rentals")
        self._start, self._until = micros(plan.start), micros(plan.until)
        self._demand = np.cumsum(stock.demand)
        self._free_from = np.zeros(stock.count, dtype=np.int64)
        self._by_store = np.argsort(customers.store, kind="stable")
        self._store_ends = np.searchsorted(
            customers.store[self._by_store], np.arange(plan.stores), side="right"
        )
        self._next_id = 1
        self._owed = 0

    def rent(self, day: int, count: int) -> Rentals:
        # What a day could not satisfy, every copy being out, is rented on the next.
        copy = self._draw_copies(day, count + self._owed)
        self._owed += count - len(copy)
        count = len(copy)
        rented = self._start + day * DAY + times_of_day(self._business.plan, self._rng, day, count)
        customer = self._draw_customers(day, self._business.stock.store[copy])
        returned = self._return(rented, copy, customer)
        self._free_from[copy] = returned
        first, self._next_id = self._next_id, self._next_id + count
        return Rentals(
            rental_id=np.arange(first, first + count),
            rented=rented,
            returned=np.where(returned <= self._until, returned, NEVER),
            copy=copy,
            customer=customer,
            staff_id=self._draw_staff(self._business.stock.store[copy]),
        )

    def _draw_copies(self, day: int, count: int) -> NDArray[np.int64]:
        midnight = self._start + day * DAY
        picked = np.empty(0, dtype=np.int64)
        for _ in range(_DRAWS_A_DAY):
            missing = count - len(picked)
            if missing == 0:
                break
            tries = missing + missing // 4 + 2
            drawn = draw(self._rng, self._demand, np.zeros(tries), np.full(tries, self._demand[-1]))
            drawn = np.concatenate([picked, drawn[self._free_from[drawn] <= midnight]])
            _, first_seen = np.unique(drawn, return_index=True)
            picked = drawn[np.sort(first_seen)][:count]
        return picked

    def _draw_customers(self, day: int, store: NDArray[np.int64]) -> NDArray[np.int64]:
        there = (self._business.customers.joins <= day) & (day < self._business.customers.leaves)
        appetite = np.cumsum(np.where(there, self._business.customers.appetite, 0.0)[self._by_store])
        ends = np.concatenate([[0.0], appetite])[np.concatenate([[0], self._store_ends])]
        low, high = ends[store], ends[store + 1]
        elsewhere = (self._rng.random(len(store)) >= _AT_HOME_SHARE) | (low >= high)
        drawn = draw(
            self._rng, appetite, np.where(elsewhere, 0.0, low), np.where(elsewhere, appetite[-1], high)
        )
        return self._by_store[drawn]

    def _draw_staff(self, store: NDArray[np.int64]) -> NDArray[np.int64]:
        stores, per_store = self._business.plan.stores, self._business.plan.staff_per_store
        visiting = self._rng.random(len(store)) >= _OWN_STAFF_SHARE
        at = np.where(visiting, self._rng.integers(0, stores, len(store)), store)
        return self._rng.integers(0, per_store, len(store)) * stores + at + 1

    def _return(self, rented: Micros, copy: NDArray[np.int64], customer: NDArray[np.int64]) -> Micros:
        rng, count = self._rng, len(copy)
        allowed = self._business.films.days[self._business.stock.film[copy]] * DAY
        late = rng.random(count) < self._business.customers.tardiness[customer]
        in_time = (allowed * rng.uniform(0.2, 1.0, count)).astype(np.int64)
        delay = np.minimum(rng.exponential(2.2, count), _LONGEST_DELAY_DAYS) * DAY + HOUR
        out = np.where(late, allowed + delay.astype(np.int64), in_time) // MINUTE * MINUTE
        lost = rng.random(count) < _NEVER_RETURNED_SHARE
        return np.where(lost, NEVER, rented + out)


def _join(parts: list[Rentals]) -> Rentals:
    return Rentals(
        **{
            field.name: np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(Rentals)
        }
    )
