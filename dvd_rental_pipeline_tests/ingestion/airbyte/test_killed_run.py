"""A run that is killed while its job is running, and the next run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dvd_rental_pipeline_tests.stand_ins.airbyte.jobs import JobScript
from dvd_rental_pipeline_tests.stand_ins.airbyte.server import AirbyteStandIn

RUN = """
import sys
from dataclasses import replace

import dagster as dg
from dagster_airbyte import AirbyteWorkspace

from dvd_rental_pipeline.pipelines.dvd_rental.pipeline import DVD_RENTAL_PIPELINE
from dvd_rental_pipeline.assembly.raw_assets import build_raw_assets
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.ingestion.airbyte.resource import AirbyteIngestion
from dvd_rental_pipeline.warehouse.resource import DuckDBWarehouseResource

url, workspace, connection, warehouse = sys.argv[1:]
raw_tables = DuckDBWarehouseResource(path=warehouse)
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
    warehouse=raw_tables,
    slot="dvd_rental",
)
domain = replace(DVD_RENTAL, tables=DVD_RENTAL.tables[:1])
assets = build_raw_assets(replace(DVD_RENTAL_PIPELINE, domain=domain))
resources = {"ingestion": ingestion, "warehouse": raw_tables}
result = dg.materialize([assets], resources=resources, raise_on_error=False)
sys.exit(not result.success)
"""


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGKILL, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, marks=pytest.mark.heavy),
    ],
)
def test_the_job_continues_and_the_next_run_attaches_to_it(
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
    script = airbyte.script_next_job(JobScript.blocked())
    command: list[Any] = [
        sys.executable, "-c", RUN, airbyte.url, airbyte.workspace.id, connection.id, str(warehouse)
    ]  # fmt: skip
    environment = {**os.environ, "DAGSTER_HOME": ""}

    def start_run() -> "subprocess.Popen[bytes]":
        """Start a run and wait until it polls the job."""
        airbyte.calls.clear()
        run = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while ("GET", "/api/public/v1/jobs/1") not in airbyte.calls:
            assert time.monotonic() < deadline
            assert run.poll() is None
            time.sleep(0.05)
        return run

    first = start_run()
    first.send_signal(number)
    assert first.wait(30) != 0
    assert [job.status for job in airbyte.jobs] == ["running"]
    second = start_run()
    script.release()
    assert second.wait(60) == 0
    assert [job.status for job in airbyte.jobs] == ["succeeded"], "a job was cancelled or started twice"
