"""How much of everything there will be, over which years, and where its randomness comes from."""

import math
import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

import numpy as np

from dvd_rental_pipeline.sample.errors import SourceError

YEARS = 4
LARGEST_SCALE = 100_000  # rental_id is a four-byte integer

# References to customers, addresses, films and stores are two bytes wide (at most 32,767) in this schema. Room
# is left for the rows that the business adds later.
MOST_CUSTOMERS = 30_000
MOST_FILMS = 20_000
MOST_ACTORS = 4_000
MOST_STORES = 60


@dataclass(frozen=True)
class Plan:
    """The size of the business and its history from `start` (a midnight) to `until`.

    Scale 1 is about the original: 599 customers, 1,000 films, 4,581 copies, 16,044 rentals, 2 stores. Copies
    and rentals grow in proportion to the scale. Customers do until 30,000 (scale 50), after which each rents
    more often; films, actors and stores grow with its square root, up to 20,000, 4,000 and 60.
    """

    scale: float
    seed: int
    start: datetime
    until: datetime
    customers: int
    films: int
    actors: int
    stores: int
    staff_per_store: int
    copies: int
    rentals: int

    @classmethod
    def make(cls, scale: float, seed: int, until: datetime) -> Self:
        """
        Raises:
            SourceError: the scale or the seed is out of range.
        """
        if not 0 < scale <= LARGEST_SCALE:
            raise SourceError(f"The scale must be above 0 and at most {LARGEST_SCALE:,}, not {scale:g}.")
        if seed < 0:
            raise SourceError(f"The seed must be 0 or more, not {seed}.")
        root = min(scale, math.sqrt(scale))
        films = _within(60, round(1000 * root), MOST_FILMS)
        stores = _within(2, round(2 * root), MOST_STORES)
        midnight = until.replace(hour=0, minute=0, second=0, microsecond=0)
        return cls(
            scale=scale,
            seed=seed,
            start=midnight - timedelta(days=365 * YEARS),
            until=until,
            customers=_within(20, round(599 * scale), MOST_CUSTOMERS),
            films=films,
            actors=_within(40, round(200 * root), MOST_ACTORS),
            stores=stores,
            staff_per_store=1 if stores == 2 else 3,
            copies=max(round(4581 * scale), 3 * films),
            rentals=max(round(16_044 * scale), 300),
        )

    def rng(self, part: str) -> np.random.Generator:
        """The random numbers of one part; drawing more of them in one part leaves the others unchanged."""
        return np.random.default_rng([self.seed, zlib.crc32(part.encode())])


def _within(least: int, wanted: int, most: int) -> int:
    return min(max(wanted, least), most)
