"""What runs every minute cost the local instance: runs, files, disk, and how fast the UI answers.

`python benchmarks/signups_history.py [--missed 10080] [--ticks 60,300]` first catches up minutes that were
missed, a week of them. Then it executes the schedule's ticks one after the other as the daemon does, with the
project's own instance, and prints what there is after each number of ticks, and at last when as many ticks are
recorded as a week has: the instance keeps those for a week.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import psycopg
import requests
from dagster._core.scheduler.instigation import InstigatorType, TickData, TickStatus
from measuring import table

from dvd_rental_pipeline.cli.dev import write_instance
from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.ingestion.http.json_client import JsonClient
from dvd_rental_pipeline.pipelines.signups.assets import JOB, USERS, build_definitions, signups_load_schedule
from dvd_rental_pipeline.pipelines.signups.load import load_due_minutes
from dvd_rental_pipeline.pipelines.signups.resources import resource_factories
from dvd_rental_pipeline.pipelines.signups.store import open_store
from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres
from dvd_rental_pipeline.sample.signups_api.server import running_signups_api

WEEK = 7 * 24 * 60
BATCH = 20
PORT = 3999
RUNS_PAGE = "{runsOrError(limit: 25) {... on Runs {results {id status startTime endTime tags {key value}}}}}"
ASSET_PAGE = (
    '{assetOrError(assetKey: {path: ["signups_postgres", "users"]}) {... on Asset '
    "{assetMaterializations(limit: 100) {timestamp runId}}}}"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--missed", type=int, default=WEEK)
    parser.add_argument("--ticks", default="60,300")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedPostgres(Path(folder, "home", "postgres"))
        with server.lease() as url:
            print(catch_up(url, arguments.missed))
            settings = Settings(home=Path(folder, "home"), signups_database_url=url, signups_batch_size=BATCH)
            settings.export()
            os.environ["DAGSTER_HOME"] = str(write_instance(settings))
            lines = []
            done = 0
            for goal in map(int, arguments.ticks.split(",")):
                started = time.perf_counter()
                run_ticks(settings, url, done, goal)
                seconds = (time.perf_counter() - started) / (goal - done)
                done = goal
                lines.append((f"{done:,}", f"{seconds:.2f}", *measure(settings)))
            with dg.DagsterInstance.get() as instance:
                for number in range(done, WEEK):
                    record_tick(instance, number, "0" * 36)
            lines.append((f"{WEEK:,} recorded", "", *measure(settings)))
        server.stop()
    head = (
        "ticks",
        "seconds each",
        "runs",
        "files",
        "disk",
        "results of checks",
        "runs page",
        "asset page",
    )
    print(f"load {os.getloadavg()[0]:.1f}\n\n{table(head, lines)}")


def catch_up(url: str, minutes: int) -> str:
    """Load `minutes` that were missed, as the next runs of the schedule would, and say what that took."""
    now = datetime.now(UTC)
    runs = 0
    with running_signups_api() as api, open_store(url) as store:
        api.limit = sys.maxsize
        client = JsonClient(api.url)
        load_due_minutes(store, client, now - timedelta(minutes=minutes), batch_size=BATCH)
        started = time.perf_counter()
        while load_due_minutes(store, client, now, batch_size=BATCH).minutes:
            runs += 1
        seconds = time.perf_counter() - started
    with psycopg.connect(url) as connection:
        ((users, size),) = connection.execute(
            "select count(*), pg_total_relation_size('signups.users') from signups.users"
        ).fetchall()
    return (
        f"{minutes:,} minutes of {BATCH} users that were missed: {runs} runs, {seconds:,.0f} s, "
        f"{users:,} users in {size / 1e6:,.0f} MB."
    )


def run_ticks(settings: Settings, url: str, first: int, last: int) -> None:
    """Execute the ticks of the schedule from number `first` to `last`, each with a minute that is due."""
    resources = {key: make() for key, make in resource_factories(settings).items()}
    definitions = dg.Definitions.merge(build_definitions(settings), dg.Definitions(resources=resources))
    job = definitions.resolve_job_def(JOB)
    with psycopg.connect(url, autocommit=True) as connection, dg.DagsterInstance.get() as instance:
        for number in range(first, last):
            connection.execute(
                "delete from signups.loaded_batches"
                " where minute >= date_trunc('minute', now()) - interval '1 minute'"
            )
            tags = {"dagster/schedule_name": JOB}
            if instance.get_latest_materialization_event(USERS) is not None:
                with dg.build_schedule_context(instance=instance) as context:
                    request = signups_load_schedule(context)
                if isinstance(request, dg.SkipReason):
                    raise SystemExit(request.skip_message)
                tags |= request.tags
            result = job.execute_in_process(instance=instance, tags=tags)
            record_tick(instance, number, result.run_id)


def record_tick(instance: dg.DagsterInstance, number: int, run_id: str) -> None:
    """Record a tick of the schedule, as the daemon does."""
    moment = 60.0 * number
    instance.create_tick(
        TickData(JOB, JOB, InstigatorType.SCHEDULE, TickStatus.SUCCESS, moment, run_ids=[run_id])
    )


def measure(settings: Settings) -> tuple[str, ...]:
    """The present costs, in the order of the table."""
    files = [path for path in settings.dagster_dir.rglob("*") if path.is_file()]
    with dg.DagsterInstance.get() as instance, webserver() as address:
        runs = instance.get_runs_count()
        with instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
            results = connection.exec_driver_sql("select count(*) from asset_check_executions").scalar()
        pages = [answer_seconds(address, query) for query in (RUNS_PAGE, ASSET_PAGE)]
    return (
        f"{runs:,}",
        f"{len(files):,}",
        f"{sum(path.stat().st_size for path in files) / 1e6:.1f} MB",
        f"{results:,}",
        *(f"{seconds * 1000:,.0f} ms" for seconds in pages),
    )


@contextmanager
def webserver() -> Iterator[str]:
    """Dagster's web server without a code location; yields the address of its GraphQL."""
    program = str(Path(sys.executable).with_name("dagster-webserver"))
    command = [program, "--empty-workspace", "-p", str(PORT), "--log-level", "error"]
    address = f"http://127.0.0.1:{PORT}"
    with subprocess.Popen(command) as process:
        try:
            while True:
                try:
                    requests.get(f"{address}/server_info", timeout=10).raise_for_status()
                    break
                except requests.ConnectionError:
                    time.sleep(0.5)
            yield f"{address}/graphql"
        finally:
            process.terminate()


def answer_seconds(address: str, query: str) -> float:
    """Median seconds of an answer, after the first one, which imports modules."""
    seconds = []
    for _ in range(8):
        started = time.perf_counter()
        answer = requests.post(address, json={"query": query}, timeout=120)
        seconds.append(time.perf_counter() - started)
        if "errors" in answer.json():
            raise SystemExit(answer.text)
    return statistics.median(seconds[1:])


if __name__ == "__main__":
    main()
