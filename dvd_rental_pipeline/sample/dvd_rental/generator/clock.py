"""Timestamps as microseconds since 2000-01-01, as PostgreSQL stores them."""

from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

Micros = NDArray[np.int64]

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

NEVER = np.iinfo(np.int64).max
"""Represents null."""

_EPOCH = datetime(2000, 1, 1)  # without time zone, as the schema is


def micros(timestamp: datetime) -> int:
    """Convert a timestamp without time zone to microseconds."""
    return (timestamp - _EPOCH) // timedelta(microseconds=1)
