"""Syncs by Airbyte over HTTP, with and without faults: results of the run, and requests to Airbyte."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from dagster_airbyte import AirbyteWorkspace

from dvd_rental_pipeline.assembly.raw_assets import build_raw_assets
from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.ingestion.airbyte.errors import (
    AirbyteError,
    AirbyteRefusedError,
    AirbyteUnreachableError,
)
from dvd_rental_pipeline.ingestion.airbyte.resource import AirbyteIngestion
from dvd_rental_pipeline.ingestion.resource import SyncOutcome
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.pipelines.dvd_rental.pipeline import DVD_RENTAL_PIPELINE
from dvd_rental_pipeline.warehouse.interface import Reader
from dvd_rental_pipeline.warehouse.resource import DuckDBWarehouseResource
from dvd_rental_pipeline_tests.ingestion.airbyte.fake_clock import FakeClock, wait_until
from dvd_rental_pipeline_tests.recorded_log import RecordedLog
from dvd_rental_pipeline_tests.stand_ins.airbyte.jobs import JobScript
from dvd_rental_pipeline_tests.stand_ins.airbyte.server import AirbyteStandIn
from dvd_rental_pipeline_tests.stand_ins.airbyte.workspace import Connection

DOMAIN = replace(
    DVD_RENTAL, tables=tuple(table for table in DVD_RENTAL.tables if table.name in {"film", "actor"})
)

_reading_lock = threading.Lock()


class SerializedWarehouse(DuckDBWarehouseResource):
    """For threads that represent runs: unlike runs, they share the DuckDB instance of the process."""

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        with _reading_lock, super().reading() as reader:
            yield reader


@pytest.fixture
def connection(airbyte: AirbyteStandIn) -> Connection:
    return airbyte.add_connection(DOMAIN.primary_keys())


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> DuckDBWarehouseResource:
    """Raw tables, each with two live rows and a tombstone."""
    path = tmp_path_factory.mktemp("warehouse") / "warehouse.duckdb"
    with duckdb.connect(path) as database:
        database.execute("create schema dvd_rental")
        for table in DOMAIN.tables:
            database.execute(
                f"create table dvd_rental.{table.name} as select x as id, now() as _airbyte_extracted_at,"
                " '2026-01-02' as _ab_cdc_updated_at, case x when 3 then '2026-01-02' end as _ab_cdc_deleted_at"
                " from range(1, 4) t(x)"
            )
    return SerializedWarehouse(path=str(path))


def workspace(airbyte: AirbyteStandIn, **settings: Any) -> AirbyteWorkspace:
    defaults: dict[str, Any] = {
        "rest_api_base_url": f"{airbyte.url}/api/public/v1",
        "configuration_api_base_url": f"{airbyte.url}/api/v1",
        "workspace_id": airbyte.workspace.id,
        "client_id": "client",
        "client_secret": "client-secret",
        "request_timeout": 5,
        "request_max_retries": 20,
        "request_retry_delay": 0.1,
        "poll_interval": 0.05,
        "poll_timeout": 20.0,
        "cancel_on_termination": False,
    }
    return AirbyteWorkspace(**{**defaults, **settings})


@pytest.fixture
def ingestion(
    airbyte: AirbyteStandIn, connection: Connection, warehouse: DuckDBWarehouseResource
) -> AirbyteIngestion:
    return AirbyteIngestion(
        workspace=workspace(airbyte), connection_id=connection.id, warehouse=warehouse, slot="dvd_rental"
    )


def changed(ingestion: AirbyteIngestion, airbyte: AirbyteStandIn, **settings: Any) -> AirbyteIngestion:
    """A copy with other settings of the workspace."""
    return AirbyteIngestion(
        workspace=workspace(airbyte, **settings),
        connection_id=ingestion.connection_id,
        warehouse=ingestion.warehouse,
        slot=ingestion.slot,
    )


def sync(ingestion: AirbyteIngestion, log: RecordedLog, **options: Any) -> SyncOutcome:
    recorder: Any = log
    return ingestion.sync(DOMAIN, recorder, **options)


def statuses(airbyte: AirbyteStandIn) -> list[tuple[str, str]]:
    return [(job.type, job.status) for job in airbyte.jobs]


def cancellations(airbyte: AirbyteStandIn) -> int:
    return sum(method == "DELETE" for method, _ in airbyte.calls)


def test_a_sync_reports_rows_bytes_and_a_link_for_each_table(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog
) -> None:
    outcome = sync(ingestion, log)
    assert set(outcome.metadata) == {"film", "actor"}
    film = {name: value.value for name, value in outcome.metadata["film"].items()}
    assert film["dagster/row_count"] == 2
    assert film["tombstones"] == 1
    assert film["rows_synced"] == 3
    assert film["airbyte_job_rows"] == 6
    assert film["airbyte_job_bytes"] == 1000
    assert film["sync_mode"] == "changes"
    assert film["airbyte_job"] == (
        f"{airbyte.url}/workspaces/{airbyte.workspace.id}/connections/{ingestion.connection_id}"
        "/timeline?openLogs=true&jobId=1"
    )
    assert outcome.failures == {}
    assert statuses(airbyte) == [("sync", "succeeded")]


def test_a_job_that_is_queued_or_incomplete_is_waited_for(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog
) -> None:
    airbyte.script_next_job(JobScript(("queued", "pending", "running", "incomplete", "running"), seconds=None))
    sync(ingestion, log)
    assert statuses(airbyte) == [("sync", "succeeded")]
    assert cancellations(airbyte) == 0
    for status in ("queued", "incomplete", "running"):
        assert f"is {status}" in log.text


def test_an_unknown_status_is_waited_for(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog
) -> None:
    airbyte.script_next_job(JobScript(("resting",), seconds=None))
    assert sync(ingestion, log).failures == {}
    assert cancellations(airbyte) == 0
    # No version of the published document has it.
    airbyte.violations.clear()


def test_a_sync_attaches_to_a_running_job(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog, clock: FakeClock
) -> None:
    script = airbyte.script_next_job(JobScript.blocked("queued"))
    airbyte.start_job(ingestion.connection_id)
    clock.at(1.0, script.release)
    outcome = sync(ingestion, log)
    assert "attaching" in log.text
    assert outcome.metadata["film"]["airbyte_job_id"].value == 1
    assert statuses(airbyte) == [("sync", "succeeded")]


def test_concurrent_runs_share_one_job(airbyte: AirbyteStandIn, ingestion: AirbyteIngestion) -> None:
    script = airbyte.script_next_job(JobScript.blocked("pending"))
    logs = [RecordedLog() for _ in range(4)]
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(sync, ingestion, log) for log in logs]
        wait_until(lambda: all("Airbyte job 1 is pending" in log.text for log in logs))
        script.release()
    assert [run.result().metadata["film"]["airbyte_job_id"].value for run in runs] == [1, 1, 1, 1]
    assert statuses(airbyte) == [("sync", "succeeded")]


def test_a_sync_starts_after_a_running_job_of_another_type(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog, clock: FakeClock
) -> None:
    script = airbyte.script_next_job(JobScript.blocked())
    airbyte.start_job(ingestion.connection_id, "clear")
    clock.at(1.0, script.release)
    sync(ingestion, log)
    assert statuses(airbyte) == [("clear", "succeeded"), ("sync", "succeeded")]
    assert log.text.count("Waiting for Airbyte job 1 (clear) to end first") == 1


def test_a_full_refresh_removes_rows_that_the_source_no_longer_has(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog, clock: FakeClock
) -> None:
    script = airbyte.script_next_job(JobScript.blocked())
    airbyte.start_job(ingestion.connection_id)
    clock.at(1.0, script.release)
    outcome = sync(ingestion, log, full_refresh=True)
    assert statuses(airbyte) == [("sync", "succeeded"), ("refresh", "succeeded")]
    assert airbyte.jobs[1].refresh_mode == "Truncate"
    assert outcome.metadata["film"]["sync_mode"].value == "full refresh"


def test_a_refresh_without_a_job_is_carried_out_by_a_sync(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog
) -> None:
    airbyte.configuration_api.answers_no_job = True
    outcome = sync(ingestion, log, full_refresh=True)
    assert statuses(airbyte) == [("refresh", "succeeded")]
    assert airbyte.jobs[0].refresh_mode == "Truncate"
    assert outcome.metadata["film"]["sync_mode"].value == "full refresh"


def test_a_saved_position_that_does_not_fit_the_slot_needs_a_full_refresh(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog
) -> None:
    reason = "Saved offset is before replication slot's confirmed lsn. Please reset the connection."
    airbyte.script_next_job(JobScript(outcome="failed", failures=(reason,)))
    with pytest.raises(AirbyteError, match=r"no longer has the changes.*dvd-rental run --full-refresh"):
        sync(ingestion, log)


def test_occasional_errors_are_retried(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog
) -> None:
    airbyte.fail(2, 503)
    airbyte.fail(2, 502, path="/jobs/1")
    airbyte.fail(1, 429, path="/jobs/1")
    sync(ingestion, log)
    assert statuses(airbyte) == [("sync", "succeeded")]
    assert cancellations(airbyte) == 0


@pytest.mark.parametrize("seconds", [62, 290])
def test_an_outage_is_waited_out_with_the_settings_of_production(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog, clock: FakeClock, seconds: float
) -> None:
    """Nothing listens meanwhile. dagster-airbyte's own defaults give up after 0.75 s."""
    settings = Settings()
    patient = changed(
        ingestion,
        airbyte,
        request_timeout=settings.airbyte_request_timeout,
        request_max_retries=settings.airbyte_request_max_retries,
        request_retry_delay=settings.airbyte_request_retry_delay,
        poll_interval=settings.airbyte_poll_interval,
        poll_timeout=settings.airbyte_poll_timeout,
    )
    script = airbyte.script_next_job(JobScript.blocked())
    clock.at(20, airbyte.stop)
    clock.at(20, script.release)
    clock.at(20 + seconds, airbyte.start)
    assert sync(patient, log).failures == {}
    assert clock.now >= 20 + seconds
    assert log.text.count("Retrying in 10 s") == pytest.approx(seconds / 10, abs=1)
    assert statuses(airbyte) == [("sync", "succeeded")]
    assert cancellations(airbyte) == 0


