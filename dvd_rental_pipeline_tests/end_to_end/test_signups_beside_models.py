"""The load of new users, every minute, does not wait for a build of all models."""

import time
from collections.abc import Iterator

import dagster as dg
import pytest
from dagster_graphql import DagsterGraphQLClient

from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.pipelines.signups.assets import JOB
from dvd_rental_pipeline.runs.instance import open_instance
from dvd_rental_pipeline_tests.end_to_end.command_line import CommandLine
from dvd_rental_pipeline_tests.end_to_end.dev_server import running_dev_server

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(2400)]

MAX_WAIT = 10.0
"""Seconds from the tick of the schedule until the process of its run is started."""


@pytest.fixture(scope="module")
def client(dvd_rental: CommandLine) -> Iterator[DagsterGraphQLClient]:
    """Of `dvd-rental dev` over a home in which everything was built once."""
    dvd_rental.ok("run")
    dvd_rental.ok("run", "--select", 'key:"signups_postgres/users"')
    log = dvd_rental.home / "dev.log"
    with running_dev_server(dvd_rental.command("dev"), dvd_rental.environment(), log) as client:
        yield client


def waited(instance: dg.DagsterInstance, run_id: str) -> float:
    """Seconds between the request of a run and the start of its process."""
    times = {
        entry.dagster_event.event_type: entry.timestamp
        for entry in instance.all_logs(run_id)
        if entry.dagster_event is not None
    }
    return times[dg.DagsterEventType.RUN_STARTING] - times[dg.DagsterEventType.RUN_ENQUEUED]


def finished(instance: dg.DagsterInstance, run_id: str) -> tuple[float, float, float]:
    """When a run was requested, started and ended; waits for its end."""
    while True:
        (record,) = instance.get_run_records(dg.RunsFilter(run_ids=[run_id]))
        if record.start_time is not None and record.end_time is not None:
            assert record.dagster_run.status is dg.DagsterRunStatus.SUCCESS
            return record.create_timestamp.timestamp(), record.start_time, record.end_time
        assert not record.dagster_run.is_finished, record.dagster_run.status
        time.sleep(1)


def test_a_tick_waits_less_than_ten_seconds_beside_a_build_of_all_models(
    client: DagsterGraphQLClient, dvd_rental: CommandLine
) -> None:
    whole = {"ops": {"dbt_models": {"config": {"full_refresh": True}}}}
    ended_within_build = False
    with open_instance(Settings(home=dvd_rental.home)) as instance:
        # A build may take less than a minute.
        for _ in range(5):
            build = client.submit_job_execution("dvd_rental", run_config=whole)
            _, build_start, build_end = finished(instance, build)
            for load in instance.get_runs(dg.RunsFilter(job_name=JOB)):
                requested, _, end = finished(instance, load.run_id)
                if build_start < requested < build_end:
                    seconds = waited(instance, load.run_id)
                    print(f"waited {seconds:.1f} s; {end - requested:.1f} s from the tick to its end")
                    assert seconds < MAX_WAIT
                    ended_within_build |= end < build_end
            if ended_within_build:
                return
    raise AssertionError("no tick was within a build")
