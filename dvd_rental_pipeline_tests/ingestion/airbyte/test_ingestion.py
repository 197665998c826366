"""Syncs by Airbyte, over HTTP, in good weather and bad: what the run does, and what Airbyte was asked to do."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import duckdb
import pytest
from dagster_airbyte import AirbyteWorkspace

from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.ingestion.airbyte.errors import (
    AirbyteError,
    AirbyteRefusedError,
    AirbyteUnreachableError,
)
from dvd_rental_pipeline.ingestion.airbyte.resource import AirbyteIngestion
from dvd_rental_pipeline.ingestion.resource import SyncOutcome
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.pipelines.raw_assets import build_ingestion_assets
from dvd_rental_pipeline.warehouse.duckdb_file import Rows
from dvd_rental_pipeline.warehouse.resource import DuckDBWarehouse
from dvd_rental_pipeline_tests.recorded_log import RecordedLog
from dvd_rental_pipeline_tests.stand_ins.airbyte.jobs import Course
from dvd_rental_pipeline_tests.stand_ins.airbyte.server import AirbyteStandIn
from dvd_rental_pipeline_tests.stand_ins.airbyte.workspace import Connection

DOMAIN = replace(
    DVD_RENTAL, tables=tuple(table for table in DVD_RENTAL.tables if table.name in {"film", "actor"})
)

_one_at_a_time = threading.Lock()


class SharedWarehouse(DuckDBWarehouse):
    """For threads that stand for runs: within a process they share a DuckDB instance, which runs do not."""

    def query(self, sql: str) -> Rows:
        with _one_at_a_time:
            return super().query(sql)


@pytest.fixture
def airbyte() -> Iterator[AirbyteStandIn]:
    with AirbyteStandIn().running() as stand_in:
        yield stand_in


@pytest.fixture
def connection(airbyte: AirbyteStandIn) -> Connection:
    return airbyte.add_connection(DOMAIN.primary_keys())


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> DuckDBWarehouse:
    """Raw tables with two live rows and a tombstone each."""
    path = tmp_path_factory.mktemp("warehouse") / "warehouse.duckdb"
    with duckdb.connect(path) as database:
        database.execute("create schema dvd_rental")
        for table in DOMAIN.tables:
            database.execute(
                f"create table dvd_rental.{table.name} as select x as id, now() as _airbyte_extracted_at,"
                " '2026-01-02' as _ab_cdc_updated_at, case x when 3 then '2026-01-02' end as _ab_cdc_deleted_at"
                " from range(1, 4) t(x)"
            )
    return SharedWarehouse(path=str(path))


def workspace(airbyte: AirbyteStandIn, **settings: Any) -> AirbyteWorkspace:
    given: dict[str, Any] = {
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
    return AirbyteWorkspace(**{**given, **settings})


@pytest.fixture
def ingestion(airbyte: AirbyteStandIn, connection: Connection, warehouse: DuckDBWarehouse) -> AirbyteIngestion:
    return AirbyteIngestion(workspace=workspace(airbyte), connection_id=connection.id, warehouse=warehouse)


def like(ingestion: AirbyteIngestion, airbyte: AirbyteStandIn, **settings: Any) -> AirbyteIngestion:
    """The same with other settings."""
    return AirbyteIngestion(
        workspace=workspace(airbyte, **settings),
        connection_id=ingestion.connection_id,
        warehouse=ingestion.warehouse,
    )


def sync(ingestion: AirbyteIngestion, log: RecordedLog, **options: Any) -> SyncOutcome:
    recorder: Any = log
    return ingestion.sync(DOMAIN, recorder, **options)


def statuses(airbyte: AirbyteStandIn) -> list[tuple[str, str]]:
    return [(job.kind, job.status) for job in airbyte.jobs]


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
    airbyte.plan(Course(("queued", "pending", "running", "incomplete", "running"), seconds=0.15))
    sync(ingestion, log)
    assert statuses(airbyte) == [("sync", "succeeded")]
    assert cancellations(airbyte) == 0
    for status in ("queued", "incomplete", "running"):
        assert f"is {status}" in log.text


def test_a_status_that_nobody_knows_is_waited_out(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog
) -> None:
    airbyte.plan(Course(("resting",), seconds=0.2))
    assert sync(ingestion, log).failures == {}
    assert cancellations(airbyte) == 0


def test_a_running_job_is_attached_to(airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog) -> None:
    airbyte.plan(Course(("queued", "running"), seconds=0.2))
    airbyte.start_job(ingestion.connection_id)
    outcome = sync(ingestion, log)
    assert outcome.metadata["film"]["airbyte_job_id"].value == 1
    assert statuses(airbyte) == [("sync", "succeeded")]


def test_two_runs_at_once_sync_once(airbyte: AirbyteStandIn, ingestion: AirbyteIngestion) -> None:
    airbyte.plan(Course(("pending", "running"), seconds=0.4))
    outcomes: list[SyncOutcome] = []
    threads = [threading.Thread(target=lambda: outcomes.append(sync(ingestion, RecordedLog()))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert [outcome.metadata["film"]["airbyte_job_id"].value for outcome in outcomes] == [1, 1, 1, 1]
    assert statuses(airbyte) == [("sync", "succeeded")]


def test_a_job_of_another_kind_is_waited_for_and_then_the_sync_begins(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog
) -> None:
    airbyte.plan(Course(("running",), seconds=0.3))
    airbyte.start_job(ingestion.connection_id, "clear")
    sync(ingestion, log)
    assert statuses(airbyte) == [("clear", "succeeded"), ("sync", "succeeded")]
    assert "Airbyte job 1 (clear) must end before" in log.text


def test_a_full_refresh_removes_what_the_source_no_longer_has(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog
) -> None:
    airbyte.plan(Course(("running",), seconds=0.3))
    airbyte.start_job(ingestion.connection_id)
    outcome = sync(ingestion, log, full_refresh=True)
    assert statuses(airbyte) == [("sync", "succeeded"), ("refresh", "succeeded")]
    assert airbyte.jobs[1].refresh_mode == "Truncate"
    assert outcome.metadata["film"]["sync_mode"].value == "full refresh"


def test_errors_now_and_then_disturb_nothing(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog
) -> None:
    airbyte.fail(2, 503)
    airbyte.fail(2, 502, path="/jobs/1")
    airbyte.fail(1, 429, path="/jobs/1")
    sync(ingestion, log)
    assert statuses(airbyte) == [("sync", "succeeded")]
    assert cancellations(airbyte) == 0


def test_an_outage_while_polling_is_waited_out(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog
) -> None:
    """Nothing listens meanwhile, for longer than the integration's own defaults would bear."""
    airbyte.plan(Course(("running",), seconds=0.4))
    result: list[SyncOutcome] = []
    run = threading.Thread(target=lambda: result.append(sync(ingestion, log)))
    run.start()
    while not airbyte.jobs:
        time.sleep(0.01)
    airbyte.stop()
    time.sleep(1.3)
    airbyte.start()
    run.join(20)
    assert result[0].failures == {}
    assert statuses(airbyte) == [("sync", "succeeded")]
    assert cancellations(airbyte) == 0


