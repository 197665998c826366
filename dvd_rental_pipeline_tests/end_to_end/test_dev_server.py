"""`dagster dev` in an empty home: the graph loads, and runs launched as the UI does succeed."""

import sys
import time
from pathlib import Path

import pytest
from dagster import DagsterRunStatus
from dagster_graphql import DagsterGraphQLClient

from dvd_rental_pipeline_tests.end_to_end.command_line import CommandLine
from dvd_rental_pipeline_tests.end_to_end.dev_server import running_dev_server

pytestmark = pytest.mark.slow

FINISHED = {DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED}


def wait_for(client: DagsterGraphQLClient, run_id: str) -> DagsterRunStatus:
    # Two runs share two cores with the gate's other tests: only a run that hangs takes this long.
    deadline = time.monotonic() + 900
    while (status := client.get_run_status(run_id)) not in FINISHED and time.monotonic() < deadline:
        time.sleep(1)
    return status


@pytest.mark.timeout(1500)
def test_two_runs_at_once_from_an_empty_home_both_succeed(dvd_rental: CommandLine) -> None:
    dagster_home = dvd_rental.home / "dagster"
    dagster_home.mkdir(parents=True)
    (dagster_home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    log = dvd_rental.home / "dagster_dev.log"
    command = [str(Path(sys.executable).with_name("dagster")), "dev", "--host", "127.0.0.1"]
    environment = dvd_rental.environment(DAGSTER_HOME=str(dagster_home))
    with running_dev_server(command, environment, log) as client:
        runs = [client.submit_job_execution("dvd_rental"), client.submit_job_execution("dvd_rental")]
        statuses = [wait_for(client, run) for run in runs]
    assert statuses == [DagsterRunStatus.SUCCESS] * 2, log.read_text()[-5000:]
    (row,) = dvd_rental.json("query", "select sum(revenue) as revenue from reports.sales_by_store")
    assert row["revenue"] > 0
