"""Whole days of a deployment under Dagster's own daemons: which runs start, and which alerts are sent.

The source is real, with traffic; syncs and their checks are the pipeline's own. The steps of the models do
nothing, since the tests are about what starts and what blocks them.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import psycopg
import pytest
from dagster._core.test_utils import freeze_time
from psycopg.conninfo import conninfo_to_dict

from dvd_rental_pipeline.assembly.raw_assets import build_raw_assets
from dvd_rental_pipeline.assembly.shared import build_alert_sensors
from dvd_rental_pipeline.automation import alert_sensor
from dvd_rental_pipeline.automation.condition_sensors import MODEL_SENSORS, build_catch_up_sensor
from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.definitions import build_definitions
from dvd_rental_pipeline.ingestion.embedded import EmbeddedIngestion
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.pipelines.dvd_rental.pipeline import DVD_RENTAL_PIPELINE
from dvd_rental_pipeline.quality import durations, evaluations
from dvd_rental_pipeline.quality.raw_tables import build_replication_checks
from dvd_rental_pipeline.sample.dvd_rental.generator.generate import generate
from dvd_rental_pipeline.sample.dvd_rental.simulator import simulate
from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres
from dvd_rental_pipeline.warehouse.resource import DuckDBWarehouseResource
from dvd_rental_pipeline_tests.automation.conftest import KEYS
from dvd_rental_pipeline_tests.automation.graph_subset import graph_subset_of
from dvd_rental_pipeline_tests.end_to_end.daemon_harness import DaemonHarness, count_by_origin, running_daemons
from dvd_rental_pipeline_tests.end_to_end.run_result import assert_succeeded
from dvd_rental_pipeline_tests.stand_ins.recorded_alerts import SENT, RecordedAlerts

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(3600)]

MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
STEP = timedelta(minutes=5)
TABLES = {"film", "payment", "rental"}
COMMIT_LAG = {tier: freshness.commit_lag for tier, freshness in DVD_RENTAL_PIPELINE.tiers.items()}
SMALL = replace(DVD_RENTAL, tables=tuple(table for table in DVD_RENTAL.tables if table.name in TABLES))


class Shop:
    """The source: it has traffic from 09:00 to 22:00, and can be made unreachable."""

    def __init__(self, url: str, admin_url: str) -> None:
        self.url, self._admin_url = url, admin_url
        self._name = str(conninfo_to_dict(url)["dbname"])
        self._is_reachable = True

    def simulate_hour(self, now: datetime) -> None:
        """Add the traffic of an hour at each full hour while the shop is open."""
        if 9 <= now.hour < 22 and now.minute == 0 and self._is_reachable:
            simulate(self.url, events=30 if now.hour in {12, 18, 19} else 8, seed=now.hour)

    def set_reachable(self, reachable: bool) -> None:
        """Allow or refuse new connections to the database."""
        self._is_reachable = reachable
        with psycopg.connect(self._admin_url, autocommit=True) as admin:
            admin.execute(f"alter database {self._name} with allow_connections {reachable}")


@pytest.fixture
def shop(database_url: str, postgres: EmbeddedPostgres) -> Shop:
    generate(database_url, scale=0.02, seed=1)
    return Shop(database_url, postgres.url("postgres"))


@pytest.fixture
def deployment(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DaemonHarness]:
    """A deployment in which everything was built at 23:50 of the previous day."""
    warehouse = tmp_path / "warehouse.duckdb"
    definitions = graph_subset_of(
        build_definitions(Settings(home=tmp_path)),
        KEYS,
        raw=build_raw_assets(replace(DVD_RENTAL_PIPELINE, domain=SMALL)),
        raw_checks=build_replication_checks(SMALL, COMMIT_LAG, "ingestion"),
        sensors=[*MODEL_SENSORS, build_catch_up_sensor(SMALL), *build_alert_sensors([DVD_RENTAL_PIPELINE])],
        most_checks=1,
        resources={
            "alerts": RecordedAlerts(),
            "warehouse": DuckDBWarehouseResource(path=str(warehouse)),
            "ingestion": EmbeddedIngestion(
                postgres_dir=str(tmp_path / "none"),
                warehouse_path=str(warehouse),
                slot="days_under_daemons",
                source_url=shop.url,
            ),
        },
    )
    SENT.clear()
    with running_daemons(definitions, tmp_path / "dagster", MIDNIGHT - timedelta(minutes=10)) as deployment:
        monkeypatch.setattr(alert_sensor, "_now", lambda: datetime.timestamp(deployment.now))
        monkeypatch.setattr(durations, "utc_now", lambda: deployment.now)
        parse_time = evaluations.parse_time
        monkeypatch.setattr(evaluations, "parse_time", lambda text: deployment.daemon_time(parse_time(text)))
        everything = definitions.resolve_implicit_global_asset_job_def()
        with freeze_time(deployment.now):
            assert_succeeded(everything.execute_in_process(instance=deployment.instance, raise_on_error=False))
        # The first evaluation of conditions and schedules only initializes them.
        assert deployment.tick(timedelta(minutes=1)) == []
        deployment.now = MIDNIGHT - STEP
        yield deployment


def run_until(deployment: DaemonHarness, shop: Shop, until: datetime, step: timedelta = STEP) -> Counter[str]:
    """Tick every `step` until then, with traffic; returns how many runs each schedule and sensor launched."""
    started: Counter[str] = Counter()
    while deployment.now + step <= until:
        shop.simulate_hour(deployment.now)
        runs = deployment.tick(step)
        started += count_by_origin(runs)
        if deployment.now.minute % 15:
            unexpected = {"dvd_rental_sync", "models_follow_source"} & set(count_by_origin(runs))
            assert not unexpected, f"at {deployment.now} nothing has changed"
    return started


def test_a_normal_day_starts_the_expected_runs_and_sends_no_alert(
    deployment: DaemonHarness, shop: Shop
) -> None:
    deployment.now = MIDNIGHT - QUARTER / 2
    started = run_until(deployment, shop, MIDNIGHT + timedelta(days=1) - QUARTER / 2, QUARTER / 2)
    # Models at each half hour, and at a quarter past the hours with traffic.
    assert started == {"dvd_rental_sync": 96, "models_follow_source": 48 + 13, "reports_every_morning": 1}
    assert SENT == []
    runs = deployment.instance.get_runs()
    assert [run.run_id for run in runs if run.status is not dg.DagsterRunStatus.SUCCESS] == []


def test_an_outage_sends_one_alert_and_one_resolution_per_owner(deployment: DaemonHarness, shop: Shop) -> None:
    def at(clock: str) -> datetime:
        hours, minutes = clock.split(":")
        return MIDNIGHT + timedelta(hours=int(hours), minutes=int(minutes))

    deployment.now = at("08:55")
    run_until(deployment, shop, at("10:05"))
    SENT.clear()

    # Half an hour: nothing is overdue yet, but two syncs fail.
    shop.set_reachable(False)
    started = run_until(deployment, shop, at("10:40"))
    assert started == {"dvd_rental_sync": 2}, "nothing is built without new rows"
    shop.set_reachable(True)
    run_until(deployment, shop, at("12:05"))
    assert [(alert.subject, alert.resolved) for alert in SENT] == [
        ("runs of dvd_rental_sync", False),
        ("runs of dvd_rental_sync", True),
    ]

    # Nearly three hours: tables and models are overdue, and their owners get alerts.
    SENT.clear()
    shop.set_reachable(False)
    started = run_until(deployment, shop, at("14:50"))
    assert started == {"dvd_rental_sync": 11, "dvd_rental_catch_up": 1}
    shop.set_reachable(True)
    started = run_until(deployment, shop, at("16:00"))
    assert started["dvd_rental_catch_up"] == 0, "the schedule has synced already"
    assert started["dvd_rental_sync"] == 5
    assert started["models_follow_source"] == 4, "not after the last quarter, which has moved nothing"
    alerts = [(alert.owner, alert.resolved) for alert in SENT]
    owners = ["team:data_engineering", "team:data_platform", "team:analytics_engineering"]
    assert sorted(alerts) == sorted((owner, resolved) for owner in owners for resolved in (False, True))
    assert [resolved for _, resolved in alerts] == [False] * 3 + [True] * 3