def test_an_outage_that_does_not_end_is_told_with_what_to_do(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog
) -> None:
    airbyte.stop()
    with pytest.raises(AirbyteUnreachableError, match=r"cannot be reached.* start the run again"):
        sync(like(ingestion, airbyte, request_max_retries=2), log)


def test_a_token_that_expires_early_is_renewed(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog
) -> None:
    airbyte.tokens.seconds = 0.2
    airbyte.plan(Course(("running",), seconds=0.8))
    sync(ingestion, log)
    assert airbyte.tokens.issued > 2
    assert statuses(airbyte) == [("sync", "succeeded")]


def test_a_lost_answer_to_the_start_does_not_sync_twice(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog
) -> None:
    airbyte.fail(1, 504, method="POST", path="/v1/jobs", after=True)
    outcome = sync(ingestion, log)
    assert outcome.metadata["film"]["airbyte_job_id"].value == 1
    assert statuses(airbyte) == [("sync", "succeeded")]


def test_a_start_that_is_answered_too_late_does_not_sync_twice(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog
) -> None:
    airbyte.delay(1, 1.5, method="POST", path="/v1/jobs", after=True)
    sync(like(ingestion, airbyte, request_timeout=1), log)
    assert statuses(airbyte) == [("sync", "succeeded")]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"client_secret": "wrong-planted"}, "DVD_RENTAL_AIRBYTE_CLIENT_SECRET"),
        ({"client_id": None, "client_secret": None}, "DVD_RENTAL_AIRBYTE_CLIENT_ID"),
    ],
)
def test_wrong_credentials_are_told_at_once(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog, change: dict[str, Any], named: str
) -> None:
    with pytest.raises(AirbyteRefusedError, match=named) as caught:
        sync(like(ingestion, airbyte, **change), log)
    assert len(airbyte.calls) <= 2
    assert "planted" not in str(caught.value) + log.text
    assert airbyte.jobs == []