def test_an_outage_that_does_not_end_fails_with_advice(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog
) -> None:
    airbyte.stop()
    with pytest.raises(AirbyteUnreachableError, match=r"cannot be reached.* try again: a run attaches"):
        sync(changed(ingestion, airbyte, request_max_retries=2), log)


def test_a_token_that_expires_early_is_renewed(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog, clock: FakeClock
) -> None:
    script = airbyte.script_next_job(JobScript.blocked())
    for seconds in (1.0, 2.0, 3.0):
        clock.at(seconds, airbyte.tokens.expire_all)
    clock.at(4.0, script.release)
    sync(ingestion, log)
    assert airbyte.tokens.issued == 4
    assert statuses(airbyte) == [("sync", "succeeded")]


def test_a_token_is_renewed_before_it_expires(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog, clock: FakeClock
) -> None:
    """Tokens of Airbyte are valid for three minutes."""
    script = airbyte.script_next_job(JobScript.blocked())
    clock.at(605, script.release)
    slow = changed(ingestion, airbyte, poll_interval=10.0, poll_timeout=3600.0)
    sync(slow, log)
    assert airbyte.tokens.issued >= 1 + 600 // 180


def test_a_lost_response_to_the_start_does_not_sync_twice(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog
) -> None:
    airbyte.fail(1, 504, method="POST", path="/v1/jobs", after=True)
    outcome = sync(ingestion, log)
    assert outcome.metadata["film"]["airbyte_job_id"].value == 1
    assert statuses(airbyte) == [("sync", "succeeded")]


