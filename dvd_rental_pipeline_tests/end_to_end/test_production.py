"""The whole graph in production, over real sockets: source, Airbyte, Snowflake, dbt, checks, logs, alerts.

The services are stand-ins; commands, clients, dbt and Dagster are those of a deployment. The first tests build
one report and inject faults; the last ones build the whole graph next to a local deployment on the same source.
"""

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import duckdb
import psycopg
import pytest

from dvd_rental_pipeline.doctor.rehearsal import STEPS
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.transform.manifest import Manifest
from dvd_rental_pipeline_tests.dbt_models.comparison import VERSION_KEYS, all_rows
from dvd_rental_pipeline_tests.end_to_end.command_line import CommandLine
from dvd_rental_pipeline_tests.end_to_end.one_change_per_row import one_change_per_row
from dvd_rental_pipeline_tests.end_to_end.production_services import (
    LOG_BUCKET,
    SITE_BUCKET,
    ProductionServices,
    running_production,
)
from dvd_rental_pipeline_tests.stand_ins.airbyte.jobs import JobScript
from dvd_rental_pipeline_tests.stand_ins.snowflake.stand_in import new_private_key

pytestmark = [pytest.mark.timeout(900), pytest.mark.heavy]

RAW = 'key:"dvd_rental/*"'
ONE_REPORT = '+key:"reports/genre_performance"'


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProductionServices]:
    with running_production(tmp_path_factory.mktemp("services")) as services:
        yield services


@pytest.fixture(scope="module")
def one_report(services: ProductionServices) -> str:
    """The messages of the first run, which builds one report and all its inputs."""
    done = services.run("run", "--select", ONE_REPORT)
    assert done.returncode == 0, done.stderr
    return str(done.stderr)


def raw_counts(services: ProductionServices) -> dict[str, tuple[int, int]]:
    """Rows that are not deleted, and their distinct keys, of each raw table in Snowflake."""
    counts = {}
    for name, key in DVD_RENTAL.primary_keys().items():
        key_text = " || '-' || ".join(f"to_varchar({column})" for column in key)
        ((rows, keys),) = services.snowflake.query(
            f"select count(*), count(distinct {key_text}) from dvd_rental.{name}"
            " where _ab_cdc_deleted_at is null"
        )
        counts[name] = (rows, keys)
    return counts


def source_counts(services: ProductionServices) -> dict[str, tuple[int, int]]:
    """The same of the source, whose keys are unique."""
    counts = services.local.json("source", "status")["row_counts"]
    return {name: (counts[name], counts[name]) for name in DVD_RENTAL.primary_keys()}


def jobs(services: ProductionServices, since: int = 0) -> list[tuple[str, str]]:
    return [(job.type, job.status) for job in services.airbyte.jobs[since:]]


def cancellations(services: ProductionServices) -> int:
    return sum(method == "DELETE" for method, _ in services.airbyte.calls)


def assert_raw_tables_equal_the_source(services: ProductionServices) -> None:
    assert raw_counts(services) == source_counts(services)
    assert cancellations(services) == 0, "a sync was cancelled"


def test_a_run_brings_rows_from_the_source_to_a_report(services: ProductionServices, one_report: str) -> None:
    assert "reports" in one_report
    assert "the database DVD_RENTALS" in one_report
    assert jobs(services) == [("sync", "succeeded")]
    assert_raw_tables_equal_the_source(services)
    revenue = "select sum(revenue) as total from reports.genre_performance"
    paid = "select cast(sum(amount) as number(12, 2)) as total from dvd_rental.payment"
    (found,) = json.loads(services.ok("query", revenue, "--json"))
    (expected,) = json.loads(services.ok("query", paid, "--json"))
    assert found == expected
    assert found["total"] > 1000


def test_each_client_logs_in_with_its_own_user_and_role(services: ProductionServices, one_report: str) -> None:
    logins = {
        (statement["user"], statement["role"], statement["warehouse"])
        for statement in services.snowflake.statements()
    }
    assert {
        ("AIRBYTE", "LOADER", "LOADING"),
        ("DVD_RENTAL_TRANSFORMER", "TRANSFORMER", "TRANSFORMING"),
    } <= logins
    assert {user for user, _, _ in logins} == {"ADMIN", "AIRBYTE", "DVD_RENTAL_TRANSFORMER"}