def test_missing_rights_are_told_at_once(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog
) -> None:
    airbyte.forbidden = True
    with pytest.raises(AirbyteRefusedError, match=r"HTTP 403.*role of an editor"):
        sync(ingestion, log)
    assert len(airbyte.calls) == 2


def test_an_unknown_connection_is_told_at_once(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog
) -> None:
    lost = AirbyteIngestion(
        workspace=workspace(airbyte), connection_id="no-such", warehouse=ingestion.warehouse
    )
    with pytest.raises(AirbyteRefusedError, match="DVD_RENTAL_AIRBYTE_CONNECTION_ID"):
        sync(lost, log)
    assert airbyte.jobs == []


def test_a_connection_that_is_switched_off_is_told(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, connection: Connection, log: RecordedLog
) -> None:
    connection.fields["status"] = "inactive"
    with pytest.raises(AirbyteRefusedError, match="The connection is not active"):
        sync(like(ingestion, airbyte, request_max_retries=1), log)


def test_basic_authentication_suffices(connection: Connection, warehouse: DuckDBWarehouse, log: RecordedLog) -> None:
    with AirbyteStandIn(client=None, user=("airbyte", "pass-word")).running() as airbyte:
        here = airbyte.add_connection(DOMAIN.primary_keys())
        settings = {"client_id": None, "client_secret": None, "username": "airbyte", "password": "pass-word"}
        sync(
            AirbyteIngestion(
                workspace=workspace(airbyte, **settings), connection_id=here.id, warehouse=warehouse
            ),
            log,
        )
        assert statuses(airbyte) == [("sync", "succeeded")]


def test_a_failed_job_is_told_with_airbytes_reason(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog
) -> None:
    airbyte.plan(Course(outcome="failed", failures=("The replication slot is lost.",)))
    with pytest.raises(AirbyteError, match=r"job 1 has failed.*source: The replication slot is lost"):
        sync(ingestion, log)
    assert cancellations(airbyte) == 0


def test_a_job_that_somebody_cancelled_is_told(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog
) -> None:
    airbyte.plan(Course(outcome="cancelled"))
    with pytest.raises(AirbyteError, match="job 1 was cancelled in Airbyte"):
        sync(ingestion, log)


@pytest.mark.parametrize("cancel", [True, False])
def test_a_job_that_takes_too_long_goes_on(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog, cancel: bool
) -> None:
    course = airbyte.plan(Course.held("queued"))
    impatient = like(ingestion, airbyte, poll_timeout=2.0, cancel_on_termination=cancel)
    with pytest.raises(AirbyteError, match=r"job 1 is still queued after 2 s\. It goes on"):
        sync(impatient, log)
    assert statuses(airbyte) == [("sync", "queued")]
    course.released.set()
    sync(ingestion, log)
    # Whether the next run attached to it, or came when it had ended.
    assert statuses(airbyte)[0] == ("sync", "succeeded")


@pytest.mark.parametrize("cancel", [True, False])
def test_a_terminated_run_cancels_its_job_only_when_asked_to(
    airbyte: AirbyteStandIn,
    ingestion: AirbyteIngestion,
    log: RecordedLog,
    monkeypatch: pytest.MonkeyPatch,
    cancel: bool,
) -> None:
    airbyte.plan(Course.held())

    def interrupted(_: float) -> None:
        if airbyte.jobs[-1].status == "running":
            raise KeyboardInterrupt

    # Only the clock of the run: the stand-in sleeps, too.
    clock = SimpleNamespace(monotonic=time.monotonic, sleep=interrupted)
    monkeypatch.setattr("dvd_rental_pipeline.ingestion.airbyte.resource.time", clock)
    with pytest.raises(KeyboardInterrupt):
        sync(like(ingestion, airbyte, cancel_on_termination=cancel), log)
    deadline = time.monotonic() + 20
    while cancel and airbyte.jobs[-1].is_running and time.monotonic() < deadline:
        time.sleep(0.01)
    assert statuses(airbyte) == [("sync", "cancelled" if cancel else "running")]
    assert cancellations(airbyte) == cancel


