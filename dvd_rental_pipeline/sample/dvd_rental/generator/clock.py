"""Points in time as whole numbers: microseconds since 2000-01-01, which is also how PostgreSQL stores them."""

from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

Micros = NDArray[np.int64]

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

NEVER = np.iinfo(np.int64).max
"""Stands for null."""

_EPOCH = datetime(2000, 1, 1)  # without time zone, as the schema is


def micros(moment: datetime) -> int:
    """`moment`, which has no time zone, as microseconds."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def moment(micros: int) -> datetime:
    """The inverse of `micros`."""
    return _EPOCH + timedelta(microseconds=int(micros))
