"""What is paid for the rentals, when and by whom: at once, on return, much later, in parts, or not at all."""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from dvd_rental_pipeline.sample.dvd_rental.generator.business import Business
from dvd_rental_pipeline.sample.dvd_rental.generator.clock import DAY, MINUTE, NEVER, SECOND, Micros, micros
from dvd_rental_pipeline.sample.dvd_rental.generator.rentals import Rentals

_AT_COUNTER, _ON_RETURN, _MUCH_LATER, _UNPAID = range(4)
_WAYS = [0.22, 0.54, 0.10, 0.14]
_FEE_PAID_SHARE = 0.6  # of the late fees of those who had paid the rental at the counter
_FREE_SHARE = 0.0016
_IN_PARTS_SHARE = 0.003
_BY_OTHERS_SHARE = 0.0005
_MOST_OTHERS = 4
_LOST_AFTER = 45 * DAY
_LOST_PAID_SHARE = 0.4
_LATE_FEE_CENTS = 100  # for each day begun
_MOST_FEE_DAYS = 20


@dataclass(frozen=True)
class Payments:
    """Payments; customer by index, rental and staff by key."""

    customer: NDArray[np.int64]
    staff_id: NDArray[np.int64]
    rental_id: NDArray[np.int64]
    cents: NDArray[np.int64]
    paid: Micros

    @classmethod
    def join(cls, parts: "list[Payments]") -> Self:
        return cls(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)})

    def take(self, which: NDArray[np.int64] | NDArray[np.bool_]) -> "Payments":
        return Payments(**{f.name: getattr(self, f.name)[which] for f in fields(self)})

    @property
    def count(self) -> int:
        return len(self.paid)


class PaymentHistory:
    """Turns chunks of rentals into payments in the order of their dates, holding back those yet to come."""

    def __init__(self, business: Business) -> None:
        self._business = business
        plan = business.plan
        self._rng = plan.rng("payments")
        self._until = micros(plan.until)
        self._waiting: list[Payments] = []
        # One rental is paid five times, four of them by others, at every scale.
        self._disputed = plan.rentals // 3 + 1

    def pay(self, rentals: Rentals) -> Payments:
        """The payments made before the last of `rentals`."""
        self._waiting.extend(self._payments_of(rentals))
        return self._release(int(rentals.rented[-1]))

    def finish(self) -> Payments:
        """The payments made after that, up to the end of the history."""
        return self._release(self._until)

    def _release(self, before: int) -> Payments:
        waiting = Payments.join(self._waiting)
        due = waiting.paid < before
        self._waiting = [waiting.take(~due & (waiting.paid < self._until))]
        released = waiting.take(due)
        return released.take(np.argsort(released.paid, kind="stable"))

    def _payments_of(self, rentals: Rentals) -> list[Payments]:
        rng, count = self._rng, len(rentals.rented)
        film = self._business.stock.film[rentals.copy]
        rate = self._business.films.rate[film]
        back = rentals.returned != NEVER
        out = np.where(back, rentals.returned, rentals.rented) - rentals.rented
        late_days = np.clip(-(-(out - self._business.films.days[film] * DAY) // DAY), 0, _MOST_FEE_DAYS)
        fee = late_days * _LATE_FEE_CENTS
        way = rng.choice(len(_WAYS), size=count, p=_WAYS)
        way[rentals.rental_id == self._disputed] = _AT_COUNTER

        at_counter = way == _AT_COUNTER
        paid = np.select(
            [at_counter, way == _ON_RETURN],
            [rentals.rented + self._minutes(count), rentals.returned],
            np.where(back, rentals.returned, NEVER - 400 * DAY) + rng.integers(20 * DAY, 200 * DAY, count),
        )
        cents = np.where(at_counter, rate, rate + fee)
        cents[rng.random(count) < _FREE_SHARE] = 0
        main = Payments(rentals.customer, rentals.staff_id, rentals.rental_id, cents, paid)
        counts = at_counter | ((way != _UNPAID) & back)

        in_parts = counts & (cents > 100) & (rng.random(count) < _IN_PARTS_SHARE)
        rest = np.where(in_parts, cents // 2, 0)
        second = Payments(
            main.customer, main.staff_id, main.rental_id, rest, paid + rng.integers(DAY, 9 * DAY, count)
        )
        main = Payments(main.customer, main.staff_id, main.rental_id, cents - rest, paid)

        fee_paid = at_counter & back & (fee > 0) & (rng.random(count) < _FEE_PAID_SHARE)
        fees = Payments(main.customer, main.staff_id, main.rental_id, fee, rentals.returned)

        lost = ~back & (rentals.rented < self._until - _LOST_AFTER) & (rng.random(count) < _LOST_PAID_SHARE)
        replacement = Payments(
            main.customer,
            main.staff_id,
            main.rental_id,
            self._business.films.replacement_cost[film],
            rentals.rented + rng.integers(30 * DAY, 60 * DAY, count),
        )
        made = [main.take(counts), second.take(in_parts), fees.take(fee_paid), replacement.take(lost)]
        return [self._at_some_second(part) for part in [*made, self._by_others(rentals, rate)]]

    def _by_others(self, rentals: Rentals, rate: NDArray[np.int64]) -> Payments:
        """Payments of customers who are not the one who rented."""
        rng, count = self._rng, len(rentals.rented)
        disputed = rentals.rental_id == self._disputed
        times = np.where(rng.random(count) < _BY_OTHERS_SHARE, rng.integers(1, _MOST_OTHERS + 1, count), 0)
        times[disputed] = _MOST_OTHERS
        which = np.repeat(np.arange(count), times)
        rented = rentals.rented[which]
        day = (rented - micros(self._business.plan.start)) // DAY
        joined = np.searchsorted(self._business.customers.joins, day, side="right")
        payer = (rng.random(len(which)) * joined).astype(np.int64)
        own = payer == rentals.customer[which]
        payer[own] = (payer[own] + 1) % joined[own]
        payments = Payments(
            payer,
            rentals.staff_id[which],
            rentals.rental_id[which],
            rate[which],
            rented + rng.integers(1, 10 * DAY, len(which)),
        )
        return payments.take((payer != rentals.customer[which]) & (payments.paid < self._until))

    def _minutes(self, count: int) -> Micros:
        return self._rng.integers(1, 10 * MINUTE, count)

    def _at_some_second(self, payments: Payments) -> Payments:
        """The same, a few minutes later and to the microsecond, as the counter's clock records it."""
        moment = payments.paid + self._rng.integers(SECOND, 5 * MINUTE, payments.count)
        return Payments(payments.customer, payments.staff_id, payments.rental_id, payments.cents, moment)