def test_doctor_status_and_plan_find_nothing_to_do(services: ProductionServices, one_report: str) -> None:
    doctor = " ".join(services.ok("doctor").split())
    for subject in ("settings", "publication", "slot", "Airbyte set-up", "Snowflake", "schemas", "masking"):
        assert f"ok {subject}" in doctor
    for subject in ("secrets", "site", "alerts", "run log"):
        assert f"ok {subject}" in doctor
    status = services.ok("airbyte", "status")
    assert "succeeded" in status
    planned = services.run(
        "snowflake", "plan", "--user=ADMIN", f"--private-key={services.snowflake.private_key_path}"
    )
    assert planned.stdout.strip() == ""
    assert "0 statements are missing" in planned.stderr


def test_an_empty_sync_issues_no_ddl_and_no_query_of_a_model(
    services: ProductionServices, one_report: str
) -> None:
    services.ok("run", "--select", ONE_REPORT)
    before = len(services.snowflake.statements())
    services.ok("run", "--select", ONE_REPORT)
    ours = [each for each in services.snowflake.statements()[before:] if each["role"] == "TRANSFORMER"]
    assert any("build_records" in each["sql"] for each in ours)
    written = ("create", "drop", "alter table", "alter view", "insert", "update", "delete", "merge", "truncate")
    assert [each["sql"] for each in ours if each["sql"].strip().lower().startswith(written)] == []
    assert [each["sql"] for each in ours if '"asset"' in (each["query_tag"] or "")] == []


def test_run_events_are_in_cloudwatch(services: ProductionServices, one_report: str) -> None:
    events = Counter(line.get("event") for line in services.log_lines())
    assert events["RUN_SUCCESS"] >= 1
    assert events["ASSET_MATERIALIZATION"] > len(DVD_RENTAL.tables)
    assert events["ASSET_CHECK_EVALUATION"] >= len(DVD_RENTAL.tables)


def test_a_failed_sync_is_reported_by_terminal_log_and_alert(
    services: ProductionServices, one_report: str
) -> None:
    before = len(services.airbyte.jobs)
    services.alerts()
    services.airbyte.script_next_job(JobScript(outcome="failed", failures=("The replication slot is lost.",)))
    done = services.run("run", "--select", RAW)
    assert done.returncode == 1, done.stderr
    assert "source: The replication slot is lost" in done.stderr
    assert "Traceback" not in done.stderr
    (alert,) = services.alerts()
    assert alert["subject"].endswith("of dvd-rental run")
    assert "The replication slot is lost" in alert["happened"]
    failures = [line for line in services.log_lines() if line.get("event") == "STEP_FAILURE"]
    assert "The replication slot is lost" in failures[-1]["error"]
    assert jobs(services, before) == [("sync", "failed")]
    assert_raw_tables_equal_the_source(services)


def assert_no_secret_leaked(services: ProductionServices) -> None:
    """Search for each planted secret in everything that the pipeline has written."""
    written = {str(path): path.read_bytes() for path in _files_of_production(services)}
    written |= {f"s3://{SITE_BUCKET}/{key}": body for key, body in services.objects(SITE_BUCKET).items()}
    written |= {f"s3://{LOG_BUCKET}/{key}": body for key, body in services.objects(LOG_BUCKET).items()}
    written["CloudWatch"] = json.dumps(services.log_lines()).encode()
    written["output of commands"] = "\n".join(services.output).encode()
    written["statements in Snowflake"] = json.dumps(services.snowflake.statements()).encode()
    written["jobs of Airbyte"] = repr(services.airbyte.jobs).encode()
    assert len(written) > 20
    found = [
        f"{name} in {location}"
        for location, content in written.items()
        for name, secret in services.planted.items()
        if secret.encode() in content
    ]
    assert found == []


def _files_of_production(services: ProductionServices) -> list[Any]:
    folders = [services.home, services.folder / "instance", services.folder / "compute_logs"]
    return [path for folder in folders for path in folder.rglob("*") if path.is_file()]


def test_no_secret_is_in_any_log_event_file_or_page(services: ProductionServices, one_report: str) -> None:
    assert_no_secret_leaked(services)


def start(services: ProductionServices, pool: ThreadPoolExecutor, **environment: str) -> Future[Any]:
    """Run the ingestion in the background."""
    return pool.submit(lambda: services.run("run", "--select", RAW, **environment))


