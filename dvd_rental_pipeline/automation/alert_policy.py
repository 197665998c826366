"""When trouble is worth a word, and when it is over: people are told of each change once, and no more often.

Knows neither Dagster nor alerts: a state, an observation and the time give the next state and what to tell.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum


class Notification(Enum):
    """What people should hear of."""

    PROBLEM = "trouble"
    RESOLVED = "resolved"


@dataclass(frozen=True)
class AlertPolicy:
    """How long a subject must be in trouble, or well again, without a break before anyone is told."""

    open_after: timedelta
    close_after: timedelta


@dataclass(frozen=True)
class Subject:
    """What is known of one subject of alerts.

    `told` says whether people believe it to be in trouble, `troubled` whether it was when last looked at, and
    `since` since when, in seconds since 1970.
    """

    notified: bool = False
    failing: bool = False
    since: float = 0.0

    @property
    def is_worth_keeping(self) -> bool:
        """False for a subject that is well and of which nobody believes anything else."""
        return self.notified or self.failing

    def observed(self, failing: bool, now: float) -> "Subject":
        """The state after a look at `now`."""
        return self if failing == self.failing else Subject(self.notified, failing, now)

    def due(self, policy: AlertPolicy, now: float) -> Notification | None:
        """What there is to tell at `now`."""
        if self.failing == self.notified:
            return None
        wait = policy.open_after if self.failing else policy.close_after
        if now - self.since < wait.total_seconds():
            return None
        return Notification.PROBLEM if self.failing else Notification.RESOLVED

    def after_notification(self) -> "Subject":
        """The state once people have been told what was due."""
        return Subject(self.failing, self.failing, self.since)
