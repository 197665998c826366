"""Each fault in a running deployment is caught, blocks readers, raises an alert, and is resolved by its fix.

One home is built, and each fault is injected into a copy of it. A run builds only what the fault concerns; the
automation conditions are evaluated for what would be built next.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import dagster as dg
import duckdb
import pytest

from dvd_rental_pipeline.automation import alert_sensor, slot_lag
from dvd_rental_pipeline.ingestion.embedded import EmbeddedIngestion
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.slot import allowed_bytes
from dvd_rental_pipeline.ingestion.resource import SyncOutcome
from dvd_rental_pipeline.pipelines.dvd_rental.anomaly_checks import TRACKED_METRICS
from dvd_rental_pipeline.quality import durations, evaluations
from dvd_rental_pipeline.quality.anomaly_bounds import MIN_HISTORY
from dvd_rental_pipeline.sample.dvd_rental.generator.generate import generate
from dvd_rental_pipeline.sample.dvd_rental.simulator import simulate
from dvd_rental_pipeline_tests.end_to_end.local_deployment import (
    EXPECTED_ALERTS,
    TODAY,
    LocalDeployment,
    LocalHome,
)
from dvd_rental_pipeline_tests.end_to_end.run_result import assert_succeeded

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(1200)]

ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN
PAYMENTS, RENTALS = dg.AssetKey(["marts", "fct_payment"]), dg.AssetKey(["marts", "fct_rental"])


def build(home: LocalHome) -> None:
    """Build the whole graph, and run the checks often enough to learn the bounds of the metrics."""
    with home.source.embedded.lease() as url, home.open_instance() as instance:
        generate(url, scale=0.05, seed=1)
        job = home.definitions.resolve_implicit_global_asset_job_def()
        assert_succeeded(job.execute_in_process(instance=instance, raise_on_error=False))
        deployment = LocalDeployment(home, instance, url)
        for _ in range(MIN_HISTORY):
            assert deployment.run(checks=[metric.spec.key for metric in TRACKED_METRICS]) == {}
    home.source.embedded.stop()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalHome, dict[str, Any]]]:
    """A built home, moved to its backup, and the cursors of its conditions, which request nothing."""
    with mock.patch.dict(os.environ):
        home = LocalHome(tmp_path_factory.mktemp("faults"))
        build(home)
        with home.open_instance() as instance:
            assert home.evaluate_conditions(instance, TODAY - timedelta(hours=1)) == set()
        shutil.move(home.settings.home, home.backup)
        yield home, dict(home.cursors)


@pytest.fixture
def deployment(
    home: tuple[LocalHome, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> Iterator[LocalDeployment]:
    """A copy of the home, without faults."""
    built, cursors = home
    built.settings.export()
    built.cursors, built.now = dict(cursors), TODAY
    shutil.copytree(built.backup, built.settings.home)
    try:
        with built.source.embedded.lease() as url, built.open_instance() as instance:
            deployment = LocalDeployment(built, instance, url)
            monkeypatch.setattr(alert_sensor, "_now", deployment.alert_time)
            assert set(deployment.sent_alerts()) <= EXPECTED_ALERTS
            yield deployment
    finally:
        built.source.embedded.stop()
        shutil.rmtree(built.settings.home)


@pytest.fixture(scope="module")
def table() -> Iterator[Callable[..., None]]:
    """A function that adds a line per fault to a table, which is printed at the end."""
    lines: list[str] = []

    def add(fault: str, deployment: LocalDeployment, blocked: str) -> None:
        caught = ", ".join(
            f"{name} ({check.severity.value})" for name, check in sorted(deployment.failed.items())
        )
        lines.append(f"| {fault} | {caught} | {deployment.seconds:.1f} s | {blocked} |")

    yield add
    print("", "| fault | caught by | in a run of | blocked |", "|---|---|---|---|", *lines, sep="\n")


def assert_resolved(deployment: LocalDeployment, alerts: list[str]) -> None:
    """Assert that each alert is reported as resolved once, 45 minutes after the fix."""
    assert deployment.sent_alerts() == []
    assert deployment.sent_alerts(46) == [
        "RESOLVED: " + title.removeprefix("ERROR: ").removeprefix("WARNING: ") for title in alerts
    ]
    assert deployment.sent_alerts(600) == []


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (
            "delete from dvd_rental.payment"
            " where payment_id = (select min(payment_id) from dvd_rental.payment)",
            {"payment:source_and_raw_agree", "payment:sync_count_is_right"},
        ),
        (
            "insert into dvd_rental.payment from dvd_rental.payment limit 1",
            {"payment:primary_key_is_sound"},
        ),
    ],
    ids=["a deleted raw row", "a duplicated payment"],
)
def test_a_corrupted_raw_table_blocks_readers_until_a_full_refresh(
    deployment: LocalDeployment, table: Any, request: pytest.FixtureRequest, statement: str, expected: set[str]
) -> None:
    deployment.execute_in_warehouse(statement)
    failed = deployment.sync()
    assert expected <= set(failed)
    assert {check.severity for check in failed.values()} == {ERROR}
    requested = deployment.requested()
    assert not {PAYMENTS, RENTALS} & requested
    assert dg.AssetKey(["staging", "stg_dvd_rental__city"]) in requested, "other tables are not blocked"
    table(request.node.callspec.id, deployment, "all that reads payments")
    alerts = deployment.sent_alerts()
    assert len(alerts) == 1
    assert deployment.sent_alerts(120) == []
    assert deployment.run("group:raw", full_refresh=True) == {}
    assert {PAYMENTS, RENTALS} <= deployment.requested()
    assert_resolved(deployment, alerts)


@pytest.mark.parametrize(
    ("statement", "fix", "severity"),
    [
        (
            "alter table film drop column description cascade",
            "alter table film add column description text",
            ERROR,
        ),
        ("alter table film add column studio text", "alter table film drop column studio", WARN),
        (
            "alter table film alter column replacement_cost type numeric(5,1)",
            "alter table film alter column replacement_cost type numeric(5,2)",
            ERROR,
        ),
    ],
    ids=["a column dropped at the source", "a column added", "a type changed"],
)
def test_schema_drift_is_caught_and_blocks_if_it_breaks_readers(
    deployment: LocalDeployment,
    table: Any,
    *,
    request: pytest.FixtureRequest,
    statement: str,
    fix: str,
    severity: dg.AssetCheckSeverity,
) -> None:
    deployment.execute_at_source(statement)
    failed = deployment.sync()
    name = "schema_matches_catalogue" if severity is ERROR else "columns_are_known"
    assert {name: check.severity for name, check in failed.items()} == {f"film:{name}": severity}
    films = dg.AssetKey(["marts", "dim_film"])
    requested = deployment.requested()
    assert (films in requested) is (severity is WARN)
    table(request.node.callspec.id, deployment, "nothing" if severity is WARN else "all that reads films")
    alerts = deployment.sent_alerts()
    assert len(alerts) == 1
    deployment.execute_at_source(fix)
    assert deployment.sync() == {}
    if severity is ERROR:
        assert films in deployment.requested()
    assert_resolved(deployment, alerts)


def test_a_sync_that_silently_moves_nothing_is_caught(
    deployment: LocalDeployment, table: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluations, "SYNC_SLACK", timedelta())
    records = deployment.instance.get_asset_records(list(deployment.home.keys("group:raw")))
    metadata_of = {
        record.asset_entry.asset_key.path[
            -1
        ]: record.asset_entry.last_materialization.asset_materialization.metadata
        for record in records
    }
    deployment.execute_at_source("update rental set staff_id = 3 - staff_id where rental_id % 50 = 0")
    with monkeypatch.context() as silent:
        silent.setattr(
            EmbeddedIngestion,
            "sync",
            lambda *_, **__: SyncOutcome(
                {
                    name: {key: value for key, value in metadata.items() if key == "dagster/row_count"}
                    for name, metadata in metadata_of.items()
                }
            ),
        )
        failed = deployment.sync()
    assert set(failed) == {"rental:sync_count_is_right"}
    assert RENTALS not in deployment.requested()
    table("a sync that stops silently", deployment, "all that reads rentals")
    alerts = deployment.sent_alerts()
    assert len(alerts) == 1
    assert deployment.sync() == {}
    assert RENTALS in deployment.requested()
    assert_resolved(deployment, alerts)


def test_implausible_source_rows_warn_and_are_kept(deployment: LocalDeployment, table: Any) -> None:
    touched = 'key:"marts/fct_rental" or key:"marts/fct_payment" or key:"reports/customer_value"'
    deployment.execute_at_source(
        "alter table rental drop constraint rental_customer_id_fkey",
        "alter table payment drop constraint payment_customer_id_fkey",
        "insert into rental (rental_id, rental_date, inventory_id, customer_id, staff_id)"
        " select 900001, max(rental_date), min(inventory_id), 9999, 1 from rental",
        "insert into payment (payment_id, customer_id, staff_id, rental_id, amount, payment_date)"
        " select 900001, min(customer_id), 1, min(rental_id), -500, max(rental_date) from rental",
        "insert into payment (payment_id, customer_id, staff_id, rental_id, amount, payment_date)"
        " select 900002, 9998, 1, min(rental_id), 1, max(rental_date) from rental",
    )
    assert deployment.sync() == {}, "the raw tables equal the source"
    failed = deployment.run(touched)
    found = {name.split(":")[1].split("__")[0]: check.severity for name, check in failed.items()}
    assert found.pop("is_true_fct_payment_is_paid_by_renter") is WARN, "the sample data has such payments"
    assert found == {
        "not_negative_fct_payment_amount": WARN,
        "not_negative_fct_rental_revenue": WARN,
        "relationships_fct_rental_customer_id": WARN,
        "relationships_fct_payment_customer_id": WARN,
        "customer_value_conserves_totals": ERROR,
    }
    table(
        "a negative amount, an orphan rental, a payment for an unknown customer", deployment, "customer_value"
    )
    # Facts keep every row: an unknown customer gets the key `unknown`.
    with duckdb.connect(deployment.home.settings.warehouse_path, read_only=True) as warehouse:
        row = warehouse.execute("select customer_key from marts.fct_rental where rental_id = 900001").fetchone()
    assert row == ("unknown",)
    alerts = deployment.sent_alerts()
    assert len(alerts) == 2, "one alert for each of the two teams"
    for name in ("payment", "rental"):
        deployment.execute_at_source(f"delete from {name} where {name}_id > 900000")
    assert deployment.sync() == {}
    left = {name.split(":")[1] for name in deployment.run(touched)}
    assert left <= {"is_true_fct_payment_is_paid_by_renter"}


def test_a_password_in_staging_blocks_readers_until_the_view_is_fixed(
    deployment: LocalDeployment, table: Any
) -> None:
    staff = dg.AssetKey(["staging", "stg_dvd_rental__staff"])
    deployment.execute_in_warehouse(
        "create or replace view staging.stg_dvd_rental__staff as select * from dvd_rental.staff"
    )
    failed = deployment.run(checks=deployment.checks_of(staff, "secret_columns"))
    assert {name: check.severity for name, check in failed.items()} == {
        "stg_dvd_rental__staff:secret_columns_stay_raw": ERROR
    }
    table("a staff password in staging", deployment, "all that reads staff")
    alerts = deployment.sent_alerts()
    assert len(alerts) == 1
    readers = {dg.AssetKey(["marts", "dim_staff"]), dg.AssetKey(["marts", "dim_store"])}
    deployment.sync()
    requested = deployment.requested()
    assert staff in requested, "the view is built again"
    assert not readers & requested
    assert deployment.run('key:"staging/stg_dvd_rental__staff"') == {}
    assert readers <= deployment.requested()
    assert_resolved(deployment, alerts)


def test_a_fan_out_in_a_mart_is_caught_by_checks_and_blocks_reports(
    deployment: LocalDeployment, table: Any
) -> None:
    deployment.execute_in_warehouse(
        "insert into marts.fct_payment select f.* from marts.fct_payment f, range(2)"
    )
    failed = deployment.run(checks=deployment.checks_of(PAYMENTS))
    names = {name.split(":")[1] for name, check in failed.items() if check.severity is ERROR}
    assert {
        "unique_fct_payment_payment_id",
        "fct_payment_conserves_totals",
        "fct_payment_equals_the_source_view_of_stores",
        "revenue_within_learnt_bounds",
        "rows_within_learnt_bounds",
    } <= names
    table("a fan-out join in a mart (revenue x3)", deployment, "the reports on payments")
    alerts = deployment.sent_alerts()
    assert len(alerts) == 1
    # The next morning, after a sync and a build of the models, whose checks fail again.
    morning = (TODAY + timedelta(days=1)).replace(hour=5)
    assert deployment.requested(morning) == {dg.AssetKey(["site", "costs"])}, "it is downstream of nothing"
    built = deployment.home.keys("group:raw or group:staging or group:snapshots or group:marts")
    deployment.report_built(built, failing={dg.AssetCheckKey(PAYMENTS, name) for name in names})
    requested = deployment.requested(morning + timedelta(minutes=10))
    reports = deployment.home.keys('key:"reports/*"')
    by_payment = deployment.home.graph.get(PAYMENTS).child_keys & reports
    assert by_payment
    assert not by_payment & requested
    assert requested & reports, "other reports are not blocked"
    failed = deployment.run('key:"marts/fct_payment"', full_refresh=True)
    assert not [name for name, check in failed.items() if check.severity is ERROR]
    assert by_payment & deployment.requested(morning + timedelta(minutes=20))


def test_a_stale_report_is_caught_by_the_checks_of_the_next_sync(
    deployment: LocalDeployment, table: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lags = [check for check in deployment.home.graph.asset_check_keys if check.name == "data_lag_is_short"]
    report = dg.AssetKey(["reports", "revenue_by_day"])
    assert deployment.run(checks=lags) == {}
    deployment.execute_at_source("update payment set amount = amount + 1 where payment_id % 2 = 0")
    deployment.sync()
    assert deployment.run(checks=lags) == {}, "the data is not late yet"
    for hours, layers in ((2, {"marts"}), (27, {"marts", "reports"})):
        monkeypatch.setattr(
            durations, "utc_now", lambda hours=hours: datetime.now(UTC) + timedelta(hours=hours)
        )
        failed = deployment.run(checks=lags)
        assert {check.severity for check in failed.values()} == {WARN}
        assert {check.asset_key.path[0] for check in failed.values()} - {"snapshots"} == layers
    assert report in {check.asset_key for check in failed.values()}
    assert "dim_copy:data_lag_is_short" not in failed, "none of its inputs has changed"
    deployment.failed = {name: check for name, check in failed.items() if "revenue_by_day" in name}
    table("a stale report (27 h, clock moved)", deployment, "nothing: old numbers are not wrong")
    assert len(deployment.sent_alerts()) >= 1
    deployment.run('+key:"reports/revenue_by_day" and not group:raw')
    assert "revenue_by_day:data_lag_is_short" not in deployment.run(checks=lags)


def test_a_growing_slot_is_reported_by_check_and_by_sensor(
    deployment: LocalDeployment, table: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluations, "allowed_bytes", lambda limit: 0)
    monkeypatch.setattr(slot_lag, "allowed_bytes", lambda limit: 1_000_000)
    slots = [check for check in deployment.home.graph.asset_check_keys if "slot" in check.name]
    # The sensor queries a source with a URL itself.
    config = deployment.home.resources["ingestion"].model_dump() | {"source_url": deployment.url}
    deployment.ingestion = EmbeddedIngestion(**config)
    deployment.execute_at_source(
        "create table noise as select repeat('x', 900) as x from generate_series(1, 5000)"
    )
    failed = deployment.run(checks=slots)
    assert {check.severity for check in failed.values()} == {WARN}
    table("a slot that grows", deployment, "nothing; the slot sensor alerts too")
    alerts = deployment.sent_alerts()
    assert any(title == "WARNING: replication slot of dvd_rental" for title in alerts)
    assert any("replication_slot_is_short" in title for title in alerts)
    monkeypatch.setattr(evaluations, "allowed_bytes", allowed_bytes)
    monkeypatch.setattr(slot_lag, "allowed_bytes", allowed_bytes)
    assert deployment.sync() == {}
    assert deployment.sent_alerts() == []
    assert all(title.startswith("RESOLVED") for title in deployment.sent_alerts(46))


def test_a_burst_of_business_raises_no_alert(deployment: LocalDeployment, table: Any) -> None:
    simulate(deployment.url, events=600, seed=5)
    assert deployment.sync() == {}
    assert {PAYMENTS, RENTALS} <= deployment.requested()
    failed = deployment.run("group:snapshots or group:marts")
    assert {name.split(":")[1]: check.severity for name, check in failed.items()} in (
        {"is_true_fct_payment_is_paid_by_renter": WARN},
        {},
    )
    table("a normal burst of traffic", deployment, "nothing")
