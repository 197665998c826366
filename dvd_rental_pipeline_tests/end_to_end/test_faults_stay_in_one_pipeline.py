"""With a fault in one pipeline, the others work as ever, and it recovers with nothing lost."""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import dagster as dg
import pytest

from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres
from dvd_rental_pipeline.sample.signups_api.faults import Fault
from dvd_rental_pipeline_tests.end_to_end.four_pipelines import (
    CLOSED,
    START,
    FourPipelines,
    running_pipelines,
    running_sources,
)
from dvd_rental_pipeline_tests.end_to_end.pipeline_contents import (
    assert_nothing_is_lost,
    orders_in_warehouse,
    records_in_warehouse,
    rentals_in_warehouse,
    users_in_warehouse,
)
from dvd_rental_pipeline_tests.parsed_project import ParsedProject
from dvd_rental_pipeline_tests.warehouse.holder import Holder

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(5400)]

HOLD = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.readline()
"""
TABLES: dict[str, Callable[[FourPipelines], object]] = {
    "rental": rentals_in_warehouse,
    "signups": users_in_warehouse,
    "totesys": orders_in_warehouse,
    "sales": records_in_warehouse,
}
# In two steps, each source is synced; what landed in the first is loaded in the second.
STEPS = 2


@pytest.fixture(scope="module")
def four(
    postgres: EmbeddedPostgres, parsed_project: ParsedProject, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FourPipelines]:
    """All pipelines, in the afternoon: the tests add the traffic."""
    folder = tmp_path_factory.mktemp("faults")
    with (
        pytest.MonkeyPatch.context() as monkeypatch,
        running_sources(postgres, folder) as sources,
        running_pipelines(sources, parsed_project, folder, monkeypatch) as four,
    ):
        four.daemons.now = START.replace(hour=CLOSED, minute=50)
        # What was late in between is caught up.
        run_steps(four, 2)
        yield four


@contextmanager
def _refused_connections(four: FourPipelines) -> Iterator[None]:
    four.sources.set_reachable("rentals", False)
    try:
        yield
    finally:
        four.sources.set_reachable("rentals", True)


@contextmanager
def _rubbish_from_the_api(four: FourPipelines) -> Iterator[None]:
    four.sources.api.faults.extend([Fault.HTML, Fault.WRONG_COUNT] * 500)
    try:
        yield
    finally:
        four.sources.api.faults.clear()


@contextmanager
def _landing_zone_without_write_access(four: FourPipelines) -> Iterator[None]:
    # Permissions do not stop the superuser.
    landing = four.settings.landing_location
    chattr = shutil.which("chattr") or "chattr"
    if subprocess.run([chattr, "-R", "+i", landing], capture_output=True, check=False).returncode:
        pytest.skip("the file system has no immutable folders, or the user may not make them")
    try:
        yield
    finally:
        subprocess.run([chattr, "-R", "-i", landing], check=True)


@contextmanager
def _rubbish_in_the_folder_of_sales(four: FourPipelines) -> Iterator[None]:
    broken = four.sources.drops / "sales_2023-01_rubbish.csv"
    broken.write_bytes(b"\x00\xff<html>" * 100)
    broken.with_name(f"{broken.name}.done").touch()
    try:
        yield
    finally:
        broken.unlink()
        broken.with_name(f"{broken.name}.done").unlink()


@dataclass(frozen=True)
class PipelineFault:
    """A fault of `pipeline`, which lasts as long as `inject`; its runs that fail meanwhile are `failing`."""

    pipeline: str
    inject: Callable[[FourPipelines], AbstractContextManager[None]]
    failing: frozenset[str]


FAULTS = {
    "the source is down": PipelineFault("rental", _refused_connections, frozenset({"dvd_rental_sync"})),
    "the API answers rubbish": PipelineFault("signups", _rubbish_from_the_api, frozenset({"signups_load"})),
    "the landing zone refuses files": PipelineFault(
        "totesys", _landing_zone_without_write_access, frozenset({"totesys_ingestion"})
    ),
    "a file is rubbish": PipelineFault("sales", _rubbish_in_the_folder_of_sales, frozenset()),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_stays_in_its_pipeline(four: FourPipelines, name: str) -> None:
    fault = FAULTS[name]
    others = set(TABLES) - {fault.pipeline}
    before = {pipeline: TABLES[pipeline](four) for pipeline in others}
    with fault.inject(four):
        four.sources.add_traffic(seed=len(name), rental_shops_open=fault.pipeline != "rental")
        assert run_steps(four, STEPS) == fault.failing
        for pipeline in others:
            assert TABLES[pipeline](four) != before[pipeline], f"{pipeline} has new rows"
    # A step may still find what the fault has left.
    run_steps(four, 1)
    assert run_steps(four, STEPS) == set()
    assert_nothing_is_lost(four)


def test_runs_wait_while_another_process_uses_the_warehouse(four: FourPipelines) -> None:
    four.sources.add_traffic(seed=1)
    holder = Holder(HOLD, four.settings.warehouse_path)
    users = four.sources.query("signups", "select count(*) from signups.users")

    def release_when_new_users_are_loaded() -> None:
        if holder.process.poll() is not None:
            return
        deadline = time.monotonic() + 120
        while four.sources.query("signups", "select count(*) from signups.users") == users:
            assert time.monotonic() < deadline, "the load of new users does not need the warehouse"
            time.sleep(0.2)
        holder.release()
        holder.process.wait()

    assert run_steps(four, 1, release_when_new_users_are_loaded) == set()
    assert run_steps(four, STEPS) == set()
    assert_nothing_is_lost(four)


@pytest.mark.parametrize("job", ["dvd_rental_sync", "signups_load", "totesys_loading"])
def test_a_killed_run_fails_alone_and_the_next_one_recovers(four: FourPipelines, job: str) -> None:
    four.sources.add_traffic(seed=len(job))
    # The load of new users asks again after a while. It would have ended before it is killed.
    four.sources.api.faults.extend([Fault.UNAVAILABLE] * 3 if job == "signups_load" else [])
    killed: list[str] = []

    def kill() -> None:
        if not killed and four.launcher().kill(job):
            killed.append(job)
            four.sources.api.faults.clear()

    assert run_steps(four, 2, kill) == {job}
    assert killed == [job]
    assert run_steps(four, STEPS) == set()
    assert_nothing_is_lost(four)


def run_steps(four: FourPipelines, steps: int, while_running: Callable[[], object] = lambda: None) -> set[str]:
    """Tick this often; returns the jobs whose runs failed."""
    runs = [run for _ in range(steps) for run in four.tick(while_running)]
    assert runs
    # Run monitoring may have marked a run as failed after the tick that launched it.
    latest = [four.daemons.instance.get_run_by_id(run.run_id) or run for run in runs]
    return {run.job_name for run in latest if run.status is not dg.DagsterRunStatus.SUCCESS}