def wait_until(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not true after {seconds} s"
        time.sleep(0.1)


def job_requests(services: ProductionServices) -> int:
    """The number of requests about jobs that Airbyte has received so far."""
    return sum(method == "GET" and "/v1/jobs" in path for method, path in list(services.airbyte.calls))


def test_with_airbyte_down_the_graph_loads_and_models_are_built(
    services: ProductionServices, one_report: str
) -> None:
    services.airbyte.stop()
    try:
        services.ok("run", "--select", 'key:"reports/genre_performance"')
        done = services.run("run", "--select", RAW, DVD_RENTAL_AIRBYTE_REQUEST_MAX_RETRIES="2")
    finally:
        services.airbyte.start()
    assert done.returncode == 1, done.stderr
    assert "cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr
    services.ok("run", "--select", RAW)
    assert_raw_tables_equal_the_source(services)


def test_a_run_survives_a_queue_an_expired_token_and_an_outage(
    services: ProductionServices, one_report: str
) -> None:
    before = len(services.airbyte.jobs)
    script = services.airbyte.script_next_job(JobScript.blocked("queued"))
    with ThreadPoolExecutor() as pool:
        run = start(services, pool, DVD_RENTAL_AIRBYTE_REQUEST_RETRY_DELAY="4")
        wait_until(lambda: len(services.airbyte.jobs) > before)
        requests_before = job_requests(services)
        wait_until(lambda: job_requests(services) > requests_before + 5)
        services.airbyte.tokens.expire_all()
        services.airbyte.stop()
        time.sleep(60)
        services.airbyte.start()
        requests_before = job_requests(services)
        wait_until(lambda: job_requests(services) > requests_before)
        script.release()
        done = run.result()
    assert done.returncode == 0, done.stderr
    assert jobs(services, before) == [("sync", "succeeded")]
    assert_raw_tables_equal_the_source(services)


def test_two_runs_at_once_share_one_sync(services: ProductionServices, one_report: str) -> None:
    before = len(services.airbyte.jobs)
    script = services.airbyte.script_next_job(JobScript.blocked())
    with ThreadPoolExecutor() as pool:
        first = start(services, pool)
        wait_until(lambda: len(services.airbyte.jobs) > before)
        list_jobs = ("GET", "/api/public/v1/jobs")
        requests_before = services.airbyte.calls.count(list_jobs)
        second = start(services, pool)
        wait_until(lambda: services.airbyte.calls.count(list_jobs) > requests_before)
        script.release()
        for done in (first.result(), second.result()):
            assert done.returncode == 0, done.stderr
    assert jobs(services, before) == [("sync", "succeeded")]
    assert_raw_tables_equal_the_source(services)


def test_a_few_failed_requests_to_snowflake_are_retried(services: ProductionServices, one_report: str) -> None:
    services.snowflake.fail(4, path="/queries")
    services.snowflake.drop(2, path="/queries")
    services.ok("run", "--select", 'key:"reports/genre_performance"')
    services.snowflake.clear_faults()


@pytest.mark.parametrize("how", ["failing", "silent"])
def test_a_snowflake_that_keeps_failing_ends_the_run_in_bounded_time(
    services: ProductionServices, one_report: str, how: str
) -> None:
    before = len(services.airbyte.jobs)
    script = services.airbyte.script_next_job(JobScript.blocked())
    limits = {"DVD_RENTAL_SNOWFLAKE_STATEMENT_TIMEOUT": "5", "DVD_RENTAL_SNOWFLAKE_LOGIN_TIMEOUT": "5"}
    with ThreadPoolExecutor() as pool:
        run = start(services, pool, **limits)
        wait_until(lambda: len(services.airbyte.jobs) > before)
        script.release()
        wait_until(lambda: not services.airbyte.jobs[-1].is_running)
        if how == "failing":
            services.snowflake.fail(100_000)
        else:
            services.snowflake.delay(120, 100_000)
        started = time.monotonic()
        done = run.result()
    seconds = time.monotonic() - started
    # Only for new requests: pending ones keep waiting.
    services.snowflake.clear_faults()
    assert done.returncode == 1, done.stderr
    assert seconds < 90
    assert "succeeded, but its tables cannot be read" in done.stderr
    assert "Traceback" not in done.stderr
    assert jobs(services, before) == [("sync", "succeeded")]
    services.ok("run", "--select", RAW)
    assert_raw_tables_equal_the_source(services)


def test_a_wrong_key_is_reported_once(services: ProductionServices, one_report: str) -> None:
    other = services.folder / "other.p8"
    new_private_key(other, services.planted["passphrase"])
    done = services.run("run", "--select", RAW, DVD_RENTAL_SNOWFLAKE_PRIVATE_KEY=other.read_text())
    assert done.returncode == 1, done.stderr
    assert "does not accept the key of the user DVD_RENTAL_TRANSFORMER" in done.stderr
    assert done.stderr.count("390144") == 1, "reported once, not for each table"
    assert_raw_tables_equal_the_source(services)


def test_a_monitor_at_its_limit_fails_what_its_warehouse_computes(
    services: ProductionServices, one_report: str
) -> None:
    services.snowflake.spend("DVD_RENTAL_TRANSFORMING", 100_000)
    built = services.run("run", "--select", 'key:"reports/genre_performance"')
    services.snowflake.spend("DVD_RENTAL_TRANSFORMING", 0)
    # Without rows to load, a sync computes nothing.
    with psycopg.connect(services.owner_url) as source:
        source.execute("update language set last_update = now() where language_id = 1")
    services.snowflake.spend("DVD_RENTAL_LOADING", 100_000)
    synced = services.run("run", "--select", RAW)
    services.snowflake.spend("DVD_RENTAL_LOADING", 0)
    for done, monitor in ((built, "DVD_RENTAL_TRANSFORMING"), (synced, "DVD_RENTAL_LOADING")):
        assert done.returncode == 1, done.stderr
        assert f"resource monitor '{monitor}' has exceeded its quota" in " ".join(done.stderr.split())
        assert "Traceback" not in done.stderr
    services.ok("run", "--select", 'key:"reports/genre_performance"')
    services.ok("run", "--select", RAW)
    assert_raw_tables_equal_the_source(services)


def test_missing_rights_on_the_site_bucket_fail_with_the_reason(
    services: ProductionServices, one_report: str
) -> None:
    services.alerts()
    with services.only_allowed("secretsmanager:*", "logs:*", "sns:*", "cloudwatch:*") as credentials:
        done = services.run("run", "--select", 'key:"site/docs"', **credentials)
    assert done.returncode == 1, done.stderr
    assert f"Cannot use the site in the bucket {SITE_BUCKET}" in done.stderr
    assert "AccessDenied" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(services.alerts()) == 1


def test_an_alert_that_cannot_be_sent_does_not_change_the_outcome(
    services: ProductionServices, one_report: str
) -> None:
    services.alerts()
    services.airbyte.script_next_job(JobScript(outcome="failed", failures=("The disk is full.",)))
    topic = services.environment["DVD_RENTAL_ALERTS_TOPIC"]
    done = services.run("run", "--select", RAW, DVD_RENTAL_ALERTS_TOPIC=f"{topic}-gone")
    assert done.returncode == 1, done.stderr
    assert "source: The disk is full" in done.stderr
    assert "This alert could not be sent" in done.stderr
    assert "Traceback" not in done.stderr
    assert services.alerts() == []


# Each deployment has its own slot: rows of a full copy get its position, which differs.
DIFFERENT_COLUMNS = {"change_lsn"}
# In so small a sample, the traffic may return all overdue rentals.
POSSIBLY_EMPTY = {"reports.overdue_rentals"}


@pytest.fixture(scope="module")
def whole(services: ProductionServices) -> ProductionServices:
    """Two whole runs in both deployments with traffic in between; the second in production is first killed."""
    run_both(services)
    # If a row changes several times between two syncs, Airbyte's tables keep the last state, the embedded
    # replication all of them: histories, and the versions that facts join, would differ.
    with one_change_per_row(services.owner_url):
        services.local.ok("source", "simulate", "--events", "200", "--seed", "7")
    kill_a_run_while_dbt_builds(services)
    run_both(services)
    return services


def run_both(services: ProductionServices) -> None:
    with ThreadPoolExecutor() as pool:
        local, production = pool.submit(services.local.run, "run"), pool.submit(services.run, "run")
    for done in (local.result(), production.result()):
        assert done.returncode == 0, done.stderr


def kill_a_run_while_dbt_builds(services: ProductionServices) -> None:
    """Kill a run and its child processes, as a lost host would, when only some models are built."""
    statements_before = len(services.snowflake.statements())
    process = subprocess.Popen(
        CommandLine(services.home).command("run"),
        env=CommandLine(services.home).environment(**services.environment),
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 600
    while not any(
        "marts.fct_rental" in statement["sql"].lower()
        for statement in services.snowflake.statements()[statements_before:]
    ):
        assert process.poll() is None, f"the run ended with exit code {process.returncode}"
        assert time.monotonic() < deadline, "dbt did not build fct_rental"
        time.sleep(0.3)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.timeout(1800)
def test_every_report_and_mart_is_equal_in_both_deployments(whole: ProductionServices) -> None:
    content = json.loads((whole.home / "dbt" / "production" / "manifest.json").read_text())
    manifest = Manifest(content)
    models = {
        f"{node['schema']}.{node['name']}": [name for name in node["columns"] if name not in DIFFERENT_COLUMNS]
        for unique_id, node in content["nodes"].items()
        if node["resource_type"] == "model"
        and node["schema"] in ("marts", "reports")
        # Other pipelines are built by runs of their own.
        and manifest.domains_of(unique_id) <= {DVD_RENTAL.name}
    }
    assert len(models) > 60
    unequal = []
    with duckdb.connect(whole.local.home / "warehouse.duckdb", read_only=True) as local:
        for model, columns in models.items():
            sql = all_rows(model, columns)
            in_duckdb = Counter(local.execute(sql).fetchall())
            in_snowflake = Counter(whole.snowflake.query(sql))
            if in_duckdb != in_snowflake or not (in_duckdb or model in POSSIBLY_EMPTY):
                unequal.append(f"{model}: {describe_difference(columns, in_duckdb, in_snowflake)}")
    assert unequal == []


def describe_difference(columns: list[str], left: Counter[Any], right: Counter[Any]) -> str:
    """The columns with different values, and up to three rows that only one side has, of each side."""
    only_left, only_right = left - right, right - left
    values = [
        [Counter(row[position] for row in rows.elements()) for rows in (only_left, only_right)]
        for position in range(len(next(iter(left | right), ())))
    ]
    positions = [position for position, (ours, theirs) in enumerate(values) if ours != theirs]
    examples = [
        [tuple(row[position] for position in (0, *positions)) for row in list(rows)[:3]]
        for rows in (only_left, only_right)
    ]
    plain = [name for name in columns if name not in VERSION_KEYS]
    named = [plain[position] if position < len(plain) else f"version {position}" for position in positions]
    return f"{only_left.total()} rows only left, {only_right.total()} only right, {named}: {examples}"


@pytest.mark.timeout(1800)
def test_after_a_killed_run_no_row_is_lost_and_no_secret_leaked(
    whole: ProductionServices,
) -> None:
    assert_raw_tables_equal_the_source(whole)
    assert {"docs/index.html"} <= set(whole.objects(SITE_BUCKET))
    assert_no_secret_leaked(whole)


def test_the_rehearsal_passes_and_names_what_it_finds(whole: ProductionServices) -> None:
    planned = whole.ok("rehearse", "--plan")
    passed = whole.run("rehearse", "--refresh")
    assert passed.returncode == 0, passed.stdout + passed.stderr
    for step in STEPS:
        assert step.name in planned
        assert f"ok {step.name}" in " ".join(passed.stdout.split())
    assert "TRANSFORMER reads all 15 tables after a refresh" in " ".join(passed.stdout.split())

    (destination,) = whole.airbyte.workspace.destinations.values()
    destination.version = "4.0.46"
    whole.snowflake.query("alter warehouse LOADING set resource_monitor = DVD_RENTAL_REPORTING")
    whole.snowflake.query("update DVD_RENTALS.DVD_RENTAL.FILM set TITLE = 'x' where FILM_ID = 1")
    failed = whole.run("rehearse")
    shown = " ".join(failed.stdout.split())
    assert failed.returncode == 1
    for found in ("4.0.46 is too old", "These differ from the source: film", "Shared monitors"):
        assert found in shown
    assert "Traceback" not in failed.stderr
