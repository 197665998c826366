"""The schedule of a source: never the first sync, never two syncs at once."""

import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterRunStatus
from dagster._core.test_utils import create_run_for_test

from dvd_rental_pipeline.automation.schedules import build_sync_schedule
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline_tests.automation.history import History, at


@pytest.fixture(scope="module")
def synced(
    excerpt: dg.Definitions, created_history: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[History]:
    """An instance after a sync. On SQLite: in a test, a schedule can use no other instance."""
    folder = shutil.copytree(created_history, tmp_path_factory.mktemp("home") / "dagster")
    with dg.DagsterInstance.local_temp(str(folder)) as instance:
        history = History(excerpt, instance)
        history.build(history.keys("raw"))
        yield history


@pytest.fixture
def history(synced: History) -> Iterator[History]:
    """An instance after a sync, and without other runs."""
    yield synced
    for run in synced.instance.get_runs():
        synced.instance.delete_run(run.run_id)


def evaluate(history: History, when: datetime) -> dg.RunRequest | dg.SkipReason:
    context = dg.build_schedule_context(instance=history.instance, scheduled_execution_time=when)
    answer = build_sync_schedule(DVD_RENTAL, "*/15 * * * *")(context)
    assert isinstance(answer, dg.RunRequest | dg.SkipReason)
    return answer


def test_the_first_sync_is_started_by_a_person(excerpt: dg.Definitions, history_folder: Path) -> None:
    with dg.DagsterInstance.local_temp(str(history_folder)) as instance:
        answer = evaluate(History(excerpt, instance), at("04:00"))
    assert isinstance(answer, dg.SkipReason)
    assert "dvd-rental run" in str(answer.skip_message)


def test_later_syncs_are_scheduled(history: History) -> None:
    assert isinstance(evaluate(history, at("04:00")), dg.RunRequest)


def test_it_waits_for_any_running_sync(history: History) -> None:
    run = history.begin_run(history.keys("raw"))
    answer = evaluate(history, at("04:15"))
    assert isinstance(answer, dg.SkipReason)
    assert run.run_id[:8] in str(answer.skip_message)
    history.instance.report_run_failed(run)
    assert isinstance(evaluate(history, at("04:30")), dg.RunRequest)


@pytest.mark.parametrize("layer", ["marts", "reports"])
def test_it_does_not_wait_for_models(history: History, layer: str) -> None:
    history.begin_run(history.keys(layer))
    assert isinstance(evaluate(history, at("04:15")), dg.RunRequest)


@pytest.mark.parametrize("status", DagsterRunStatus)
def test_it_waits_for_a_run_of_every_status_but_the_final_ones(
    history: History, status: DagsterRunStatus
) -> None:
    history.begin_run(history.keys("raw"), status=status)
    waits = isinstance(evaluate(history, at("04:15")), dg.SkipReason)
    final = {DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED}
    # Of what Dagster does not launch itself, nothing is known.
    assert waits == (status not in final | {DagsterRunStatus.MANAGED})


@pytest.mark.parametrize(
    ("job", "waits"), [("dvd_rental", True), ("dvd_rental_sync", True), ("totesys", False)]
)
def test_it_waits_for_whole_jobs_of_its_own_source_alone(history: History, job: str, waits: bool) -> None:
    create_run_for_test(history.instance, job_name=job, status=DagsterRunStatus.STARTED)
    assert isinstance(evaluate(history, at("04:15")), dg.SkipReason) == waits
