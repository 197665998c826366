"""A month of ordinary business, with quiet days and a burst, raises no unexpected alert."""

import os
from pathlib import Path
from unittest import mock

import pytest

from dvd_rental_pipeline.automation import alert_sensor
from dvd_rental_pipeline.sample.dvd_rental.generator.generate import generate
from dvd_rental_pipeline.sample.dvd_rental.simulator import simulate
from dvd_rental_pipeline_tests.end_to_end.local_deployment import (
    EXPECTED_ALERT,
    LocalDeployment,
    LocalHome,
)

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(5400)]

SUNDAY, SATURDAY = 6, 5
BURST = 17
BUILD_DAYS = {6, 12, 18, 24, 30}


def event_count(day: int) -> int:
    """The number of business events on a day of the month, which begins on a Monday."""
    if day == BURST:
        return 600
    if day % 7 == SUNDAY:
        return 0
    return 150 if day % 7 == SATURDAY or day == 30 else 30 + day


def test_thirty_days_raise_no_unexpected_alert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with mock.patch.dict(os.environ):
        home = LocalHome(tmp_path)
        with home.source.embedded.lease() as url, home.open_instance() as instance:
            generate(url, scale=0.05, seed=2)
            deployment = LocalDeployment(home, instance, url)
            monkeypatch.setattr(alert_sensor, "_now", deployment.alert_time)
            everything = "group:raw or group:staging or group:snapshots or group:marts or tag:layer=reports"
            failed = dict(deployment.run(everything))
            alerts = deployment.sent_alerts()
            for day in range(1, 31):
                if events := event_count(day):
                    simulate(url, events=events, seed=day)
                failed |= deployment.sync()
                if day in BUILD_DAYS:
                    failed |= deployment.run(everything)
                alerts += deployment.sent_alerts(24 * 60)
        home.source.embedded.stop()
    assert set(failed) <= {"fct_payment:is_true_fct_payment_is_paid_by_renter"}
    assert alerts in ([], [EXPECTED_ALERT])
