"""The data that rentals and payments refer to: films, copies, customers."""

from dataclasses import dataclass
from typing import Self

from dvd_rental_pipeline.sample.dvd_rental.generator.films import Films, Stock, make_films, make_stock
from dvd_rental_pipeline.sample.dvd_rental.generator.people import Customers, make_customers
from dvd_rental_pipeline.sample.dvd_rental.generator.plan import SamplePlan


@dataclass(frozen=True)
class ReferenceData:
    """The plan of the sample data, and the data from which rentals and payments are drawn."""

    plan: SamplePlan
    films: Films
    stock: Stock
    customers: Customers

    @classmethod
    def make(cls, plan: SamplePlan) -> Self:
        """Generate the data of a plan. Copies and customers are distributed unevenly among the stores."""
        shares = 1.0 + 0.5 * plan.rng("stores").random(plan.stores)
        shares /= shares.sum()
        films = make_films(plan)
        return cls(plan, films, make_stock(plan, films, shares), make_customers(plan, shares))
