"""A day of one-minute batches: loads are killed at random moments, started twice, and meet outages."""

import random
import subprocess
import sys
import time
from datetime import datetime, timedelta

import psycopg
import pytest

from dvd_rental_pipeline.sample.signups_api.faults import Fault
from dvd_rental_pipeline.sample.signups_api.server import running_signups_api
from dvd_rental_pipeline.sample.signups_api.users import COUNTRIES, build_page
from dvd_rental_pipeline_tests.pipelines.signups.records import NOON

# Starts a process for every few minutes of the day.
pytestmark = [pytest.mark.heavy, pytest.mark.timeout(900)]

SIZE = 5
MINUTE = timedelta(minutes=1)
OUTAGES = [None, None, Fault.UNAVAILABLE, Fault.HTML, Fault.TRUNCATED, Fault.NO_RESULTS, Fault.WRONG_COUNT]


def _start(api_url: str, database_url: str, until: datetime) -> subprocess.Popen[bytes]:
    module = "dvd_rental_pipeline_tests.pipelines.signups.load_until"
    return subprocess.Popen(
        [sys.executable, "-m", module, api_url, database_url, until.isoformat(), str(SIZE)],
        stderr=subprocess.DEVNULL,
    )


def test_a_day_with_random_kills_has_each_user_once(database_url: str) -> None:
    random_ = random.Random(24)
    kills = 0
    with running_signups_api() as api:
        api.limit = sys.maxsize
        now, end = NOON, NOON + timedelta(days=1)
        assert _start(api.url, database_url, now).wait() == 0
        while now < end:
            now = min(now + random_.randrange(5, 60) * MINUTE, end)
            outage = random_.choice(OUTAGES)
            api.faults.extend([outage] if outage else [])
            # Sometimes two at once, which the schedule prevents.
            loads = [_start(api.url, database_url, now) for _ in range(random_.choice([1, 1, 2]))]
            if random_.random() < 0.7:
                # Starting Python takes most of a second of this.
                time.sleep(random_.uniform(0.4, 1.5))
                kills += sum(load.poll() is None for load in loads)
                for load in loads:
                    load.kill()
            for load in loads:
                load.wait()
        api.faults.clear()
        assert _start(api.url, database_url, end).wait() == 0
    with psycopg.connect(database_url) as connection:
        minutes = [minute for (minute,) in connection.execute("select minute from signups.loaded_batches")]
        stored = [str(uuid) for (uuid,) in connection.execute("select user_uuid from signups.users")]
    expected = [NOON + number * MINUTE for number in range(-1, 24 * 60)]
    assert sorted(minutes) == expected
    given = [
        user["login"]["uuid"]
        for minute in expected
        for user in build_page(
            f"{minute:%Y-%m-%d}", minute.hour * 60 + minute.minute + 1, SIZE, sorted(COUNTRIES), NOON
        )["results"]
    ]
    assert sorted(stored) == sorted(given)
    assert kills > 10
