"""The history of runs in SQLite: compatible with Dagster's own storage."""

import threading
from pathlib import Path

import dagster as dg
import pytest

from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.runs.history import OPEN_FILES
from dvd_rental_pipeline.runs.instance import open_instance


@dg.asset(check_specs=[dg.AssetCheckSpec("holds", asset="counted")])
def counted() -> dg.MaterializeResult:
    return dg.MaterializeResult(
        metadata={"rows": 3}, check_results=[dg.AssetCheckResult(check_name="holds", passed=True)]
    )


def materialize(instance: dg.DagsterInstance) -> str:
    return dg.materialize([counted], instance=instance).run_id


def test_dagsters_own_storage_reads_the_history(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with open_instance(settings) as instance:
        runs = [materialize(instance) for _ in range(OPEN_FILES + 2)]
        assert [run.run_id for run in instance.get_runs()] == runs[::-1]
        assert len(instance.all_logs(runs[0])) == len(instance.all_logs(runs[-1])) > 5
    with dg.DagsterInstance.local_temp(str(settings.dagster_dir)) as stock:
        assert [run.run_id for run in stock.get_runs()] == runs[::-1]
        latest = stock.get_latest_materialization_event(counted.key)
        assert latest is not None
        assert latest.run_id == runs[-1]


def test_a_history_of_dagsters_own_storage_is_continued(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    settings.dagster_dir.mkdir(parents=True)
    with dg.DagsterInstance.local_temp(str(settings.dagster_dir)) as stock:
        before = materialize(stock)
    with open_instance(settings) as instance:
        after = materialize(instance)
        assert [run.run_id for run in instance.get_runs()] == [after, before]


def test_a_running_run_can_be_watched_by_another_process(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    seen: list[str] = []
    enough = threading.Event()

    def notice(entry: dg.EventLogEntry, cursor: str) -> None:
        seen.append(entry.user_message)
        if entry.user_message == "second":
            enough.set()

    @dg.op
    def speaks(context: dg.OpExecutionContext) -> None:
        context.log.info("first")
        with open_instance(settings) as watching:
            watching.watch_event_logs(context.run_id, None, notice)
            context.log.info("second")
            if not enough.wait(20):
                pytest.fail(f"the watcher was not notified: {seen}")

    @dg.job
    def talk() -> None:
        speaks()

    with open_instance(settings) as instance:
        assert talk.execute_in_process(instance=instance).success