def test_a_late_response_to_the_start_does_not_sync_twice(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog
) -> None:
    airbyte.delay(1, 1.5, method="POST", path="/v1/jobs", after=True)
    sync(changed(ingestion, airbyte, request_timeout=1), log)
    assert statuses(airbyte) == [("sync", "succeeded")]


@pytest.mark.parametrize(
    ("change", "setting"),
    [
        ({"client_secret": "wrong-planted"}, "DVD_RENTAL_AIRBYTE_CLIENT_SECRET"),
        ({"client_id": None, "client_secret": None}, "DVD_RENTAL_AIRBYTE_CLIENT_ID"),
    ],
)
def test_wrong_credentials_fail_at_once(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog, change: dict[str, Any], setting: str
) -> None:
    with pytest.raises(AirbyteRefusedError, match=setting) as caught:
        sync(changed(ingestion, airbyte, **change), log)
    assert len(airbyte.calls) <= 2
    assert "planted" not in str(caught.value) + log.text
    assert airbyte.jobs == []


def test_missing_permissions_fail_at_once(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog
) -> None:
    airbyte.forbidden = True
    with pytest.raises(AirbyteRefusedError, match=r"HTTP 403.*role of an editor"):
        sync(ingestion, log)
    assert len(airbyte.calls) == 2


