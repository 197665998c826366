"""The distribution of rentals over time: yearly growth, season, day of the week, hour."""

from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from dvd_rental_pipeline.sample.dvd_rental.generator.clock import HOUR, Micros
from dvd_rental_pipeline.sample.dvd_rental.generator.plan import SamplePlan

_YEARLY_GROWTH = 0.14
_BY_WEEKDAY = np.array([0.78, 0.76, 0.84, 0.92, 1.30, 1.52, 1.12])  # from Monday

# The stores are open from eight to midnight; most customers come in the evening, at weekends from noon.
_BY_HOUR = np.array([0] * 8 + [1, 2, 3, 4, 5, 4, 4, 5, 7, 10, 12, 12, 10, 7, 4, 2], dtype=np.float64)
_BY_HOUR_AT_WEEKENDS = np.array([0] * 8 + [1, 3, 5, 7, 8, 8, 8, 8, 9, 10, 11, 10, 8, 6, 4, 2], dtype=np.float64)


def rentals_by_day(plan: SamplePlan) -> NDArray[np.int64]:
    """Return the number of rentals per day, `plan.rentals` in total; the last day ends at `plan.until`."""
    rng = plan.rng("seasons")
    days = np.arange((plan.until - plan.start).days + 1)
    first = plan.start.timetuple().tm_yday
    year = 2 * np.pi * (first + days) / 365.25
    weights = (
        (1 + _YEARLY_GROWTH) ** (days / 365)
        * (1 + 0.20 * np.cos(year) + 0.08 * np.cos(2 * year))  # more in winter, less in summer
        * _BY_WEEKDAY[(plan.start.weekday() + days) % 7]
        * rng.lognormal(0, 0.08, len(days))
    )
    weights[-1] *= _share_of_day(plan, len(days) - 1)
    counts: NDArray[np.int64] = rng.multinomial(plan.rentals, weights / weights.sum())
    # At least one rental on the last whole day, at any scale.
    if counts[-2] == 0:
        counts[np.argmax(counts)] -= 1
        counts[-2] = 1
    return counts


def times_of_day(plan: SamplePlan, rng: np.random.Generator, day: int, count: int) -> Micros:
    """Return `count` ascending times of a day, as microseconds after midnight in whole seconds."""
    hours = _hours(plan, day)
    cumulative = np.concatenate([[0.0], np.cumsum(hours) / hours.sum()])
    last_day = (plan.until - plan.start).days
    share = rng.random(count) * (_share_of_day(plan, day) if day == last_day else 1.0)
    seconds = np.interp(share, cumulative, np.arange(25) * 3600.0).astype(np.int64)
    return np.sort(seconds) * (HOUR // 3600)


def _share_of_day(plan: SamplePlan, day: int) -> float:
    """Return the share of a day's rentals before the time of day of `plan.until`."""
    hours = _hours(plan, day)
    passed = (plan.until - plan.start) % timedelta(days=1)
    cumulative = np.concatenate([[0.0], np.cumsum(hours) / hours.sum()])
    return float(np.interp(passed / timedelta(hours=1), np.arange(25), cumulative))


def _hours(plan: SamplePlan, day: int) -> NDArray[np.float64]:
    weekday = (plan.start.weekday() + day) % 7
    return _BY_HOUR_AT_WEEKENDS if weekday >= 5 else _BY_HOUR
