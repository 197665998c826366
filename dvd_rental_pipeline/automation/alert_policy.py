"""When a problem opens an alert and when the alert is resolved: one notification per change, without flapping.

Independent of Dagster and of the way alerts are sent: a state, an observation and the time give the next state
and the notification that is due.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum


class Notification(Enum):
    """The kinds of notification."""

    PROBLEM = "problem"
    RESOLVED = "resolved"


@dataclass(frozen=True)
class AlertPolicy:
    """How long a subject must fail, or pass, without interruption before a notification is sent."""

    open_after: timedelta
    close_after: timedelta


@dataclass(frozen=True)
class AlertState:
    """State of one subject of alerts.

    `notified`: an alert is open. `failing`: the subject failed at the last observation. `since`: start of the
    present run of equal observations, in seconds since 1970.
    """

    notified: bool = False
    failing: bool = False
    since: float = 0.0

    @property
    def is_worth_keeping(self) -> bool:
        """False for a subject that passes and has no open alert."""
        return self.notified or self.failing

    def observed(self, failing: bool, now: float) -> "AlertState":
        """The state after an observation at `now`."""
        return self if failing == self.failing else AlertState(self.notified, failing, now)

    def due(self, policy: AlertPolicy, now: float) -> Notification | None:
        """The notification that is due at `now`."""
        if self.failing == self.notified:
            return None
        wait = policy.open_after if self.failing else policy.close_after
        if now - self.since < wait.total_seconds():
            return None
        return Notification.PROBLEM if self.failing else Notification.RESOLVED

    def after_notification(self) -> "AlertState":
        """The state once the notification that was due has been sent."""
        return AlertState(self.failing, self.failing, self.since)
