"""A run that is killed while Airbyte works, and the one that is started after it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dvd_rental_pipeline_tests.stand_ins.airbyte.jobs import Course
from dvd_rental_pipeline_tests.stand_ins.airbyte.server import AirbyteStandIn

RUN = """
import sys
from dataclasses import replace

import dagster as dg
from dagster_airbyte import AirbyteWorkspace

from dvd_rental_pipeline.pipelines.raw_assets import build_ingestion_assets
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.ingestion.airbyte.resource import AirbyteIngestion
from dvd_rental_pipeline.warehouse.resource import DuckDBWarehouse

url, workspace, connection, warehouse = sys.argv[1:]
place = DuckDBWarehouse(path=warehouse)
ingestion = AirbyteIngestion(
    workspace=AirbyteWorkspace(
        rest_api_base_url=f"{url}/api/public/v1",
        configuration_api_base_url=f"{url}/api/v1",
        workspace_id=workspace,
        client_id="client",
        client_secret="client-secret",
        request_max_retries=20,
        request_retry_delay=0.2,
        poll_interval=0.1,
        cancel_on_termination=False,
    ),
    connection_id=connection,
    warehouse=place,
)
domain = replace(DVD_RENTAL, tables=DVD_RENTAL.tables[:1])
assets = build_ingestion_assets(domain)
result = dg.materialize([assets], resources={"ingestion": ingestion, "warehouse": place}, raise_on_error=False)
sys.exit(not result.success)
"""


@pytest.fixture
def airbyte() -> Iterator[AirbyteStandIn]:
    with AirbyteStandIn().running() as stand_in:
        yield stand_in


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.heavy)])
def test_the_job_goes_on_and_the_next_run_attaches_to_it(
    airbyte: AirbyteStandIn, tmp_path: Path, number: signal.Signals
) -> None:
    warehouse = tmp_path / "warehouse.duckdb"
    with duckdb.connect(warehouse) as database:
        database.execute("create schema dvd_rental")
        database.execute(
            "create table dvd_rental.actor as select now() as _airbyte_extracted_at,"
            " '' as _ab_cdc_updated_at, null::varchar as _ab_cdc_deleted_at"
        )
    connection = airbyte.add_connection({"actor": ["actor_id"]})
    course = airbyte.plan(Course.held())
    command: list[Any] = [
        sys.executable, "-c", RUN, airbyte.url, airbyte.workspace.id, connection.id, str(warehouse)
    ]  # fmt: skip
    environment = {**os.environ, "DAGSTER_HOME": ""}

    def started() -> "subprocess.Popen[bytes]":
        """A run that has begun to look at the job."""
        airbyte.calls.clear()
        run = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while ("GET", "/api/public/v1/jobs/1") not in airbyte.calls:
            assert time.monotonic() < deadline
            assert run.poll() is None
            time.sleep(0.05)
        return run

    first = started()
    first.send_signal(number)
    assert first.wait(30) != 0
    assert [job.status for job in airbyte.jobs] == ["running"]
    second = started()
    course.released.set()
    assert second.wait(60) == 0
    assert [job.status for job in airbyte.jobs] == ["succeeded"], "nothing was cancelled or synced twice"
