"""Customers, staff and actors."""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvd_rental_pipeline.sample.dvd_rental.generator.plan import SamplePlan
from dvd_rental_pipeline.sample.dvd_rental.generator.sampling import power_law_weights, random_mask
from dvd_rental_pipeline.sample.dvd_rental.generator.words import FIRST_NAMES, LAST_NAMES

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Customers:
    """The customers by index (key minus one), in the order of registration.

    `joins` and `leaves` are days since the start of the history: the customer rents from `joins` to the day
    before `leaves`. `appetite` is the weight in draws, `tardiness` the probability of a late return.
    """

    store: NDArray[np.int64]
    joins: NDArray[np.int64]
    leaves: NDArray[np.int64]
    appetite: NDArray[np.float64]
    tardiness: NDArray[np.float64]
    inactive: NDArray[np.bool_]

    @property
    def count(self) -> int:
        return len(self.store)


def make_customers(plan: SamplePlan, store_shares: NDArray[np.float64]) -> Customers:
    """Generate customers: a quarter joins on the first day, the others later; some leave, some never rent."""
    rng = plan.rng("customers")
    count, days = plan.customers, (plan.until - plan.start).days
    joins_first_day = rng.random(count) < 0.25
    joins = np.sort(np.where(joins_first_day, 0, rng.integers(0, days, count)))
    stays = rng.random(count) < 0.55
    leaves = np.where(stays, days + 1, joins + 30 + rng.exponential(400, count).astype(np.int64))
    inactive = random_mask(rng, count, 0.025)
    leaves[inactive] = np.minimum(leaves[inactive], days - 30)
    appetite = power_law_weights(rng, count, 0.5)
    appetite[random_mask(rng, count, 0.01)] = 0.0
    # The first customer can rent on every day of the history.
    joins[0], leaves[0], appetite[0], inactive[0] = 0, days + 1, 1 / count, False
    return Customers(
        store=rng.choice(plan.stores, size=count, p=store_shares),
        joins=joins,
        leaves=leaves,
        appetite=appetite,
        tardiness=rng.beta(5, 5, count),
        inactive=inactive,
    )


def customer_rows(plan: SamplePlan, customers: Customers, first_address: int) -> Iterator[tuple[Any, ...]]:
    """Yield rows of customer_id, store_id, first_name, last_name, email, address_id, activebool, create_date,
    last_update, active. `activebool` is always true, as in the original; `active` is the flag in use.
    """
    rng = plan.rng("customer names")
    count = customers.count
    names = _names(rng, count)
    no_email, never_updated = random_mask(rng, count, 0.01), random_mask(rng, count, 0.01)
    for i, (first, last) in enumerate(names):
        created = plan.start.date() + timedelta(days=int(customers.joins[i]))
        yield (
            i + 1,
            int(customers.store[i]) + 1,
            first,
            last,
            None if no_email[i] else email(first, last, i + 1, "customer.example"),
            first_address + i,
            True,
            created,
            None
            if never_updated[i]
            else min(plan.start + timedelta(days=int(customers.joins[i]) + 1), plan.until),
            0 if customers.inactive[i] else 1,
        )


def staff_rows(plan: SamplePlan, first_address: int) -> Iterator[tuple[Any, ...]]:
    """Yield rows of staff_id, first_name, last_name, address_id, email, store_id, active, username, password,
    last_update, picture. Staff member N manages store N, as far as there are stores.
    """
    rng = plan.rng("staff")
    count = plan.stores * plan.staff_per_store
    pictured = random_mask(rng, count, 0.5)
    for i, (first, last) in enumerate(_names(rng, count)):
        yield (
            i + 1,
            first,
            last,
            first_address + i,
            email(first, last, i + 1, "staff.example"),
            i % plan.stores + 1,
            True,
            f"{ascii_letters(first)[:11]}{i + 1}",
            rng.bytes(20).hex(),
            plan.start,
            _PNG_SIGNATURE + rng.bytes(48) if pictured[i] else None,
        )


def actor_rows(plan: SamplePlan) -> Iterator[tuple[Any, ...]]:
    """Yield rows of actor_id, first_name, last_name, last_update. Two actors have the same name."""
    rng = plan.rng("actors")
    names = _names(rng, plan.actors)
    names[plan.actors // 2] = names[plan.actors // 3]
    for i, (first, last) in enumerate(names):
        yield i + 1, first, last, plan.start


def email(first: str, last: str, key: int, domain: str) -> str:
    """Return an address of at most 50 characters, in a domain reserved for examples."""
    return f"{ascii_letters(first)}.{ascii_letters(last)}.{key}"[: 49 - len(domain)].lower() + f"@{domain}"


def ascii_letters(name: str) -> str:
    """Return `name` without accents and without other characters outside ASCII."""
    return "".join(c for c in unicodedata.normalize("NFKD", name) if c.isascii() and c.isalpha())


def _names(rng: np.random.Generator, count: int) -> list[tuple[str, str]]:
    first = rng.integers(0, len(FIRST_NAMES), count)
    last = rng.integers(0, len(LAST_NAMES), count)
    return [(FIRST_NAMES[f], LAST_NAMES[s]) for f, s in zip(first, last, strict=True)]
