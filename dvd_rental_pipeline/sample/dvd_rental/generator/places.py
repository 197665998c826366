"""Countries, cities and addresses."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Any

from dvd_rental_pipeline.sample.dvd_rental.generator.plan import SamplePlan
from dvd_rental_pipeline.sample.dvd_rental.generator.sampling import random_mask
from dvd_rental_pipeline.sample.dvd_rental.generator.words import STREET_KINDS, STREETS


@dataclass(frozen=True)
class World:
    """The names of the countries, and of each country's cities. Keys number both from 1, in this order."""

    countries: tuple[str, ...]
    cities_of: tuple[tuple[str, ...], ...]

    @cached_property
    def cities(self) -> list[tuple[str, int]]:
        """The name of each city and the key of its country."""
        return [(city, key) for key, cities in enumerate(self.cities_of, start=1) for city in cities]


def read_world() -> World:
    """Read `places.csv`. Some cities have the same name as a city of another country."""
    text = (
        files("dvd_rental_pipeline.sample.dvd_rental.generator")
        .joinpath("places.csv")
        .read_text(encoding="utf-8")
    )
    rows = list(csv.DictReader(text.splitlines()))
    return World(tuple(row["country"] for row in rows), tuple(tuple(row["cities"].split(";")) for row in rows))


def addresses(plan: SamplePlan, world: World, count: int) -> Iterator[tuple[Any, ...]]:
    """Yield `count` rows of address_id, address, address2, district, city_id, postal_code, phone, last_update.

    Unknown values are empty strings, or null where the column allows it.
    """
    rng = plan.rng("addresses")
    city_keys = rng.integers(1, len(world.cities) + 1, count)
    numbers = rng.integers(1, 1999, count)
    streets = rng.integers(0, len(STREETS), count)
    kinds = rng.integers(0, len(STREET_KINDS), count)
    postal_codes = rng.integers(1000, 99_999, count)
    phones = rng.integers(10**9, 10**12, count)
    flats = rng.integers(1, 60, count)
    neighbours = rng.random(count)
    has_flat, no_second_line = random_mask(rng, count, 0.08), random_mask(rng, count, 0.01)
    no_district, empty_code, no_code, no_phone = (
        random_mask(rng, count, share) for share in (0.01, 0.01, 0.005, 0.01)
    )
    for i in range(count):
        country = world.cities_of[world.cities[city_keys[i] - 1][1] - 1]
        district = country[int(neighbours[i] * len(country))][:20]
        yield (
            i + 1,
            f"{numbers[i]} {STREETS[streets[i]]} {STREET_KINDS[kinds[i]]}",
            None if no_second_line[i] else f"Flat {flats[i]}" if has_flat[i] else "",
            "" if no_district[i] else district,
            int(city_keys[i]),
            None if no_code[i] else "" if empty_code[i] else f"{postal_codes[i]:05d}",
            "" if no_phone[i] else str(phones[i]),
            plan.start,
        )
