"""The report reads the state and history of each check from every storage that Dagster supports here."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned

from dvd_rental_pipeline.core.private_api import dagster_storage
from dvd_rental_pipeline.core.private_api.dagster import AssetCheckExecutionRecordStatus
from dvd_rental_pipeline.publishing.check_report import reading
from dvd_rental_pipeline.publishing.check_report.executions import (
    CheckExecution,
    read_earlier_by_check,
    read_histories,
)
from dvd_rental_pipeline.publishing.check_report.records import Outcome, Urgency, urgency
from dvd_rental_pipeline_tests.publishing.scripted_checks import MART, RAW, Scene


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def scene(request: pytest.FixtureRequest, history_folder: Path, tmp_path: Path) -> Iterator[Scene]:
    """The scripted graph on an instance with SQLite storage, and on one with PostgreSQL storage."""
    if request.param == "sqlite":
        with dg.DagsterInstance.local_temp(str(history_folder)) as instance:
            yield Scene(instance)
        return
    # Dagster needs this driver, which is no longer SQLAlchemy's default.
    url = request.getfixturevalue("database_url").replace("postgresql://", "postgresql+psycopg2://")
    config = {"storage": {"postgres": {"postgres_url": url}}, "telemetry": {"enabled": False}}
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=config) as instance:
        yield Scene(instance)


def test_each_execution_has_its_outcome(scene: Scene) -> None:
    assert {record.outcome for record in scene.records().values()} == {Outcome.NOT_RUN}

    scene.run({"amounts": "warn"})
    records = scene.records()
    assert records["keys"].outcome is Outcome.PASSED
    assert records["amounts"].outcome is Outcome.WARNED
    assert records["amounts"].severity == "warn"

    run_id = scene.run({"keys": "fail", "amounts": "raise"})
    records = scene.records()
    assert records["keys"].outcome is Outcome.FAILED
    assert records["keys"].blocks
    assert records["amounts"].outcome is Outcome.ERRORED, "its step raised"
    assert records["totals"].outcome is Outcome.SKIPPED, "its asset was not built"
    assert "a step that it depends on failed" in records["totals"].found
    assert {record.run_id for record in records.values()} == {run_id}


def test_a_record_has_what_the_evaluation_found(scene: Scene) -> None:
    scene.run({"keys": "fail"})
    record = scene.records()["keys"]
    assert (record.asset, record.layer, record.owners) == ("dvd_rental/payment", "raw", ["data_platform"])
    assert record.description == "Every row has its own key"
    assert record.failed_rows == 2
    assert record.found == "2 rows fail."
    assert record.numbers == {"share": 0.25}
    assert record.runbook == "primary-key"
    assert list(record.sample[0]) == ["payment_id", "note"], (
        "in the order of the schema, without private columns"
    )


def test_a_description_may_name_the_runbook_section(scene: Scene) -> None:
    record = scene.records()["amounts"]
    assert record.runbook == "dbt-tests"
    assert record.description == "No amount below zero."


def test_the_history_is_the_last_outcomes_oldest_first(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    assert reading.HISTORY_LENGTH == 10, "the report and its schema say so"
    monkeypatch.setattr(reading, "HISTORY_LENGTH", 3)
    for outcome in ("fail", "fail", "pass", "fail", "pass"):
        scene.run({"keys": outcome}, assets=[RAW])
    record = scene.records()["keys"]
    assert [past.outcome for past in record.history] == [Outcome.PASSED, Outcome.FAILED, Outcome.PASSED]
    assert [past.at for past in record.history] == sorted(past.at for past in record.history)


def test_a_check_is_out_of_date_after_its_asset_is_built_without_it(scene: Scene) -> None:
    scene.run()
    assert not any(record.stale for record in scene.records().values())
    scene.materialize_without_checks(MART)
    records = scene.records()
    assert records["totals"].stale
    assert urgency(records["totals"]) is Urgency.STALE
    assert not records["keys"].stale
    scene.run(assets=[MART])
    assert not scene.records()["totals"].stale


def test_a_planned_check_is_in_progress_unless_its_run_is_ending(scene: Scene) -> None:
    job = scene.definitions().resolve_implicit_global_asset_job_def()
    run = scene.instance.create_run_for_job(job)
    for node in scene.definitions().resolve_asset_graph().asset_check_nodes:
        planned = dg.DagsterEvent(
            event_type_value="ASSET_CHECK_EVALUATION_PLANNED",
            job_name=run.job_name,
            event_specific_data=AssetCheckEvaluationPlanned(
                asset_key=node.key.asset_key, check_name=node.key.name, partitions_subset=None
            ),
        )
        scene.instance.report_dagster_event(planned, run.run_id)
    assert {record.outcome for record in scene.records().values()} == {Outcome.IN_PROGRESS}
    assert {record.outcome for record in scene.report(ending_run=run.run_id).records} == {Outcome.SKIPPED}


def test_the_number_of_queries_is_bounded(scene: Scene) -> None:
    for _ in range(2):
        scene.run()
    queries = []

    def count(*arguments: object) -> None:
        queries.append(arguments)

    sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", count)
    try:
        scene.report()
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "before_cursor_execute", count)
    reads = [arguments[2] for arguments in queries if "asset_check_executions" in str(arguments[2])]
    assert len(reads) == 2, "one query for the latest executions, and one for those before them"


def test_an_sql_storage_gives_the_history_that_any_storage_gives(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dagster_storage, "_SELECTS_PER_STATEMENT", 2)
    for outcomes in ({}, {"amounts": "warn"}, {"keys": "fail", "amounts": "raise"}, {"keys": "fail"}):
        scene.run(outcomes)
    storage = scene.instance.event_log_storage
    keys = [node.key for node in scene.definitions().resolve_asset_graph().asset_check_nodes]
    latest = storage.get_latest_asset_check_execution_by_key(keys)
    assert len(latest) == 3
    by_check = read_earlier_by_check(scene.instance, latest, 3)
    for key, (newest, *earlier) in read_histories(scene.instance, latest, 4).items():
        assert newest == CheckExecution.of(latest[key])
        assert len(earlier) == 3
        for one, other in zip(earlier, by_check[key], strict=True):
            assert (one.run_id, one.status, one.at) == (
                other.run_id,
                other.status,
                pytest.approx(other.at, rel=0, abs=1e-3),
            )
            if one.status is not AssetCheckExecutionRecordStatus.SUCCEEDED:
                assert one.event == other.event
                assert one.evaluation == other.evaluation
    assert {execution.status for history in by_check.values() for execution in history} == set(
        AssetCheckExecutionRecordStatus
    )
