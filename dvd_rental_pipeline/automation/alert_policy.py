"""When trouble is worth a word, and when it is over: people are told of each change once, and no more often.

Knows neither Dagster nor alerts: a state, an observation and the time give the next state and what to tell.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum


class Tell(Enum):
    """What people should hear of."""

    TROUBLE = "trouble"
    RESOLVED = "resolved"


@dataclass(frozen=True)
class Damping:
    """How long a subject must be in trouble, or well again, without a break before anyone is told."""

    patience: timedelta
    calm: timedelta


@dataclass(frozen=True)
class Subject:
    """What is known of one subject of alerts.

    `told` says whether people believe it to be in trouble, `troubled` whether it was when last looked at, and
    `since` since when, in seconds since 1970.
    """

    told: bool = False
    troubled: bool = False
    since: float = 0.0

    @property
    def is_worth_keeping(self) -> bool:
        """False for a subject that is well and of which nobody believes anything else."""
        return self.told or self.troubled

    def observed(self, troubled: bool, now: float) -> "Subject":
        """The state after a look at `now`."""
        return self if troubled == self.troubled else Subject(self.told, troubled, now)

    def due(self, damping: Damping, now: float) -> Tell | None:
        """What there is to tell at `now`."""
        if self.troubled == self.told:
            return None
        wait = damping.patience if self.troubled else damping.calm
        if now - self.since < wait.total_seconds():
            return None
        return Tell.TROUBLE if self.troubled else Tell.RESOLVED

    def after_telling(self) -> "Subject":
        """The state once people have been told what was due."""
        return Subject(self.troubled, self.troubled, self.since)