def test_a_long_wait_is_told_now_and_then(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dvd_rental_pipeline.ingestion.airbyte.resource._PROGRESS_SECONDS", 0.1)
    airbyte.plan(Course(("running",), seconds=0.6))
    sync(ingestion, log)
    assert sum("Airbyte job 1 is running, after" in line for line in log.lines) >= 3


def test_a_table_that_the_sync_did_not_bring_fails_alone(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog
) -> None:
    recorder: Any = log
    with_city = replace(DVD_RENTAL, tables=DVD_RENTAL.tables[:4])
    wanted = {table.name for table in with_city.tables}
    outcome = ingestion.sync(with_city, recorder)
    assert set(outcome.metadata) == wanted & {"film", "actor"}
    assert set(outcome.failures) == wanted - {"film", "actor"}
    assert all("has succeeded, but it cannot be read" in reason for reason in outcome.failures.values())


def test_without_the_internal_api_the_sync_still_reports(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog
) -> None:
    airbyte.fail(1, 404, path="get_without_logs")
    film = sync(ingestion, log).metadata["film"]
    assert "rows_synced" not in film
    assert film["dagster/row_count"].value == 2


def test_a_run_shows_the_job_in_its_tags_and_in_every_materialization(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, tmp_path: Path
) -> None:
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        result = dg.materialize(
            [build_ingestion_assets(DOMAIN)],
            resources={"ingestion": ingestion, "warehouse": ingestion.warehouse},
            instance=instance,
        )
        run = instance.get_run_by_id(result.run_id)
        assert run is not None
        assert run.tags["airbyte/job_id"] == "1"
        assert run.tags["airbyte/connection_id"] == ingestion.connection_id
    materializations = result.asset_materializations_for_node("dvd_rental_ingestion")
    assert {one.metadata["dagster/row_count"].value for one in materializations} == {2}
    assert all(one.metadata["airbyte_job"].value.endswith("jobId=1") for one in materializations)


def test_a_failure_is_shown_in_its_own_words_and_not_retried(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion
) -> None:
    airbyte.plan(Course(outcome="failed", failures=("The disk is full.",)))
    result = dg.materialize(
        [build_ingestion_assets(DOMAIN)],
        resources={"ingestion": ingestion, "warehouse": ingestion.warehouse},
        raise_on_error=False,
    )
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    data = failed.step_failure_data.user_failure_data
    assert data is not None
    assert "The disk is full." in str(data.description)
    assert len(airbyte.jobs) == 1


@pytest.mark.heavy
def test_a_minute_of_outage_is_waited_out_with_the_settings_of_production(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, log: RecordedLog
) -> None:
    settings = Settings()
    patient = like(
        ingestion,
        airbyte,
        request_timeout=settings.airbyte_request_timeout,
        request_max_retries=settings.airbyte_request_max_retries,
        request_retry_delay=settings.airbyte_request_retry_delay,
        poll_interval=1.0,
        poll_timeout=settings.airbyte_poll_timeout,
    )
    course = airbyte.plan(Course.held())
    result: list[SyncOutcome] = []
    run = threading.Thread(target=lambda: result.append(sync(patient, log)))
    run.start()
    while not airbyte.jobs:
        time.sleep(0.05)
    airbyte.stop()
    course.released.set()
    time.sleep(62)
    airbyte.start()
    run.join(30)
    assert result[0].failures == {}
    assert statuses(airbyte) == [("sync", "succeeded")]


def test_an_inspection_tells_how_the_connection_deviates_and_goes_on_without_airbyte(
    airbyte: AirbyteStandIn, ingestion: AirbyteIngestion, connection: Connection, log: RecordedLog
) -> None:
    recorder: Any = log
    for stream in connection.streams:
        if stream["name"] == "film":
            stream["primaryKey"] = [["title"]]
    found = ingestion.inspect(DOMAIN, recorder)
    assert found.facts is None
    assert "DVD_RENTAL_SOURCE_URL" in found.not_compared
    assert found.deviations is not None
    (fault,) = (one for one in found.deviations if one.is_fault)
    assert (fault.table, "title, should be film_id" in fault.told) == ("film", True)
    airbyte.stop()
    impatient = like(ingestion, airbyte, request_max_retries=1)
    (away,) = impatient.inspect(DOMAIN, recorder).deviations or ()
    assert (away.table, away.is_fault) == (None, False)
    assert "cannot be reached" in away.told
