"""What we rely on in Dagster's private modules: an upgrade that changes any of it fails here, by name."""

import inspect
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import Connection, create_engine, text

from dvd_rental_pipeline.core.private_api.dagster import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
    CronFreshnessPolicy,
    FreshnessState,
    StepEventStatus,
    TimeWindowFreshnessPolicy,
    UnresolvedAssetJobDefinition,
)
from dvd_rental_pipeline.core.private_api.dagster_storage import (
    AssetRecord,
    ConfigurableClassData,
    DagsterSqliteStorage,
    SqliteEventLogStorage,
)

FILM = dg.AssetKey("film")
SCORE_IS_LOW = dg.AssetCheckKey(FILM, "score_is_low")


@dg.asset(check_specs=[dg.AssetCheckSpec("score_is_low", asset=FILM)])
def film() -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Materializes, with a check that warns."""
    yield dg.MaterializeResult()
    yield dg.AssetCheckResult(
        passed=False, severity=dg.AssetCheckSeverity.WARN, metadata={"rows": 3}, description="3 rows"
    )


@dg.asset
def rental() -> None:
    """Fails."""
    raise dg.Failure("expected")


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    """An instance with one run, in which `film` was materialized and `rental` failed."""
    with dg.DagsterInstance.ephemeral() as instance:
        dg.materialize([film, rental], instance=instance, raise_on_error=False)
        yield instance


def test_a_time_window_policy_exposes_its_fail_window() -> None:
    policy = dg.FreshnessPolicy.time_window(fail_window=timedelta(minutes=30))
    assert isinstance(policy, TimeWindowFreshnessPolicy)
    assert policy.fail_window.to_timedelta() == timedelta(minutes=30)


def test_a_cron_policy_exposes_deadline_bound_and_time_zone() -> None:
    policy = dg.FreshnessPolicy.cron(
        deadline_cron="0 6 * * *", lower_bound_delta=timedelta(hours=2), timezone="Europe/London"
    )
    assert isinstance(policy, CronFreshnessPolicy)
    assert policy.deadline_cron == "0 6 * * *"
    assert policy.lower_bound_delta == timedelta(hours=2)
    assert policy.timezone == "Europe/London"


def test_freshness_states_by_name() -> None:
    assert {state.name for state in FreshnessState} == {"PASS", "WARN", "FAIL", "UNKNOWN", "NOT_APPLICABLE"}


def test_the_instance_returns_freshness_states_by_asset_key(instance: dg.DagsterInstance) -> None:
    assert not instance.get_freshness_state_records([FILM])
    assert list(inspect.signature(instance.get_freshness_state_records).parameters) == ["keys"]


def test_define_asset_job_returns_an_unresolved_job() -> None:
    job = dg.define_asset_job("films", selection="film")
    assert type(job) is UnresolvedAssetJobDefinition
    assert job.name == "films"


def test_step_statistics_name_the_step_that_failed(instance: dg.DagsterInstance) -> None:
    (run,) = instance.get_runs()
    statuses = {step.step_key: step.status for step in instance.get_run_step_stats(run.run_id)}
    assert statuses == {"film": StepEventStatus.SUCCESS, "rental": StepEventStatus.FAILURE}


def test_check_execution_statuses_by_name() -> None:
    assert {status.name for status in AssetCheckExecutionRecordStatus} == {"PLANNED", "SUCCEEDED", "FAILED"}


def test_the_latest_check_execution_holds_its_evaluation(instance: dg.DagsterInstance) -> None:
    (run,) = instance.get_runs()
    latest = instance.event_log_storage.get_latest_asset_check_execution_by_key([SCORE_IS_LOW])
    record = latest[SCORE_IS_LOW]
    assert isinstance(record, AssetCheckExecutionRecord)
    assert record.status is AssetCheckExecutionRecordStatus.FAILED
    assert record.run_id == run.run_id
    assert record.create_timestamp > 0
    assert record.event is not None
    assert record.event.step_key == "film"
    evaluation = record.evaluation
    assert evaluation is not None
    assert evaluation.severity is dg.AssetCheckSeverity.WARN
    assert evaluation.description == "3 rows"
    assert evaluation.metadata["rows"] == dg.IntMetadataValue(3)
    assert evaluation.target_materialization_data is not None


def test_the_check_history_is_newest_first_and_limited(instance: dg.DagsterInstance) -> None:
    history = instance.event_log_storage.get_asset_check_execution_history(SCORE_IS_LOW, limit=10)
    assert [record.status for record in history] == [AssetCheckExecutionRecordStatus.FAILED]
    dg.materialize([film], instance=instance)
    history = instance.event_log_storage.get_asset_check_execution_history(SCORE_IS_LOW, limit=10)
    first, second = history
    assert first.create_timestamp >= second.create_timestamp
    assert first.id > second.id
    assert len(instance.event_log_storage.get_asset_check_execution_history(SCORE_IS_LOW, limit=1)) == 1


def test_an_asset_record_holds_its_last_materialization(instance: dg.DagsterInstance) -> None:
    (record,) = instance.get_asset_records([FILM])
    assert isinstance(record, AssetRecord)
    assert record.asset_entry.asset_key == FILM
    materialized = record.asset_entry.last_materialization_record
    assert materialized is not None
    assert materialized.storage_id > 0
    assert materialized.timestamp > 0
    assert instance.get_run_by_id(materialized.run_id) is not None


def test_a_sqlite_event_log_has_the_members_that_ours_overrides_or_calls(tmp_path: Path) -> None:
    storage = SqliteEventLogStorage(str(tmp_path))
    assert list(inspect.signature(storage._connect).parameters) == ["shard"]
    assert list(inspect.signature(storage._initdb).parameters) == ["engine", "for_index_shard"]
    assert list(inspect.signature(storage.store_event).parameters) == ["event"]
    assert isinstance(storage._connect("index"), AbstractContextManager)
    with storage._connect("index") as connection:
        assert isinstance(connection, Connection)
    with storage._db_lock:
        assert "index" in storage._initialized_dbs
    assert storage._base_dir == str(tmp_path)
    assert storage.path_for_shard("some_run") == str(tmp_path / "some_run.db")
    storage.dispose()


def test_every_connection_of_a_sqlite_event_log_comes_from_connect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = SqliteEventLogStorage(str(tmp_path))
    shards: list[str] = []
    connect = storage._connect

    def recording_connect(shard: str) -> AbstractContextManager[Connection]:
        shards.append(shard)
        return connect(shard)

    monkeypatch.setattr(storage, "_connect", recording_connect)
    with storage.index_connection():
        pass
    with storage.run_connection("some_run"):
        pass
    assert shards == ["index", "some_run"]
    storage.dispose()


def test_an_uninitialized_shard_is_made_by_initdb(tmp_path: Path) -> None:
    storage = SqliteEventLogStorage(str(tmp_path))
    engine = create_engine(storage.conn_string_for_shard("some_run"))
    storage._initdb(engine)
    with engine.connect() as connection:
        assert connection.execute(text("select count(*) from event_logs")).scalar_one() == 0
        assert connection.execute(text("pragma journal_mode")).scalar_one() == "wal"
    engine.dispose()
    storage.dispose()


def test_a_sqlite_storage_keeps_its_event_log_below_the_base_folder(tmp_path: Path) -> None:
    storage = DagsterSqliteStorage.from_local(str(tmp_path), inst_data=None)
    assert isinstance(storage._event_log_storage, SqliteEventLogStorage)
    assert storage.event_log_storage is storage._event_log_storage
    assert storage._event_log_storage._base_dir == str(tmp_path / "history" / "runs")
    assert list(inspect.signature(DagsterSqliteStorage).parameters) == ["base_dir", "inst_data"]
    storage.dispose()


def test_dagster_builds_a_custom_storage_from_its_config_value() -> None:
    parameters = list(inspect.signature(DagsterSqliteStorage.from_config_value).parameters)
    assert parameters == ["inst_data", "config_value"]
    assert set(DagsterSqliteStorage.config_type()) == {"base_dir"}
    data = ConfigurableClassData(
        "dvd_rental_pipeline.core.private_api.dagster_storage", "DagsterSqliteStorage", "{}"
    )
    assert data.class_name == "DagsterSqliteStorage"
