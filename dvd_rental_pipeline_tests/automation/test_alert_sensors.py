"""Alerts about checks, overdue assets and slots: one per change, grouped by owner, and none lost."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg
import psycopg
import pytest

from dvd_rental_pipeline.automation import alert_sensor, slot_lag
from dvd_rental_pipeline.automation.alerts import Alert, Alerts, Severity
from dvd_rental_pipeline.automation.failed_checks import failed_check_alerts
from dvd_rental_pipeline.automation.overdue_assets import overdue_alerts
from dvd_rental_pipeline.automation.slot_lag import MonitoredSlot, build_slot_lag_alerts
from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.core.private_api.dagster import FreshnessState
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.slot import allowed_bytes
from dvd_rental_pipeline.ingestion.resource import Ingestion, Inspection, SyncOutcome, WatchedSlot
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline_tests.automation.history import History

PAYMENT = dg.AssetKey(["dvd_rental", "payment"])
RENTAL = dg.AssetKey(["dvd_rental", "rental"])
FACT = dg.AssetKey(["marts", "fct_payment"])

_sent: list[Alert] = []
_reachable = True


class RecordedAlerts(Alerts):
    """Records what is sent while `_reachable`; otherwise sending fails."""

    def send(self, alert: Alert, log: logging.Logger) -> bool:
        if _reachable:
            _sent.append(alert)
        return _reachable


class SlotIngestion(Ingestion):
    """Knows the slot alone."""

    source_url: str | None

    def sync(self, domain: Domain, log: dg.DagsterLogManager, *, full_refresh: bool = False) -> SyncOutcome:
        raise AssertionError("a sensor must not sync")

    def inspect(self, domain: Domain, log: dg.DagsterLogManager) -> Inspection:
        raise AssertionError("a sensor must not compare")

    def watched_slot(self) -> WatchedSlot | None:
        return WatchedSlot(self.source_url, "watched") if self.source_url else None


class SensorRun:
    """A sensor with a clock that the test moves, evaluated on a history."""

    def __init__(self, sensor: dg.SensorDefinition, history: History, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sensor, self.history = sensor, history
        self.now = datetime.now(UTC).timestamp()
        self.cursor: str | None = None
        self.source_url: str | None = None
        self.skip_message = ""
        monkeypatch.setattr(alert_sensor, "_now", lambda: self.now)

    def evaluate(self, after_minutes: float = 1) -> Sequence[Alert]:
        """The alerts that an evaluation sends, so many minutes after the last one."""
        _sent.clear()
        self.now += after_minutes * 60
        context = dg.build_sensor_context(
            instance=self.history.instance,
            cursor=self.cursor,
            repository_def=self.history.definitions.get_repository_def(),
            resources={
                "alerts": RecordedAlerts(dagster_url="https://dagster.example.com"),
                "ingestion": SlotIngestion(source_url=self.source_url),
            },
        )
        tick = self.sensor.evaluate_tick(context)
        self.cursor, self.skip_message = tick.cursor, str(tick.skip_message)
        return list(_sent)


@pytest.fixture(autouse=True)
def reachable() -> None:
    global _reachable  # noqa: PLW0603
    _reachable = True


@pytest.fixture
def checks(history: History, monkeypatch: pytest.MonkeyPatch) -> SensorRun:
    history.build([PAYMENT, FACT])
    return SensorRun(failed_check_alerts, history, monkeypatch)


@pytest.fixture
def overdue(history: History, monkeypatch: pytest.MonkeyPatch) -> SensorRun:
    history.build([PAYMENT, RENTAL, FACT])
    history.freshness([PAYMENT, RENTAL, FACT], FreshnessState.PASS)
    return SensorRun(overdue_alerts, history, monkeypatch)


@pytest.fixture
def slot(history: History, monkeypatch: pytest.MonkeyPatch) -> SensorRun:
    return SensorRun(build_slot_lag_alerts([MonitoredSlot(DVD_RENTAL, "ingestion")]), history, monkeypatch)


def checks_of(history: History, key: dg.AssetKey) -> list[dg.AssetCheckKey]:
    return sorted(history.graph.get_check_keys_for_assets({key}))


def test_nothing_is_sent_without_a_problem(checks: SensorRun, overdue: SensorRun) -> None:
    for sensor in (checks, overdue):
        for _ in range(3):
            assert sensor.evaluate(60) == []
        assert sensor.cursor == "{}"


def test_a_failing_check_sends_one_alert_and_one_when_it_recovers(checks: SensorRun) -> None:
    check = checks_of(checks.history, FACT)[0]
    checks.history.check(check, passed=False, description="3 payments have no rental.")
    (alert,) = checks.evaluate()
    assert check.name in alert.subject
    assert "marts/fct_payment" in alert.subject
    assert alert.happened.startswith("3 payments have no rental.")
    assert "docs/runbook.md" in alert.happened
    assert alert.owner == "team:analytics_engineering"
    assert alert.severity is Severity.ERROR
    assert (
        alert.link
        == f"https://dagster.example.com/assets/marts/fct_payment?view=checks&checkDetail={check.name}"
    )
    checks.history.check(check, passed=False, description="4 payments have no rental.")
    assert checks.evaluate(120) == []
    checks.history.check(check, passed=True)
    assert checks.evaluate(1) == []
    (resolved,) = checks.evaluate(60)
    assert resolved.resolved
    assert resolved.subject == alert.subject
    assert checks.evaluate(600) == []


def test_a_cursor_of_another_version_is_dropped() -> None:
    cursor = '{"check a of b": {"told": true, "troubled": true, "since": 1.0}}'
    assert alert_sensor.read_cursor(cursor) == {}


def test_a_flapping_check_is_one_incident(checks: SensorRun) -> None:
    check = checks_of(checks.history, FACT)[0]
    sent = []
    for passed in [False, True] * 5:
        checks.history.check(check, passed=passed)
        sent += checks.evaluate(15)
    sent += checks.evaluate(15) + checks.evaluate(60)
    assert [alert.resolved for alert in sent] == [False, True]


def test_checks_of_one_owner_that_fail_together_share_an_alert(checks: SensorRun) -> None:
    mart, raw = checks_of(checks.history, FACT)[:3], checks_of(checks.history, PAYMENT)[0]
    for check in [*mart, raw]:
        checks.history.check(check, passed=False)
    sent = {alert.owner: alert for alert in checks.evaluate()}
    assert set(sent) == {"team:analytics_engineering", "team:data_platform"}
    together = sent["team:analytics_engineering"]
    assert together.subject.endswith("and 2 more")
    assert all(check.name in together.happened for check in mart)


def test_an_alert_that_could_not_be_sent_is_sent_later_and_once(checks: SensorRun) -> None:
    global _reachable  # noqa: PLW0603
    checks.history.check(checks_of(checks.history, FACT)[0], passed=False)
    _reachable = False
    assert checks.evaluate() == []
    assert checks.evaluate() == []
    _reachable = True
    assert len(checks.evaluate()) == 1
    assert checks.evaluate() == []


def test_a_check_keeps_its_state_while_it_is_evaluated_again(checks: SensorRun) -> None:
    check = checks_of(checks.history, FACT)[0]
    checks.history.check(check, passed=False)
    assert len(checks.evaluate()) == 1
    checks.history.plan_check(check)
    assert checks.evaluate(600) == []


def test_an_asset_that_is_overdue_for_a_short_time_sends_nothing(overdue: SensorRun) -> None:
    overdue.history.freshness([PAYMENT], FreshnessState.FAIL)
    assert overdue.evaluate() == []
    assert overdue.evaluate(5) == []
    overdue.history.freshness([PAYMENT], FreshnessState.PASS)
    assert overdue.evaluate(5) == []
    assert overdue.evaluate(600) == []


def test_overdue_assets_share_one_alert_and_one_when_they_recover(overdue: SensorRun) -> None:
    overdue.history.freshness([PAYMENT, RENTAL], FreshnessState.FAIL)
    assert overdue.evaluate() == []
    (alert,) = overdue.evaluate(10)
    assert alert.subject == "dvd_rental/payment and 1 more"
    assert "dvd_rental/rental: Overdue: was last built" in alert.happened
    assert "every 45 minutes at least" in alert.happened
    assert "docs/runbook.md#overdue" in alert.happened
    assert alert.owner == "team:data_platform"
    assert overdue.evaluate(600) == []
    overdue.history.freshness([PAYMENT, RENTAL], FreshnessState.PASS)
    assert overdue.evaluate() == []
    (resolved,) = overdue.evaluate(10)
    assert resolved.resolved
    assert resolved.severity is Severity.ERROR


def test_an_asset_that_will_soon_be_overdue_sends_nothing(overdue: SensorRun) -> None:
    overdue.history.freshness([PAYMENT], FreshnessState.WARN)
    assert overdue.evaluate() == []
    assert overdue.evaluate(600) == []


def test_a_slot_that_retains_too_much_log_is_a_warning(slot: SensorRun) -> None:
    assert slot.evaluate() == [], "never synced"
    allowed = allowed_bytes(None)
    for lag, sent in [(10, 0), (allowed, 0), (allowed + 1, 1), (3 * allowed, 0)]:
        slot.history.instance.report_runless_asset_event(
            dg.AssetMaterialization(PAYMENT, metadata={"slot_lag_bytes": lag})
        )
        assert len(slot.evaluate()) == sent, lag
    slot.history.instance.report_runless_asset_event(
        dg.AssetMaterialization(PAYMENT, metadata={"slot_lag_bytes": 10})
    )
    assert slot.evaluate() == []
    (resolved,) = slot.evaluate(45)
    assert resolved.resolved
    assert resolved.severity is Severity.WARNING


def test_a_sync_that_does_not_report_the_lag_is_inconclusive(slot: SensorRun) -> None:
    slot.history.build([PAYMENT])
    assert slot.evaluate() == []
    assert "Set DVD_RENTAL_SOURCE_URL" in slot.skip_message


def test_a_source_with_a_url_is_queried(
    slot: SensorRun, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot.source_url = database_url
    assert slot.evaluate() == []
    assert "no slot watched" in slot.skip_message
    with psycopg.connect(database_url, autocommit=True) as source:
        source.execute("select pg_create_logical_replication_slot('watched', 'pgoutput')")
        assert slot.evaluate() == []
        monkeypatch.setattr(slot_lag, "allowed_bytes", lambda limit: 1_000_000)
        source.execute("create table noise as select repeat('x', 900) as x from generate_series(1, 2000)")
        (alert,) = slot.evaluate()
        assert "MB of log" in alert.happened
        assert alert.owner == "team:data_platform"
        assert slot.evaluate(600) == [], "one alert"
        (end,) = source.execute("select pg_current_wal_lsn()").fetchone() or ()
        source.execute("select pg_replication_slot_advance('watched', %s)", [end])
        source.execute("checkpoint")
    monkeypatch.setattr(slot_lag, "allowed_bytes", lambda limit: 1_000_000_000)
    assert slot.evaluate() == []
    (resolved,) = slot.evaluate(45)
    assert resolved.resolved


def test_an_unreachable_source_is_inconclusive(slot: SensorRun) -> None:
    slot.source_url = "postgresql://nobody:secret@127.0.0.1:1/nothing"
    assert slot.evaluate() == []
    assert "could not be queried" in slot.skip_message
    assert "secret" not in slot.skip_message
