"""An `Alerts` resource that records what is sent in this process, for tests to read."""

import logging

from dvd_rental_pipeline.automation.alerts import Alert, Alerts

SENT: list[Alert] = []
"""All alerts sent, oldest first. A module variable, because each run has its own instance of the resource."""


class RecordedAlerts(Alerts):
    """Appends each alert to `SENT`."""

    def send(self, alert: Alert, log: logging.Logger) -> bool:
        SENT.append(alert)
        return True
