"""A working day of all four pipelines under Dagster's daemons: one run per cause, all in time.

The day goes from the reports of the morning until after the shops are closed, and ends with the comparison of
the night. Runs are processes of their own, which use one warehouse.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import takewhile
from pathlib import Path

import dagster as dg
import psutil
import pytest
from dagster._utils.schedules import cron_string_iterator

from dvd_rental_pipeline.automation.alerts import Alert, Severity
from dvd_rental_pipeline.core.run_tags import CAUSE
from dvd_rental_pipeline.pipelines.signups import assets as signups_assets
from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres
from dvd_rental_pipeline_tests.end_to_end.asset_history import (
    builds_without_cause,
    read_materializations,
    updates_without_build,
)
from dvd_rental_pipeline_tests.end_to_end.forked_runs import EndedProcess
from dvd_rental_pipeline_tests.end_to_end.four_pipelines import (
    BATCH_SIZE,
    CLOSED,
    OPEN,
    START,
    STEP,
    FourPipelines,
    running_pipelines,
    running_sources,
)
from dvd_rental_pipeline_tests.end_to_end.lock_waits import LockWaits
from dvd_rental_pipeline_tests.end_to_end.pipeline_contents import (
    assert_nothing_is_lost,
    orders_in_source,
    orders_in_warehouse,
)
from dvd_rental_pipeline_tests.parsed_project import ParsedProject
from dvd_rental_pipeline_tests.stand_ins.recorded_alerts import SENT

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(5400)]

END = START.replace(hour=CLOSED + 1, minute=0)
NIGHT = (START + timedelta(days=1)).replace(hour=3, minute=40)
MAX_WAIT = 10.0
MAX_GROWTH = 100 * 2**20
MAX_PEAK = 1500 * 2**20
CRONS = {
    "dvd_rental_sync": "*/15 * * * *",
    "signups_sync": "7-59/15 * * * *",
    "totesys_ingestion": "*/10 * * * *",
    "totesys_loading": "5-59/10 * * * *",
}
# New users are loaded once per step here, and not every minute: the runs of an hour are six.
RUNS_OF_AN_HOUR = 6


@dataclass
class Day:
    """The deployment after the day. Memory of the process of the daemons is in bytes."""

    four: FourPipelines
    waits: list[tuple[float, str]]
    processes: list[EndedProcess]
    alerts: list[Alert]
    memory_of_morning: int
    memory_of_evening: int

    def runs_of(self, job: str) -> list[dg.DagsterRun]:
        return [run for run in self.four.runs if run.job_name == job]


@pytest.fixture(scope="module")
def day(
    postgres: EmbeddedPostgres, parsed_project: ParsedProject, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Day]:
    folder = tmp_path_factory.mktemp("day")
    with pytest.MonkeyPatch.context() as monkeypatch, running_sources(postgres, folder) as sources:
        keep = partial(signups_assets.delete_old_runs, keep=RUNS_OF_AN_HOUR)
        monkeypatch.setattr(signups_assets, "delete_old_runs", keep)
        waits = LockWaits(folder / "waits", monkeypatch)
        with running_pipelines(sources, parsed_project, folder, monkeypatch) as four:
            four.run_until(START.replace(hour=OPEN, minute=0))
            memory_of_morning = psutil.Process().memory_info().rss
            four.run_until(END)
            memory_of_evening = psutil.Process().memory_info().rss
            alerts = list(SENT)
            # The comparison finds what was deleted; it is transformed and loaded afterwards.
            four.daemons.now = NIGHT - STEP
            four.run_until(NIGHT + 4 * STEP)
            yield Day(four, waits.all(), four.launcher().ended, alerts, memory_of_morning, memory_of_evening)


def test_every_run_succeeds_in_its_own_process(day: Day) -> None:
    runs = Counter((run.job_name, run.status.value) for run in day.four.runs)
    print(*sorted(runs.items()), sep="\n")
    assert {status for _, status in runs} == {"SUCCESS"}
    assert {process.exit_code for process in day.processes} == {0}


def test_no_run_waits_ten_seconds_for_the_warehouse(day: Day) -> None:
    print("longest waits:", *day.waits[:5], sep="\n")
    assert day.waits[0][0] < MAX_WAIT
    assert len(day.waits) > len(day.four.runs), "waits are recorded"


def test_each_tick_of_a_schedule_has_one_run(day: Day) -> None:
    for job, cron in CRONS.items():
        times = [run.tags[".dagster/scheduled_execution_time"] for run in day.runs_of(job)]
        of_the_day = sorted(datetime.fromisoformat(time) for time in times)
        of_the_day = [time for time in of_the_day if START <= time <= END]
        ticks = cron_string_iterator(START.timestamp(), cron, "UTC")
        assert of_the_day == list(takewhile(lambda tick: tick <= END, ticks)), job


def test_each_landed_run_and_each_sales_file_has_one_run(day: Day) -> None:
    transformed = Counter(run.tags[CAUSE] for run in day.runs_of("totesys_transformation"))
    lake = day.four.definitions.resources["totesys_lake"] if day.four.definitions.resources else None
    assert lake is not None
    # The first run landed, transformed and loaded.
    landed = [f"run {manifest.sequence} landed" for manifest in lake.landing_zone.manifests()][1:]
    assert transformed == Counter(landed)
    assert len(landed) >= CLOSED - OPEN
    # One for each file of an opening hour; the first file was there before the day.
    keys = Counter(run.tags["dagster/run_key"] for run in day.runs_of("sales"))
    assert set(keys.values()) == {1}
    assert len(keys) == CLOSED - OPEN


def test_models_are_built_once_after_each_update_of_an_input(day: Day) -> None:
    graph = day.four.definitions.resolve_asset_graph()
    models = [key for key in graph.materializable_asset_keys if key.path[0] in ("staging", "marts")]
    assert len(models) > 10
    instance = day.four.daemons.instance
    for key in models:
        built = read_materializations(instance, key)
        inputs = [
            each for parent in graph.get(key).parent_keys for each in read_materializations(instance, parent)
        ]
        assert builds_without_cause(built, inputs) == [], key
        # What becomes known while a run is evaluated waits for the next step.
        assert updates_without_build(built, inputs, within=2 * STEP, until=END) == [], key


def test_reports_are_built_in_the_morning_and_those_of_sales_with_each_file(day: Day) -> None:
    graph = day.four.definitions.resolve_asset_graph()
    hours = {
        key.path[-1]: [
            built.time.hour
            for built in read_materializations(day.four.daemons.instance, key)
            if START <= built.time <= END
        ]
        for key in graph.materializable_asset_keys
        if key.path[0] == "reports"
    }
    assert hours == {
        "revenue_by_day": [5],
        "signup_demographics": [5],
        "totesys_top_staff": [5],
        "product_line_sales": list(range(OPEN, CLOSED)),
    }


def test_every_minute_of_new_users_is_loaded_once(day: Day) -> None:
    ((minutes, first, last, received),) = day.four.sources.query(
        "signups", "select count(*), min(minute), max(minute), sum(received) from signups.loaded_batches"
    )
    assert minutes == (last - first) / timedelta(minutes=1) + 1
    assert received == minutes * BATCH_SIZE
    ((users,),) = day.four.sources.query("signups", "select count(*) from signups.users")
    ((rejected, updated),) = day.four.sources.query(
        "signups", "select sum(rejected), sum(updated) from signups.loaded_batches"
    )
    assert users == received - rejected - updated


def test_the_tables_equal_their_sources(day: Day) -> None:
    assert_nothing_is_lost(day.four)
    assert orders_in_warehouse(day.four) == orders_in_source(day.four), "the night's comparison finds deletions"


def test_nothing_is_overdue_and_no_error_is_alerted(day: Day) -> None:
    assert [alert.title for alert in day.alerts if alert.severity is Severity.ERROR] == []
    assert [alert.title for alert in day.alerts if "Overdue" in alert.happened] == []


def test_memory_is_bounded(day: Day) -> None:
    grown = day.memory_of_evening - day.memory_of_morning
    peak = max(process.peak_bytes for process in day.processes)
    print(f"the daemons grew by {grown / 2**20:.0f} MB; the largest run used {peak / 2**20:.0f} MB")
    assert grown < MAX_GROWTH
    assert peak < MAX_PEAK


def test_the_history_has_the_runs_of_an_hour_of_new_users(day: Day) -> None:
    instance = day.four.daemons.instance
    kept = instance.get_runs(dg.RunsFilter(job_name=signups_assets.JOB))
    assert len(day.runs_of(signups_assets.JOB)) > 5 * RUNS_OF_AN_HOUR
    assert len(kept) <= RUNS_OF_AN_HOUR + 1
    # A deleted run leaves no file.
    runs = {run.run_id for run in instance.get_runs()}
    shards = {file.stem for file in Path(instance.storage_directory()).parent.rglob("*.db")}
    assert {name for name in shards if len(name) == 36} <= runs
    print(f"{_size(day.four.settings.dagster_dir) / 2**20:.0f} MB of history for {len(runs)} runs")


def test_ticks_are_purged_after_a_week(day: Day) -> None:
    instance, daemons = day.four.daemons.instance, day.four.daemons
    day.four.settings.export()
    before = _ticks(instance, until=END)
    daemons.tick(timedelta(days=8))
    daemons.tick(STEP)
    assert before > 100
    assert _ticks(instance, until=END) == 0


def _ticks(instance: dg.DagsterInstance, until: datetime) -> int:
    states = instance.all_instigator_state()
    return sum(
        len(instance.get_ticks(state.instigator_origin_id, state.selector_id, before=until.timestamp()))
        for state in states
    )


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
