"""One run in this process: its report, its output, and its history."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.run_tags import CAUSE, PROCESS
from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.runs.instance import open_instance
from dvd_rental_pipeline.runs.launch import run_graph
from dvd_rental_pipeline.runs.report import RunReport


class RefreshConfig(dg.Config):
    full_refresh: bool = False


@dg.asset(group_name="marts", check_specs=[dg.AssetCheckSpec("has_rows", asset="films")])
def films(config: RefreshConfig) -> dg.MaterializeResult:
    os.write(1, b"printed by a step\n")
    return dg.MaterializeResult(
        metadata={"dagster/row_count": 3 if config.full_refresh else 2},
        check_results=[dg.AssetCheckResult(passed=True)],
    )


@dg.asset(group_name="reports", deps=[films], check_specs=[dg.AssetCheckSpec("sums", asset="report")])
def report(config: RefreshConfig) -> dg.MaterializeResult:
    return dg.MaterializeResult(
        metadata={"dagster/row_count": 1}, check_results=[dg.AssetCheckResult(passed=False)]
    )


@dg.asset(group_name="reports", deps=[films])
def broken(config: RefreshConfig) -> None:
    raise dg.Failure("The disk is full: free some space.")


DEFINITIONS = dg.Definitions([films, report, broken])


@pytest.fixture
def settings(history_folder: Path) -> Settings:
    return Settings(home=history_folder.parent)


def run(settings: Settings, selection: str | None, **options: Any) -> RunReport:
    with open_instance(settings) as instance:
        return run_graph(
            DEFINITIONS,
            instance,
            selection=selection,
            log_file=settings.home / "run.log",
            report_progress=lambda _: None,
            **options,
        )


def test_a_run_is_summarised_by_layer(settings: Settings) -> None:
    summary = run(settings, "key:films", full_refresh=True)
    assert summary.success
    assert summary.problems == []
    (layer,) = summary.layers
    assert (layer.group, layer.tables, layer.rows, layer.checks_passed) == ("marts", 1, 3, 1)
    (step,) = summary.step_seconds
    assert layer.seconds == summary.step_seconds[step] > 0, "of a step that builds one layer"


def test_failed_checks_and_steps_are_described(settings: Settings) -> None:
    summary = run(settings, None)
    assert not summary.success
    assert "broken: The disk is full: free some space." in summary.problems
    assert "check report:sums failed" in summary.problems


def test_the_output_of_steps_goes_to_the_log_file(
    settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    run(settings, "key:films")
    assert "printed by a step" not in capfd.readouterr().out
    assert "printed by a step" in (settings.home / "run.log").read_text()
    print("after the run")
    assert capfd.readouterr().out == "after the run\n"


@pytest.mark.parametrize("selection", ["group:nothing", "key:", "((", "films and"])
def test_an_invalid_or_empty_selection_is_refused(settings: Settings, selection: str) -> None:
    with pytest.raises(PipelineError, match="selection"):
        run(settings, selection)


@pytest.mark.parametrize(
    "selection",
    [
        pytest.param("(" * 600 + "key:films" + ")" * 600, id="deeply nested"),
        pytest.param("not " * 3_000 + "key:films", id="deeply negated"),
        pytest.param("key:none or " * 500 + "key:none", id="long"),
        pytest.param("9" * 5_000 + "+key:films", id="huge number"),
        pytest.param('key:"' + "a" * 100_000 + '"', id="long name"),
        pytest.param("key:films\0", id="zero byte"),
        pytest.param("key:films'; drop table films; --", id="SQL"),
        pytest.param("key:$(touch films)", id="shell"),
    ],
)
def test_a_hostile_selection_is_refused_in_one_short_message(settings: Settings, selection: str) -> None:
    with pytest.raises(PipelineError, match=r"selection|asset") as refusal:
        run(settings, selection)
    assert len(str(refusal.value)) < 2_000


def test_runs_are_kept_between_processes(settings: Settings) -> None:
    summary = run(settings, "key:films")
    with open_instance(settings) as instance:
        kept = instance.get_run_by_id(summary.run_id)
        assert kept is not None
        assert kept.status is dg.DagsterRunStatus.SUCCESS
        assert kept.asset_selection == {films.key}, "the UI shows it as the run's target"
        assert kept.tags[CAUSE] == "dvd-rental run --select key:films", "the UI lists the tags of runs"


def test_a_run_whose_process_died_is_marked_as_failed(settings: Settings) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    with open_instance(settings) as instance:
        dead = instance.create_run_for_job(
            DEFINITIONS.resolve_implicit_global_asset_job_def(),
            status=dg.DagsterRunStatus.STARTED,
            tags={PROCESS: f"{int(ended.stdout)}@0.0"},
        )
        alive = instance.create_run_for_job(
            DEFINITIONS.resolve_implicit_global_asset_job_def(), status=dg.DagsterRunStatus.STARTED
        )
    with open_instance(settings) as instance:
        statuses = [
            run.status
            for run in (instance.get_run_by_id(dead.run_id), instance.get_run_by_id(alive.run_id))
            if run
        ]
    assert statuses == [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.STARTED]
