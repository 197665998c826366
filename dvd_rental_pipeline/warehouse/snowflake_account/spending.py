"""What the virtual warehouses are expected to spend in a month, and the limits that follow.

Snowflake charges each second that a warehouse runs, and at least 60 per start. It keeps running for 60 seconds
after its last statement. The smallest size costs one credit per hour.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

DAYS = 31
SYNCS_PER_DAY = 96
"""One every 15 minutes."""

_CREDITS_PER_SECOND = 1 / 3600
_IDLE_SECONDS = 60
# Above the expected spending: full refreshes, slow days.
_HEADROOM = 1.5


@dataclass(frozen=True)
class Workload:
    """How often a virtual warehouse starts in a day, and how many seconds its statements take each time."""

    warehouse: str
    starts: int
    seconds: int
    reason: str

    @property
    def credits(self) -> float:
        """Credits in a month."""
        return DAYS * self.starts * (self.seconds + _IDLE_SECONDS) * _CREDITS_PER_SECOND

    @property
    def limit(self) -> int:
        """The limit of the monitor, in whole credits."""
        return math.ceil(self.credits * _HEADROOM)

    def __str__(self) -> str:
        return (
            f"{self.warehouse}: {self.starts} starts per day of {self.seconds} s ({self.reason}) and "
            f"{_IDLE_SECONDS} s until it suspends, {DAYS} days, 1 credit per hour: "
            f"{self.credits:.0f} credits per month"
        )


def workloads(syncs_per_day: int = SYNCS_PER_DAY) -> Sequence[Workload]:
    """The workload of each virtual warehouse. A sync without changes starts no models, but it is checked."""
    return (
        Workload("LOADING", syncs_per_day, 60, "a sync"),
        Workload("TRANSFORMING", syncs_per_day, 120, "checks, and models if something changed"),
        Workload("REPORTING", 48, 60, "readers"),
    )


def default_credits(syncs_per_day: int = SYNCS_PER_DAY) -> Mapping[str, int]:
    """The monthly limit of each virtual warehouse."""
    return {workload.warehouse: workload.limit for workload in workloads(syncs_per_day)}
