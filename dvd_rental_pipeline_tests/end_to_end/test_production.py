"""The whole graph in production, over real sockets: source, Airbyte, Snowflake, dbt, checks, logs, alerts.

The services are stand-ins; the commands, the clients, dbt and Dagster are those that a deployment has. The
quick tests build a part of the graph. The heavy ones go through what may go wrong, and build all of it beside a
local deployment on the same source.
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
import pytest

from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline_tests.dbt_models.comparison import VERSION_KEYS, all_rows
from dvd_rental_pipeline_tests.end_to_end.command_line import CommandLine
from dvd_rental_pipeline_tests.end_to_end.production_site import (
    LOG_BUCKET,
    SITE_BUCKET,
    ProductionSite,
    running_production,
)
from dvd_rental_pipeline_tests.end_to_end.single_changes import everything_changes_once
from dvd_rental_pipeline_tests.stand_ins.airbyte.jobs import JobScript
from dvd_rental_pipeline_tests.stand_ins.snowflake.stand_in import new_private_key

pytestmark = [pytest.mark.timeout(900), pytest.mark.heavy]

RAW = 'key:"dvd_rental/*"'
ONE_REPORT = '+key:"reports/genre_performance"'


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProductionSite]:
    with running_production(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture(scope="module")
def one_report(site: ProductionSite) -> str:
    """What the first run says, which builds one report and all it needs."""
    done = site.run("run", "--select", ONE_REPORT)
    assert done.returncode == 0, done.stderr
    return str(done.stderr)


def raw_counts(site: ProductionSite) -> dict[str, tuple[int, int]]:
    """Live rows and distinct keys of each raw table in Snowflake."""
    counts = {}
    for name, key in DVD_RENTAL.primary_keys().items():
        shown = " || '-' || ".join(f"to_varchar({column})" for column in key)
        ((rows, keys),) = site.snowflake.query(
            f"select count(*), count(distinct {shown}) from dvd_rental.{name} where _ab_cdc_deleted_at is null"
        )
        counts[name] = (rows, keys)
    return counts


def source_counts(site: ProductionSite) -> dict[str, tuple[int, int]]:
    counts = site.local.json("source", "status")["row_counts"]
    return {name: (counts[name], counts[name]) for name in DVD_RENTAL.primary_keys()}


def jobs(site: ProductionSite, since: int = 0) -> list[tuple[str, str]]:
    return [(job.type, job.status) for job in site.airbyte.jobs[since:]]


def cancellations(site: ProductionSite) -> int:
    return sum(method == "DELETE" for method, _ in site.airbyte.calls)


def assert_nothing_is_doubled_or_lost(site: ProductionSite) -> None:
    assert raw_counts(site) == source_counts(site)
    assert cancellations(site) == 0, "a sync was cancelled"


def test_a_run_brings_rows_from_the_source_to_a_report(site: ProductionSite, one_report: str) -> None:
    assert "reports" in one_report
    assert "the database DVD_RENTALS" in one_report
    assert jobs(site) == [("sync", "succeeded")]
    assert_nothing_is_doubled_or_lost(site)
    revenue = "select sum(revenue) as total from reports.genre_performance"
    paid = "select cast(sum(amount) as number(12, 2)) as total from dvd_rental.payment"
    (found,) = json.loads(site.ok("query", revenue, "--json"))
    (wanted,) = json.loads(site.ok("query", paid, "--json"))
    assert found == wanted
    assert found["total"] > 1000


def test_each_service_is_entered_by_the_user_and_role_made_for_it(
    site: ProductionSite, one_report: str
) -> None:
    seen = {(each["user"], each["role"], each["warehouse"]) for each in site.snowflake.statements()}
    assert {("AIRBYTE", "LOADER", "LOADING"), ("DVD_RENTAL_TRANSFORMER", "TRANSFORMER", "TRANSFORMING")} <= seen
    assert {user for user, _, _ in seen} == {"ADMIN", "AIRBYTE", "DVD_RENTAL_TRANSFORMER"}


def test_the_commands_of_production_agree_that_all_is_well(site: ProductionSite, one_report: str) -> None:
    doctor = " ".join(site.ok("doctor").split())
    for subject in ("settings", "publication", "slot", "Airbyte set-up", "Snowflake", "schemas", "masking"):
        assert f"ok {subject}" in doctor
    for subject in ("secrets", "site", "alerts", "run log"):
        assert f"ok {subject}" in doctor
    status = site.ok("airbyte", "status")
    assert "succeeded" in status
    planned = site.run("snowflake", "plan", "--user=ADMIN", f"--private-key={site.snowflake.private_key_path}")
    assert planned.stdout.strip() == ""
    assert "0 statements are missing" in planned.stderr


def test_what_runs_log_is_in_cloudwatch(site: ProductionSite, one_report: str) -> None:
    events = Counter(line.get("event") for line in site.log_lines())
    assert events["RUN_SUCCESS"] >= 1
    assert events["ASSET_MATERIALIZATION"] >= 16
    assert events["ASSET_CHECK_EVALUATION"] >= 15


def test_a_failed_sync_is_told_on_the_terminal_in_the_log_and_by_an_alert(
    site: ProductionSite, one_report: str
) -> None:
    before = len(site.airbyte.jobs)
    site.alerts()
    site.airbyte.script_next_job(JobScript(outcome="failed", failures=("The replication slot is lost.",)))
    done = site.run("run", "--select", RAW)
    assert done.returncode == 1
    assert "source: The replication slot is lost" in done.stderr
    assert "Traceback" not in done.stderr
    (alert,) = site.alerts()
    assert alert["subject"].endswith("of dvd-rental run")
    assert "The replication slot is lost" in alert["happened"]
    failures = [line for line in site.log_lines() if line.get("event") == "STEP_FAILURE"]
    assert "The replication slot is lost" in failures[-1]["error"]
    assert jobs(site, before) == [("sync", "failed")]
    assert_nothing_is_doubled_or_lost(site)


def assert_no_secret_got_out(site: ProductionSite) -> None:
    """Look for each planted secret wherever the pipeline has written to."""
    written = {str(path): path.read_bytes() for path in _files_of_production(site)}
    written |= {f"s3://{SITE_BUCKET}/{key}": body for key, body in site.objects(SITE_BUCKET).items()}
    written |= {f"s3://{LOG_BUCKET}/{key}": body for key, body in site.objects(LOG_BUCKET).items()}
    written["CloudWatch"] = json.dumps(site.log_lines()).encode()
    written["what commands say"] = "\n".join(site.said).encode()
    written["statements in Snowflake"] = json.dumps(site.snowflake.statements()).encode()
    written["jobs of Airbyte"] = repr(site.airbyte.jobs).encode()
    assert len(written) > 20
    found = [
        f"{what} in {where}"
        for where, content in written.items()
        for what, secret in site.planted.items()
        if secret.encode() in content
    ]
    assert found == []


def _files_of_production(site: ProductionSite) -> list[Any]:
    folders = [site.home, site.folder / "instance", site.folder / "compute_logs"]
    return [path for folder in folders for path in folder.rglob("*") if path.is_file()]


def test_no_secret_is_in_any_log_event_file_or_page(site: ProductionSite, one_report: str) -> None:
    assert_no_secret_got_out(site)


def start(site: ProductionSite, pool: ThreadPoolExecutor, **environment: str) -> Future[Any]:
    """A run of the ingestion in the background."""
    return pool.submit(lambda: site.run("run", "--select", RAW, **environment))


def wait_until(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not so after {seconds} s"
        time.sleep(0.1)


def looks_at_jobs(site: ProductionSite) -> int:
    """How often Airbyte was asked about jobs so far."""
    return sum(method == "GET" and "/v1/jobs" in path for method, path in list(site.airbyte.calls))


def test_with_airbyte_down_the_graph_loads_and_what_does_not_need_it_is_built(
    site: ProductionSite, one_report: str
) -> None:
    site.airbyte.stop()
    try:
        site.ok("run", "--select", 'key:"reports/genre_performance"')
        done = site.run("run", "--select", RAW, DVD_RENTAL_AIRBYTE_REQUEST_MAX_RETRIES="2")
    finally:
        site.airbyte.start()
    assert done.returncode == 1
    assert "cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr
    site.ok("run", "--select", RAW)
    assert_nothing_is_doubled_or_lost(site)


def test_a_long_queue_an_expired_token_and_a_minute_without_airbyte_are_waited_out(
    site: ProductionSite, one_report: str
) -> None:
    before = len(site.airbyte.jobs)
    script = site.airbyte.script_next_job(JobScript.blocked("queued"))
    with ThreadPoolExecutor() as pool:
        run = start(site, pool, DVD_RENTAL_AIRBYTE_REQUEST_RETRY_DELAY="4")
        wait_until(lambda: len(site.airbyte.jobs) > before)
        asked = looks_at_jobs(site)
        wait_until(lambda: looks_at_jobs(site) > asked + 5)
        site.airbyte.tokens.expire_all()
        site.airbyte.stop()
        time.sleep(60)
        site.airbyte.start()
        asked = looks_at_jobs(site)
        wait_until(lambda: looks_at_jobs(site) > asked)
        script.release()
        done = run.result()
    assert done.returncode == 0, done.stderr
    assert jobs(site, before) == [("sync", "succeeded")]
    assert_nothing_is_doubled_or_lost(site)


def test_two_runs_at_once_share_one_sync(site: ProductionSite, one_report: str) -> None:
    before = len(site.airbyte.jobs)
    script = site.airbyte.script_next_job(JobScript.blocked())
    with ThreadPoolExecutor() as pool:
        first = start(site, pool)
        wait_until(lambda: len(site.airbyte.jobs) > before)
        lists = ("GET", "/api/public/v1/jobs")
        asked = site.airbyte.calls.count(lists)
        second = start(site, pool)
        wait_until(lambda: site.airbyte.calls.count(lists) > asked)
        script.release()
        assert [first.result().returncode, second.result().returncode] == [0, 0]
    assert jobs(site, before) == [("sync", "succeeded")]
    assert_nothing_is_doubled_or_lost(site)


def test_a_few_failures_of_snowflake_are_not_noticed(site: ProductionSite, one_report: str) -> None:
    site.snowflake.fail(4, path="/queries")
    site.snowflake.drop(2, path="/queries")
    site.ok("run", "--select", 'key:"reports/genre_performance"')
    site.snowflake.clear_faults()


@pytest.mark.parametrize("how", ["failing", "silent"])
def test_a_snowflake_that_keeps_failing_ends_the_run_in_bounded_time(
    site: ProductionSite, one_report: str, how: str
) -> None:
    before = len(site.airbyte.jobs)
    script = site.airbyte.script_next_job(JobScript.blocked())
    limits = {"DVD_RENTAL_SNOWFLAKE_STATEMENT_TIMEOUT": "5", "DVD_RENTAL_SNOWFLAKE_LOGIN_TIMEOUT": "5"}
    with ThreadPoolExecutor() as pool:
        run = start(site, pool, **limits)
        wait_until(lambda: len(site.airbyte.jobs) > before)
        script.release()
        wait_until(lambda: not site.airbyte.jobs[-1].is_running)
        if how == "failing":
            site.snowflake.fail(100_000)
        else:
            site.snowflake.delay(120, 100_000)
        started = time.monotonic()
        done = run.result()
    seconds = time.monotonic() - started
    # Requests that wait are not healed: only those that come.
    site.snowflake.clear_faults()
    assert done.returncode == 1, done.stderr
    assert seconds < 90
    assert "succeeded, but its tables cannot be read" in done.stderr
    assert "Traceback" not in done.stderr
    assert jobs(site, before) == [("sync", "succeeded")]
    site.ok("run", "--select", RAW)
    assert_nothing_is_doubled_or_lost(site)


def test_a_wrong_key_is_told_with_what_to_compare(site: ProductionSite, one_report: str) -> None:
    other = site.folder / "other.p8"
    new_private_key(other, site.planted["passphrase"])
    done = site.run("run", "--select", RAW, DVD_RENTAL_SNOWFLAKE_PRIVATE_KEY=other.read_text())
    assert done.returncode == 1
    assert "does not accept the key of the user DVD_RENTAL_TRANSFORMER" in done.stderr
    assert done.stderr.count("390144") == 1, "told once, not for each table"
    assert_nothing_is_doubled_or_lost(site)


def test_without_rights_on_the_bucket_of_the_pages_the_run_says_so(
    site: ProductionSite, one_report: str
) -> None:
    site.alerts()
    with site.only_allowed("secretsmanager:*", "logs:*", "sns:*", "cloudwatch:*") as credentials:
        done = site.run("run", "--select", 'key:"site/docs"', **credentials)
    assert done.returncode == 1
    assert f"Cannot use the site in the bucket {SITE_BUCKET}" in done.stderr
    assert "AccessDenied" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(site.alerts()) == 1


def test_an_alert_that_cannot_be_sent_changes_nothing_about_the_run(
    site: ProductionSite, one_report: str
) -> None:
    site.alerts()
    site.airbyte.script_next_job(JobScript(outcome="failed", failures=("The disk is full.",)))
    topic = site.environment["DVD_RENTAL_ALERTS_TOPIC"]
    done = site.run("run", "--select", RAW, DVD_RENTAL_ALERTS_TOPIC=f"{topic}-gone")
    assert done.returncode == 1
    assert "source: The disk is full" in done.stderr
    assert "This alert could not be sent" in done.stderr
    assert "Traceback" not in done.stderr
    assert site.alerts() == []


# Each deployment captures changes with a slot of its own: copies in full have two places in the log.
OF_ONE_SLOT = {"change_lsn"}
# The traffic may bring back all that was overdue in so small a sample.
EMPTY_AT_TIMES = {"reports.overdue_rentals"}


@pytest.fixture(scope="module")
def whole(site: ProductionSite) -> ProductionSite:
    """Two whole runs in both deployments, with traffic between; the second in production is killed once."""
    run_both(site)
    # Of several changes of a row between two syncs Airbyte's tables keep the last, the embedded replication
    # all: histories would differ, and the versions that facts join. Without such changes all must be equal.
    with everything_changes_once(site.owner_url):
        site.local.ok("source", "simulate", "--events", "200", "--seed", "7")
    kill_a_run_while_dbt_builds(site)
    run_both(site)
    return site


def run_both(site: ProductionSite) -> None:
    with ThreadPoolExecutor() as pool:
        local, production = pool.submit(site.local.run, "run"), pool.submit(site.run, "run")
    for done in (local.result(), production.result()):
        assert done.returncode == 0, done.stderr


def kill_a_run_while_dbt_builds(site: ProductionSite) -> None:
    """Kill it with all its children, as a lost host would, when only some models of this run stand."""
    seen = len(site.snowflake.statements())
    process = subprocess.Popen(
        CommandLine(site.home).command("run"),
        env=CommandLine(site.home).environment(**site.environment),
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 600
    while not any("marts.fct_rental" in each["sql"].lower() for each in site.snowflake.statements()[seen:]):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.3)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.timeout(1800)
def test_every_report_and_mart_is_equal_in_both_deployments(whole: ProductionSite) -> None:
    manifest = json.loads((whole.home / "dbt" / "production" / "manifest.json").read_text())
    models = {
        f"{node['schema']}.{node['name']}": [name for name in node["columns"] if name not in OF_ONE_SLOT]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node["schema"] in ("marts", "reports")
    }
    assert sum(model.startswith("reports.") for model in models) == 35
    assert len(models) > 40
    unequal = []
    with duckdb.connect(whole.local.home / "warehouse.duckdb", read_only=True) as local:
        for model, columns in models.items():
            question = all_rows(model, columns)
            here, there = Counter(local.execute(question).fetchall()), Counter(whole.snowflake.query(question))
            if here != there or not (here or model in EMPTY_AT_TIMES):
                unequal.append(f"{model}: {describe_difference(columns, here, there)}")
    assert unequal == []


def describe_difference(columns: list[str], here: Counter[Any], there: Counter[Any]) -> str:
    """A row of each side that the other lacks, and which columns have other values."""
    only_here, only_there = here - there, there - here
    values = [
        [Counter(row[position] for row in rows.elements()) for rows in (only_here, only_there)]
        for position in range(len(next(iter(here | there), ())))
    ]
    positions = [position for position, (left, right) in enumerate(values) if left != right]
    shown = [
        [tuple(row[position] for position in (0, *positions)) for row in list(rows)[:3]]
        for rows in (only_here, only_there)
    ]
    plain = [name for name in columns if name not in VERSION_KEYS]
    named = [plain[position] if position < len(plain) else f"version {position}" for position in positions]
    return f"{only_here.total()} rows here, {only_there.total()} there, {named}: {shown}"


@pytest.mark.timeout(1800)
def test_after_a_killed_run_and_the_next_nothing_is_doubled_or_lost_and_no_secret_got_out(
    whole: ProductionSite,
) -> None:
    assert_nothing_is_doubled_or_lost(whole)
    assert {"docs/index.html"} <= set(whole.objects(SITE_BUCKET))
    assert_no_secret_got_out(whole)
