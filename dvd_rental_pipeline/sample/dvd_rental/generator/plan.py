"""The size of the sample data, the period of their history, and their random numbers."""

import math
import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

import numpy as np

from dvd_rental_pipeline.sample.errors import SourceError

YEARS = 4
MAX_SCALE = 100_000  # rental_id is an integer

# References to customers, addresses, films and stores are smallint (at most 32,767) in this schema; the rest is
# for rows that the simulator adds.
MAX_CUSTOMERS = 30_000
MAX_FILMS = 20_000
MAX_ACTORS = 4_000
MAX_STORES = 60


@dataclass(frozen=True)
class SamplePlan:
    """Row counts, and the period from `start` (a midnight) to `until`.

    Scale 1 is about the size of the original: 599 customers, 1,000 films, 4,581 copies, 16,044 rentals, 2
    stores. Copies and rentals are proportional to the scale. So are customers up to 30,000 (scale 50), beyond
    which each rents more often. Films, actors and stores grow with its square root, up to 20,000, 4,000 and 60.
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
        """Compute the plan of a scale.

        Raises:
            SourceError: the scale or the seed is out of range.
        """
        if not 0 < scale <= MAX_SCALE:
            raise SourceError(f"The scale must be above 0 and at most {MAX_SCALE:,}, not {scale:g}.")
        if seed < 0:
            raise SourceError(f"The seed must be 0 or more, not {seed}.")
        root = min(scale, math.sqrt(scale))
        films = _clamp(60, round(1000 * root), MAX_FILMS)
        stores = _clamp(2, round(2 * root), MAX_STORES)
        midnight = until.replace(hour=0, minute=0, second=0, microsecond=0)
        return cls(
            scale=scale,
            seed=seed,
            start=midnight - timedelta(days=365 * YEARS),
            until=until,
            customers=_clamp(20, round(599 * scale), MAX_CUSTOMERS),
            films=films,
            actors=_clamp(40, round(200 * root), MAX_ACTORS),
            stores=stores,
            staff_per_store=1 if stores == 2 else 3,
            copies=max(round(4581 * scale), 3 * films),
            rentals=max(round(16_044 * scale), 300),
        )

    def rng(self, part: str) -> np.random.Generator:
        """Return a generator for one part of the data, independent of the number of draws in other parts."""
        return np.random.default_rng([self.seed, zlib.crc32(part.encode())])


def _clamp(minimum: int, value: int, maximum: int) -> int:
    return min(max(value, minimum), maximum)