def test_an_unknown_connection_fails_at_once(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog
) -> None:
    unknown = ingestion.model_copy(update={"connection_id": "no-such"})
    with pytest.raises(AirbyteRefusedError, match="DVD_RENTAL_AIRBYTE_CONNECTION_ID"):
        sync(unknown, log)
    assert airbyte.jobs == []


def test_an_inactive_connection_is_reported(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, connection: Connection, log: RecordedLog
) -> None:
    connection.fields["status"] = "inactive"
    with pytest.raises(AirbyteError, match=r"connection is inactive, so it cannot sync.*airbyte apply"):
        sync(ingestion, log)
    assert airbyte.calls.count(("POST", "/api/public/v1/jobs")) == 1, "it is not retried"


def test_a_sync_works_with_basic_authentication(warehouse: DuckDBWarehouseResource, log: RecordedLog) -> None:
    with AirbyteStandIn(client=None, user=("airbyte", "pass-word")).running() as airbyte:
        connection = airbyte.add_connection(DOMAIN.primary_keys())
        login = {"client_id": None, "client_secret": None, "username": "airbyte", "password": "pass-word"}
        ingestion = AirbyteIngestion(
            workspace=workspace(airbyte, **login),
            connection_id=connection.id,
            warehouse=warehouse,
            slot="dvd_rental",
        )
        sync(ingestion, log)
        assert statuses(airbyte) == [("sync", "succeeded")]


@pytest.mark.parametrize("status", ["failed", "error"])
def test_a_failed_job_is_reported_with_the_reason_of_airbyte(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog, status: str
) -> None:
    airbyte.script_next_job(JobScript(outcome=status, failures=("The replication slot is lost.",)))
    with pytest.raises(AirbyteError, match=r"job 1 failed.*source: The replication slot is lost"):
        sync(ingestion, log)
    assert cancellations(airbyte) == 0
    if status == "error":
        # Of older versions; the published documents no longer have it.
        airbyte.violations.clear()


def test_a_job_cancelled_by_another_user_is_reported(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog
) -> None:
    airbyte.script_next_job(JobScript(outcome="cancelled"))
    with pytest.raises(AirbyteError, match="job 1 was cancelled in Airbyte"):
        sync(ingestion, log)


@pytest.mark.parametrize("cancel", [True, False])
def test_a_job_that_takes_too_long_continues(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog, clock: FakeClock, cancel: bool
) -> None:
    script = airbyte.script_next_job(JobScript.blocked("queued"))
    clock.at(600, lambda: wait_until(lambda: airbyte.jobs[0].status == "queued"))
    impatient = changed(
        ingestion, airbyte, poll_interval=600.0, poll_timeout=7200.0, cancel_on_termination=cancel
    )
    with pytest.raises(AirbyteError, match=r"job 1 is still queued after 7200 s\. It was not cancelled"):
        sync(impatient, log)
    assert clock.now == 7800
    assert statuses(airbyte) == [("sync", "queued")]
    clock.at(clock.now + 1.0, script.release)
    sync(ingestion, log)
    assert statuses(airbyte) == [("sync", "succeeded")]


@pytest.mark.parametrize("cancel", [True, False])
def test_a_terminated_run_cancels_its_job_only_if_configured(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog, clock: FakeClock, cancel: bool
) -> None:
    airbyte.script_next_job(JobScript.blocked())

    def terminate() -> None:
        wait_until(lambda: airbyte.jobs[-1].status == "running")
        raise KeyboardInterrupt

    clock.at(1.0, terminate)
    with pytest.raises(KeyboardInterrupt):
        sync(changed(ingestion, airbyte, cancel_on_termination=cancel), log)
    assert statuses(airbyte) == [("sync", "cancelled" if cancel else "running")]
    assert cancellations(airbyte) == cancel


