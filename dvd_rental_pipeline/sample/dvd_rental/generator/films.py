"""Films, their categories and actors, and the copies in the stores."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvd_rental_pipeline.sample.dvd_rental.generator.plan import SamplePlan
from dvd_rental_pipeline.sample.dvd_rental.generator.sampling import power_law_weights, random_mask
from dvd_rental_pipeline.sample.dvd_rental.generator.words import (
    CATEGORIES,
    DEEDS,
    HEROES,
    LANGUAGES,
    PLACES,
    SPECIAL_FEATURES,
    STORIES,
    TITLE_ENDINGS,
    TITLE_OPENINGS,
    TONES,
)

_RATES = np.array([99, 299, 499])
_RATINGS = ("G", "PG", "PG-13", "R", "NC-17")
_UNSTOCKED_SHARE = 0.042
_FILMS_WITHOUT_ACTORS = 3


@dataclass(frozen=True)
class Films:
    """The films by index (key minus one). Prices are in cents; `days` is the rental duration."""

    rate: NDArray[np.int64]
    replacement_cost: NDArray[np.int64]
    days: NDArray[np.int64]
    popularity: NDArray[np.float64]

    @property
    def count(self) -> int:
        return len(self.rate)


@dataclass(frozen=True)
class Stock:
    """The copies by index (key minus one): film and store by index, and the weight of each in draws."""

    film: NDArray[np.int64]
    store: NDArray[np.int64]
    demand: NDArray[np.float64]

    @property
    def count(self) -> int:
        return len(self.film)


def make_films(plan: SamplePlan) -> Films:
    """Generate prices, rental durations and popularity of `plan.films` films."""
    rng = plan.rng("films")
    return Films(
        rate=rng.choice(_RATES, plan.films),
        replacement_cost=100 * rng.integers(9, 30, plan.films) + 99,
        days=rng.integers(3, 8, plan.films),
        popularity=power_law_weights(rng, plan.films, 0.7),
    )


def make_stock(plan: SamplePlan, films: Films, store_shares: NDArray[np.float64]) -> Stock:
    """Generate copies of all but a few films, more of popular films, distributed among the stores."""
    rng = plan.rng("stock")
    stocked = np.flatnonzero(~random_mask(rng, films.count, _UNSTOCKED_SHARE))
    weights = np.sqrt(films.popularity[stocked])
    # One copy of every stocked film; the remaining copies by popularity.
    extra = rng.choice(len(stocked), size=plan.copies - len(stocked), p=weights / weights.sum())
    film = np.sort(np.concatenate([stocked, stocked[extra]]))
    store = rng.choice(plan.stores, size=len(film), p=store_shares)
    copies = np.bincount(film, minlength=films.count)
    return Stock(film=film, store=store, demand=films.popularity[film] / copies[film])


def film_rows(plan: SamplePlan, films: Films) -> Iterator[tuple[Any, ...]]:
    """Rows of film_id, title, description, release_year, language_id, rental_duration, rental_rate, length,
    replacement_cost, rating, last_update, special_features. Titles are unique.
    """
    rng = plan.rng("film texts")
    count = films.count
    titles = rng.choice(len(TITLE_OPENINGS) * len(TITLE_ENDINGS), size=count, replace=False)
    years = plan.until.year - np.minimum(rng.exponential(14, count).astype(np.int64), 70)
    foreign = rng.random(count) < 0.3
    languages = np.where(foreign, rng.integers(2, len(LANGUAGES) + 1, count), 1)
    lengths = np.clip(rng.normal(114, 32, count), 46, 185).astype(np.int64)
    ratings = rng.choice(len(_RATINGS), count, p=[0.18, 0.19, 0.23, 0.2, 0.2])
    features = rng.integers(1, 2 ** len(SPECIAL_FEATURES), count)
    words = [rng.integers(0, len(list_), count) for list_ in (TONES, STORIES, HEROES, DEEDS, PLACES)]
    for i in range(count):
        opening, ending = divmod(int(titles[i]), len(TITLE_ENDINGS))
        tone, story, hero, deed, place = (int(word[i]) for word in words)
        yield (
            i + 1,
            f"{TITLE_OPENINGS[opening]} {TITLE_ENDINGS[ending]}",
            f"A {TONES[tone]} {STORIES[story]} in which {HEROES[hero]} {DEEDS[deed]}, set in {PLACES[place]}",
            int(years[i]),
            int(languages[i]),
            int(films.days[i]),
            dollars(int(films.rate[i])),
            int(lengths[i]),
            dollars(int(films.replacement_cost[i])),
            _RATINGS[ratings[i]],
            plan.start,
            [name for bit, name in enumerate(SPECIAL_FEATURES) if features[i] >> bit & 1],
        )


def film_category_rows(plan: SamplePlan) -> Iterator[tuple[Any, ...]]:
    """Yield rows of film_id, category_id, last_update: one category per film, with unequal frequencies."""
    rng = plan.rng("categories")
    for film, category in enumerate(
        rng.choice(len(CATEGORIES), plan.films, p=power_law_weights(rng, len(CATEGORIES), 0.4)), start=1
    ):
        yield film, int(category) + 1, plan.start


def film_actor_rows(plan: SamplePlan) -> Iterator[tuple[Any, ...]]:
    """Yield rows of actor_id, film_id, last_update: about five actors per film, three films without any."""
    rng = plan.rng("casts")
    sizes = np.clip(rng.poisson(5.5, plan.films), 1, 15)
    sizes[rng.choice(plan.films, _FILMS_WITHOUT_ACTORS, replace=False)] = 0
    fame = np.cumsum(power_law_weights(rng, plan.actors, 0.3))
    for film, size in enumerate(sizes, start=1):
        cast = np.minimum(np.searchsorted(fame, rng.random(size)), plan.actors - 1) + 1
        for actor in np.unique(cast):
            yield int(actor), film, plan.start


def dollars(cents: int) -> str:
    """Format an amount for PostgreSQL: 99 is '0.99'."""
    return f"{cents // 100}.{cents % 100:02d}"
