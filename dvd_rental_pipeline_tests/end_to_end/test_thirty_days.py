"""A month of ordinary business, with its quiet days and its bursts, raises no alarm."""

import os
from pathlib import Path
from unittest import mock

import pytest

from dvd_rental_pipeline.automation import alert_sensor
from dvd_rental_pipeline.sample.dvd_rental.generator.generate import generate
from dvd_rental_pipeline.sample.dvd_rental.simulator import simulate
from dvd_rental_pipeline_tests.end_to_end.running_home import KNOWN, Deployment, Home

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(5400)]

SUNDAY, SATURDAY = 6, 5
BURST = 17
BUILT_ON = {6, 12, 18, 24, 30}


def events_of(day: int) -> int:
    """How much happens on a day of the month, which begins on a Monday."""
    if day == BURST:
        return 600
    if day % 7 == SUNDAY:
        return 0
    return 150 if day % 7 == SATURDAY or day == 30 else 30 + day


def test_thirty_days_of_business_raise_no_alarm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with mock.patch.dict(os.environ):
        home = Home(tmp_path)
        with home.source.embedded.lease() as url, home.open() as instance:
            generate(url, scale=0.05, seed=2)
            month = Deployment(home, instance, url)
            monkeypatch.setattr(alert_sensor, "_now", month.now)
            everything = "group:raw or group:staging or group:snapshots or group:marts or group:reports"
            alarms = month.run(everything)
            told = month.told()
            for day in range(1, 31):
                if events := events_of(day):
                    simulate(url, events=events, seed=day)
                alarms |= month.sync()
                if day in BUILT_ON:
                    alarms |= month.run(everything)
                told += month.told(24 * 60)
        home.source.embedded.stop()
    assert set(alarms) <= {"fct_payment:is_true_fct_payment_is_paid_by_renter"}
    assert told in ([], [KNOWN])
