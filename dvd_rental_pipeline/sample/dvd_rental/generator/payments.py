"""The payments of the rentals: at the counter, on return, much later, in parts, or not at all."""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from dvd_rental_pipeline.sample.dvd_rental.generator.clock import DAY, MINUTE, NEVER, SECOND, Micros, micros
from dvd_rental_pipeline.sample.dvd_rental.generator.reference_data import ReferenceData
from dvd_rental_pipeline.sample.dvd_rental.generator.rentals import Rentals

_AT_COUNTER, _ON_RETURN, _MUCH_LATER, _UNPAID = range(4)
_TIMING_PROBABILITIES = [0.22, 0.54, 0.10, 0.14]
_FEE_PAID_SHARE = 0.6  # late fees paid, of rentals paid at the counter
_ZERO_AMOUNT_SHARE = 0.0016
_IN_PARTS_SHARE = 0.003
_OTHER_PAYER_SHARE = 0.0005
_MAX_OTHER_PAYERS = 4
_LOST_AFTER = 45 * DAY
_LOST_PAID_SHARE = 0.4
_LATE_FEE_CENTS = 100  # per started day
_MAX_FEE_DAYS = 20


@dataclass(frozen=True)
class Payments:
    """Payments. `customer` is an index; rental and staff are keys."""

    customer: NDArray[np.int64]
    staff_id: NDArray[np.int64]
    rental_id: NDArray[np.int64]
    cents: NDArray[np.int64]
    paid: Micros

    @classmethod
    def join(cls, parts: "list[Payments]") -> Self:
        return cls(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)})

    def take(self, selection: NDArray[np.int64] | NDArray[np.bool_]) -> "Payments":
        return Payments(**{f.name: getattr(self, f.name)[selection] for f in fields(self)})

    @property
    def count(self) -> int:
        return len(self.paid)


class PaymentHistory:
    """Converts chunks of rentals to payments in the order of their dates, buffering later ones."""

    def __init__(self, reference: ReferenceData) -> None:
        self._reference = reference
        plan = reference.plan
        self._rng = plan.rng("payments")
        self._until = micros(plan.until)
        self._pending: list[Payments] = []
        # At every scale, one rental has five payments, four of them by other customers.
        self._five_times_paid = plan.rentals // 3 + 1

    def pay(self, rentals: Rentals) -> Payments:
        """Return the payments made before the last of `rentals`."""
        self._pending.extend(self._payments_of(rentals))
        return self._release(int(rentals.rented[-1]))

    def finish(self) -> Payments:
        """Return the remaining payments up to the end of the history."""
        return self._release(self._until)

    def _release(self, before: int) -> Payments:
        pending = Payments.join(self._pending)
        due = pending.paid < before
        self._pending = [pending.take(~due & (pending.paid < self._until))]
        released = pending.take(due)
        return released.take(np.argsort(released.paid, kind="stable"))

    def _payments_of(self, rentals: Rentals) -> list[Payments]:
        rng, count = self._rng, len(rentals.rented)
        film = self._reference.stock.film[rentals.copy]
        rate = self._reference.films.rate[film]
        is_returned = rentals.returned != NEVER
        duration = np.where(is_returned, rentals.returned, rentals.rented) - rentals.rented
        late_days = np.clip(-(-(duration - self._reference.films.days[film] * DAY) // DAY), 0, _MAX_FEE_DAYS)
        fee = late_days * _LATE_FEE_CENTS
        timing = rng.choice(len(_TIMING_PROBABILITIES), size=count, p=_TIMING_PROBABILITIES)
        timing[rentals.rental_id == self._five_times_paid] = _AT_COUNTER

        at_counter = timing == _AT_COUNTER
        paid = np.select(
            [at_counter, timing == _ON_RETURN],
            [rentals.rented + self._minutes(count), rentals.returned],
            np.where(is_returned, rentals.returned, NEVER - 400 * DAY)
            + rng.integers(20 * DAY, 200 * DAY, count),
        )
        cents = np.where(at_counter, rate, rate + fee)
        cents[rng.random(count) < _ZERO_AMOUNT_SHARE] = 0
        main = Payments(rentals.customer, rentals.staff_id, rentals.rental_id, cents, paid)
        is_paid = at_counter | ((timing != _UNPAID) & is_returned)

        in_parts = is_paid & (cents > 100) & (rng.random(count) < _IN_PARTS_SHARE)
        rest = np.where(in_parts, cents // 2, 0)
        second = Payments(
            main.customer, main.staff_id, main.rental_id, rest, paid + rng.integers(DAY, 9 * DAY, count)
        )
        main = Payments(main.customer, main.staff_id, main.rental_id, cents - rest, paid)

        fee_paid = at_counter & is_returned & (fee > 0) & (rng.random(count) < _FEE_PAID_SHARE)
        fees = Payments(main.customer, main.staff_id, main.rental_id, fee, rentals.returned)

        lost = (
            ~is_returned & (rentals.rented < self._until - _LOST_AFTER) & (rng.random(count) < _LOST_PAID_SHARE)
        )
        replacement = Payments(
            main.customer,
            main.staff_id,
            main.rental_id,
            self._reference.films.replacement_cost[film],
            rentals.rented + rng.integers(30 * DAY, 60 * DAY, count),
        )
        payments = [main.take(is_paid), second.take(in_parts), fees.take(fee_paid), replacement.take(lost)]
        return [self._delayed(part) for part in [*payments, self._by_other_customers(rentals, rate)]]

    def _by_other_customers(self, rentals: Rentals, rate: NDArray[np.int64]) -> Payments:
        """Return payments by customers other than the one who rented."""
        rng, count = self._rng, len(rentals.rented)
        five_times_paid = rentals.rental_id == self._five_times_paid
        times = np.where(
            rng.random(count) < _OTHER_PAYER_SHARE, rng.integers(1, _MAX_OTHER_PAYERS + 1, count), 0
        )
        times[five_times_paid] = _MAX_OTHER_PAYERS
        repeated = np.repeat(np.arange(count), times)
        rented = rentals.rented[repeated]
        day = (rented - micros(self._reference.plan.start)) // DAY
        joined = np.searchsorted(self._reference.customers.joins, day, side="right")
        payer = (rng.random(len(repeated)) * joined).astype(np.int64)
        own = payer == rentals.customer[repeated]
        payer[own] = (payer[own] + 1) % joined[own]
        payments = Payments(
            payer,
            rentals.staff_id[repeated],
            rentals.rental_id[repeated],
            rate[repeated],
            rented + rng.integers(1, 10 * DAY, len(repeated)),
        )
        return payments.take((payer != rentals.customer[repeated]) & (payments.paid < self._until))

    def _minutes(self, count: int) -> Micros:
        return self._rng.integers(1, 10 * MINUTE, count)

    def _delayed(self, payments: Payments) -> Payments:
        """Return the payments up to five minutes later, with microseconds."""
        paid = payments.paid + self._rng.integers(SECOND, 5 * MINUTE, payments.count)
        return Payments(payments.customer, payments.staff_id, payments.rental_id, payments.cents, paid)
