"""Alerts that a test reads, sent from wherever in this process."""

import logging

from dvd_rental_pipeline.automation.alerts import Alert, Alerts

SENT: list[Alert] = []
"""What was sent, oldest first. A resource is configuration alone and is made anew for each run."""


class KeptAlerts(Alerts):
    """Keeps what is sent in `SENT`."""

    def send(self, alert: Alert, log: logging.Logger) -> bool:
        SENT.append(alert)
        return True
