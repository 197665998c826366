"""`dagster dev` in an empty home: the graph loads, and runs launched as the UI does succeed."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from dagster import DagsterRunStatus
from dagster_graphql import DagsterGraphQLClient

from dvd_rental_pipeline.core.settings import PROJECT_ROOT
from dvd_rental_pipeline_tests.end_to_end.command_line import CommandLine

pytestmark = pytest.mark.heavy

FINISHED = {DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED}


class DevServer:
    """A running `dagster dev`."""

    def __init__(self, command_line: CommandLine) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        dagster_home = command_line.home / "dagster"
        dagster_home.mkdir(parents=True)
        (dagster_home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        self.log = command_line.home / "dagster_dev.log"
        self.process = subprocess.Popen(
            [str(Path(sys.executable).with_name("dagster")), "dev", "-p", str(self.port), "-h", "127.0.0.1"],
            cwd=PROJECT_ROOT,
            env=command_line.environment(DAGSTER_HOME=str(dagster_home)),
            stdout=self.log.open("wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def client(self) -> DagsterGraphQLClient:
        """Wait until the server answers, and return a client."""
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            try:
                requests.get(f"http://127.0.0.1:{self.port}/server_info", timeout=10).raise_for_status()
            except requests.RequestException:
                time.sleep(1)
            else:
                return DagsterGraphQLClient("127.0.0.1", port_number=self.port)
        raise AssertionError(f"dagster dev did not start:\n{self.log.read_text()}")

    def stop(self) -> None:
        # An interrupt stops the child processes too; a kill would leave them running.
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(timeout=60)
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)


def wait_for(client: DagsterGraphQLClient, run_id: str) -> DagsterRunStatus:
    # Two runs share two cores with the gate's other tests: only a run that hangs takes this long.
    deadline = time.monotonic() + 900
    while (status := client.get_run_status(run_id)) not in FINISHED and time.monotonic() < deadline:
        time.sleep(1)
    return status


@pytest.fixture(scope="module")
def server(dvd_rental: CommandLine) -> Iterator[DevServer]:
    server = DevServer(dvd_rental)
    yield server
    server.stop()


@pytest.mark.timeout(1500)
def test_two_runs_at_once_from_an_empty_home_both_succeed(server: DevServer, dvd_rental: CommandLine) -> None:
    client = server.client()
    runs = [client.submit_job_execution("dvd_rental"), client.submit_job_execution("dvd_rental")]
    statuses = [wait_for(client, run) for run in runs]
    assert statuses == [DagsterRunStatus.SUCCESS] * 2, server.log.read_text()[-5000:]
    (row,) = dvd_rental.json("query", "select sum(revenue) as revenue from reports.sales_by_store")
    assert row["revenue"] > 0