def test_a_long_wait_is_logged_every_minute(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog, clock: FakeClock
) -> None:
    script = airbyte.script_next_job(JobScript.blocked())
    airbyte.start_job(ingestion.connection_id)
    wait_until(lambda: airbyte.jobs[0].status == "running")
    clock.at(250, script.release)
    sync(changed(ingestion, airbyte, poll_interval=10.0, poll_timeout=3600.0), log)
    logged = [line for line in log.lines if line.startswith("Airbyte job 1 is running, after")]
    expected = [f"Airbyte job 1 is running, after {seconds} s" for seconds in (0, 60, 120, 180, 240)]
    assert logged[: len(expected)] == expected


def test_a_table_that_the_sync_did_not_create_fails_alone(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog
) -> None:
    recorder: Any = log
    larger = replace(DVD_RENTAL, tables=DVD_RENTAL.tables[:4])
    names = {table.name for table in larger.tables}
    outcome = ingestion.sync(larger, recorder)
    assert set(outcome.metadata) == names & {"film", "actor"}
    assert set(outcome.failures) == names - {"film", "actor"}
    assert all("succeeded, but it cannot be read" in reason for reason in outcome.failures.values())


def test_without_the_configuration_api_the_sync_still_reports(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog
) -> None:
    airbyte.fail(1, 404, path="get_without_logs")
    film = sync(ingestion, log).metadata["film"]
    assert "rows_synced" not in film
    assert film["dagster/row_count"].value == 2


def test_a_run_has_the_job_in_its_tags_and_in_every_materialization(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, tmp_path: Path
) -> None:
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        result = dg.materialize(
            [build_raw_assets(replace(DVD_RENTAL_PIPELINE, domain=DOMAIN))],
            resources={"ingestion": ingestion, "warehouse": ingestion.warehouse},
            instance=instance,
        )
        run = instance.get_run_by_id(result.run_id)
        assert run is not None
        assert run.tags["airbyte/job_id"] == "1"
        assert run.tags["airbyte/connection_id"] == ingestion.connection_id
    materializations = result.asset_materializations_for_node("dvd_rental_ingestion")
    row_counts = {materialization.metadata["dagster/row_count"].value for materialization in materializations}
    assert row_counts == {2}
    assert all(
        materialization.metadata["airbyte_job"].value.endswith("jobId=1")
        for materialization in materializations
    )


def test_the_failure_of_a_job_is_shown_in_dagster_and_not_retried(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion
) -> None:
    airbyte.script_next_job(JobScript(outcome="failed", failures=("The disk is full.",)))
    result = dg.materialize(
        [build_raw_assets(replace(DVD_RENTAL_PIPELINE, domain=DOMAIN))],
        resources={"ingestion": ingestion, "warehouse": ingestion.warehouse},
        raise_on_error=False,
    )
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    data = failed.step_failure_data.user_failure_data
    assert data is not None
    assert "The disk is full." in str(data.description)
    assert len(airbyte.jobs) == 1


def test_an_inspection_reports_connection_drift_and_works_without_airbyte(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, connection: Connection, log: RecordedLog
) -> None:
    recorder: Any = log
    for stream in connection.streams:
        if stream["name"] == "film":
            stream["primaryKey"] = [["title"]]
    inspection = ingestion.inspect(DOMAIN, recorder)
    assert inspection.facts is None
    assert "DVD_RENTAL_SOURCE_URL" in inspection.not_compared
    assert inspection.deviations is not None
    (fault,) = (deviation for deviation in inspection.deviations if deviation.is_fault)
    assert (fault.table, "title, should be film_id" in fault.description) == ("film", True)
    airbyte.stop()
    impatient = changed(ingestion, airbyte, request_max_retries=1)
    (unreachable,) = impatient.inspect(DOMAIN, recorder).deviations or ()
    assert (unreachable.table, unreachable.is_fault) == (None, False)
    assert "cannot be reached" in unreachable.description
