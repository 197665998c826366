"""Everything that is there before the first rental: the plan, the films, their copies, the customers."""

from dataclasses import dataclass
from typing import Self

from dvd_rental_pipeline.sample.dvd_rental.generator.films import Films, Stock, make_films, make_stock
from dvd_rental_pipeline.sample.dvd_rental.generator.people import Customers, make_customers
from dvd_rental_pipeline.sample.dvd_rental.generator.plan import Plan


@dataclass(frozen=True)
class Business:
    """What the history of rentals and payments is drawn from."""

    plan: Plan
    films: Films
    stock: Stock
    customers: Customers

    @classmethod
    def make(cls, plan: Plan) -> Self:
        """The business of a plan. Its stores divide the copies and the customers among them, unevenly."""
        shares = 1.0 + 0.5 * plan.rng("stores").random(plan.stores)
        shares /= shares.sum()
        films = make_films(plan)
        return cls(plan, films, make_stock(plan, films, shares), make_customers(plan, shares))
