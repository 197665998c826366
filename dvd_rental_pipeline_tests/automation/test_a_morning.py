"""Hours of a simulated clock against a real instance: all runs that must start by themselves, and no others."""

from collections import Counter
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from dvd_rental_pipeline.automation.schedules import sync_schedule
from dvd_rental_pipeline_tests.automation.history import History, at

SENSORS = ("source_catch_up", "models_follow_source", "reports_every_morning")


@pytest.mark.heavy
@pytest.mark.timeout(1200)
def test_a_morning_starts_a_sync_and_models_a_quarter_of_an_hour_and_the_reports_once(
    excerpt: dg.Definitions, tmp_path: Path
) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        history = History(excerpt, instance)
        everything = excerpt.resolve_implicit_global_asset_job_def()
        assert everything.execute_in_process(instance=instance).success
        for sensor in SENSORS:
            assert history.tick(sensor, at("03:55")) == set()
        started: Counter[str] = Counter()
        reports_at = []
        now, end = at("04:00"), at("06:00")
        while now < end:
            if now.minute % 15 == 0:
                context = dg.build_schedule_context(instance=instance, scheduled_execution_time=now)
                assert isinstance(sync_schedule(context), dg.RunRequest)
                sync = excerpt.resolve_job_def("dvd_rental_sync")
                assert sync.execute_in_process(instance=instance).success
                started["dvd_rental_sync"] += 1
            for sensor in SENSORS:
                keys = history.tick(sensor, now)
                if keys:
                    run = everything.execute_in_process(instance=instance, asset_selection=sorted(keys))
                    assert run.success
                    started[sensor] += 1
                    if sensor == "reports_every_morning":
                        reports_at.append(now)
                        assert keys == set(history.keys("reports", "site"))
                    else:
                        assert keys == set(history.keys("staging", "snapshots", "marts"))
            now += timedelta(minutes=5)
    assert started == {"dvd_rental_sync": 8, "models_follow_source": 8, "reports_every_morning": 1}
    assert reports_at == [at("05:00")]
