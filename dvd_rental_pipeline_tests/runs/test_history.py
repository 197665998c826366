"""The history of runs in SQLite: compatible with Dagster's own storage."""

import multiprocessing
import shutil
import sqlite3
import threading
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.scheduler.instigation import InstigatorType, TickData, TickStatus

from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.runs import history
from dvd_rental_pipeline.runs.history import OPEN_FILES, EventLog
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


def test_a_batch_of_events_is_stored_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_instance(Settings(home=tmp_path)) as instance:
        storage = instance.event_log_storage
        assert isinstance(storage, EventLog)
        entries = instance.all_logs(materialize(instance))
        copies = [entries[0]._replace(run_id=str(uuid.uuid4()))] * 3
        run_id = copies[0].run_id

        storage.store_event_batch(copies)
        assert len(instance.all_logs(run_id)) == 3

        stored = iter([None, None, RuntimeError("third")])
        insert = storage.prepare_insert_event

        def fail_third(event: dg.EventLogEntry) -> object:
            if (error := next(stored)) is not None:
                raise error
            return insert(event)

        monkeypatch.setattr(storage, "prepare_insert_event", fail_third)
        with pytest.raises(RuntimeError, match="third"):
            storage.store_event_batch(copies)
        assert len(instance.all_logs(run_id)) == 3
        monkeypatch.undo()
        storage.store_event(copies[0])
        assert len(instance.all_logs(run_id)) == 4


def test_an_event_is_stored_with_what_the_index_has_of_it_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_instance(Settings(home=tmp_path)) as instance:
        storage = instance.event_log_storage
        (evaluation,) = instance.all_logs(
            materialize(instance), of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED
        )
        copy = evaluation._replace(run_id=str(uuid.uuid4()))
        key = dg.AssetCheckKey(counted.key, "holds")

        def fail(*_: object) -> None:
            raise RuntimeError("the index")

        with monkeypatch.context() as patch:
            patch.setattr(storage, "store_asset_check_event", fail)
            with pytest.raises(RuntimeError, match="the index"):
                storage.store_event(copy)
        assert instance.all_logs(copy.run_id) == []
        assert len(storage.get_asset_check_execution_history(key, limit=5)) == 1
        storage.store_event(copy)
        assert len(instance.all_logs(copy.run_id)) == 1
        assert len(storage.get_asset_check_execution_history(key, limit=5)) == 2


def test_what_a_run_plans_is_stored_in_one_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[int] = []
    store = EventLog.store_event_batch

    def count(storage: EventLog, events: Sequence[dg.EventLogEntry]) -> None:
        batches.append(len(events))
        store(storage, events)

    monkeypatch.setattr(EventLog, "store_event_batch", count)
    with open_instance(Settings(home=tmp_path)) as instance:
        run_id = materialize(instance)
        planned = [
            entry.dagster_event_type
            for entry in instance.all_logs(run_id)
            if entry.dagster_event_type is not None and entry.dagster_event_type.value.endswith("_PLANNED")
        ]
    assert batches == [2]
    assert len(planned) == 2


def test_a_deleted_run_leaves_no_file_and_only_the_last_result_of_each_check(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with open_instance(settings) as instance:
        runs = [materialize(instance) for _ in range(3)]
        for run_id in runs:
            instance.delete_run(run_id)
        assert instance.get_runs() == []
    assert [file for file in settings.dagster_dir.rglob("*.db*") if file.name.partition(".")[0] in runs] == []
    with sqlite3.connect(settings.dagster_dir / "history" / "runs" / "index.db") as index:
        assert index.execute("select run_id from asset_check_executions").fetchall() == [(runs[-1],)]


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


def _tick(instance: dg.DagsterInstance, number: int) -> None:
    """Write what the daemon writes: a cursor, a heartbeat, the state of a sensor."""
    instance.daemon_cursor_storage.set_cursor_values({"sensor": str(number)})
    name = f"sensor_{number}"
    tick = TickData(name, name, InstigatorType.SENSOR, TickStatus.STARTED, float(number))
    instance.create_tick(tick)


@pytest.mark.slow
@pytest.mark.parametrize("file", ["history/runs.db", "schedules/schedules.db", "history/runs/index.db"])
def test_a_writer_is_waited_for(tmp_path: Path, file: str) -> None:
    settings = Settings(home=tmp_path)
    with open_instance(settings) as instance:
        _tick(instance, 0)
        other = sqlite3.connect(settings.dagster_dir / file, isolation_level=None, check_same_thread=False)
        other.execute("begin immediate")
        # SQLite's own default is 5 seconds: anything that waits longer was configured to.
        release = threading.Timer(6, lambda: (other.execute("rollback"), other.close()))
        release.start()
        _tick(instance, 1)
        run_id = materialize(instance)
        release.join()
        assert instance.get_run_by_id(run_id).status is dg.DagsterRunStatus.SUCCESS  # type: ignore[union-attr]


def _execute_runs(home: str) -> None:
    with open_instance(Settings(home=Path(home))) as instance:
        for _ in range(4):
            materialize(instance)


def _run_daemon(home: str) -> None:
    for number in range(40):
        # An instance per tick, as in a code server.
        with open_instance(Settings(home=Path(home))) as instance:
            _tick(instance, number)


def _browse(home: str) -> None:
    for _ in range(40):
        with open_instance(Settings(home=Path(home))) as instance:
            instance.get_run_records(limit=25)
            instance.get_asset_records()


@pytest.mark.slow
def test_a_run_the_daemon_and_the_ui_begin_in_an_empty_home_at_once(tmp_path: Path) -> None:
    # Forks of a process that has imported this module, and with it Dagster, once for all.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    workers: list[Callable[[str], None]] = [_execute_runs, _execute_runs, _run_daemon, _browse]
    processes = [context.Process(target=worker, args=(str(tmp_path),)) for worker in workers]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=120)
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    with open_instance(Settings(home=tmp_path)) as instance:
        assert {run.status for run in instance.get_runs()} == {dg.DagsterRunStatus.SUCCESS}
        assert instance.get_runs_count() == 8


def test_the_schema_is_compared_with_the_migrations_once_per_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[str] = []
    original = history.RunStorage.from_local

    def count(base_dir: str) -> object:
        compared.append(base_dir)
        return original(base_dir)

    monkeypatch.setattr(history.RunStorage, "from_local", count)
    for _ in range(3):
        with open_instance(Settings(home=tmp_path)) as instance:
            assert instance.get_runs() == []
    assert len(compared) == 1
    shutil.rmtree(tmp_path / "dagster")
    with open_instance(Settings(home=tmp_path)) as instance:
        assert instance.get_runs() == [], "a file that was deleted is created again"
    assert len(compared) == 2
