"""What people are told of checks, late assets and the slot: each change once, bundled, and nothing lost."""

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
from dvd_rental_pipeline.automation.slot_lag import WARN_BYTES, slot_lag_alerts
from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.core.private_api.dagster import FreshnessState
from dvd_rental_pipeline.ingestion.resource import Ingestion, Inspection, SyncOutcome, WatchedSlot
from dvd_rental_pipeline_tests.automation.history import History

PAYMENT = dg.AssetKey(["dvd_rental", "payment"])
RENTAL = dg.AssetKey(["dvd_rental", "rental"])
FACT = dg.AssetKey(["marts", "fct_payment"])

_sent: list[Alert] = []
_reachable = True


class KeptAlerts(Alerts):
    """Keeps what is sent, while people can be reached."""

    def send(self, alert: Alert, log: logging.Logger) -> bool:
        if _reachable:
            _sent.append(alert)
        return _reachable


class SlotIngestion(Ingestion):
    """Knows where the slot is, and nothing else."""

    source_url: str | None

    def sync(self, domain: Domain, log: dg.DagsterLogManager, *, full_refresh: bool = False) -> SyncOutcome:
        raise AssertionError("a watch syncs nothing")

    def inspect(self, domain: Domain, log: dg.DagsterLogManager) -> Inspection:
        raise AssertionError("a watch compares nothing")

    def watched_slot(self) -> WatchedSlot | None:
        return WatchedSlot(self.source_url, "watched") if self.source_url else None


class Watch:
    """A sensor whose clock the test moves, looking at a history."""

    def __init__(self, sensor: dg.SensorDefinition, history: History, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sensor, self.history = sensor, history
        self.now = datetime.now(UTC).timestamp()
        self.cursor: str | None = None
        self.source_url: str | None = None
        self.said = ""
        monkeypatch.setattr(alert_sensor, "_now", lambda: self.now)

    def collect_findings(self, after_minutes: float = 1) -> Sequence[Alert]:
        """What is told when the sensor looks again, so many minutes later."""
        _sent.clear()
        self.now += after_minutes * 60
        context = dg.build_sensor_context(
            instance=self.history.instance,
            cursor=self.cursor,
            repository_def=self.history.definitions.get_repository_def(),
            resources={
                "alerts": KeptAlerts(dagster_url="https://dagster.example.com"),
                "ingestion": SlotIngestion(source_url=self.source_url),
            },
        )
        tick = self.sensor.evaluate_tick(context)
        self.cursor, self.said = tick.cursor, str(tick.skip_message)
        return list(_sent)


@pytest.fixture(autouse=True)
def reachable() -> None:
    global _reachable  # noqa: PLW0603
    _reachable = True


@pytest.fixture
def checks(history: History, monkeypatch: pytest.MonkeyPatch) -> Watch:
    history.build([PAYMENT, FACT])
    return Watch(failed_check_alerts, history, monkeypatch)


@pytest.fixture
def lateness(history: History, monkeypatch: pytest.MonkeyPatch) -> Watch:
    history.build([PAYMENT, RENTAL, FACT])
    history.freshness([PAYMENT, RENTAL, FACT], FreshnessState.PASS)
    return Watch(overdue_alerts, history, monkeypatch)


@pytest.fixture
def slot(history: History, monkeypatch: pytest.MonkeyPatch) -> Watch:
    return Watch(slot_lag_alerts, history, monkeypatch)


def checks_of(history: History, key: dg.AssetKey) -> list[dg.AssetCheckKey]:
    return sorted(history.graph.get_check_keys_for_assets({key}))


def test_all_well_is_nothing_to_tell(checks: Watch, lateness: Watch) -> None:
    for watch in (checks, lateness):
        for _ in range(3):
            assert watch.collect_findings(60) == []
        assert watch.cursor == "{}"


def test_a_check_that_fails_is_told_once_with_reason_owner_and_link_and_so_is_its_end(checks: Watch) -> None:
    check = checks_of(checks.history, FACT)[0]
    checks.history.check(check, passed=False, description="3 payments have no rental.")
    (alert,) = checks.collect_findings()
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
    assert checks.collect_findings(120) == []
    checks.history.check(check, passed=True)
    assert checks.collect_findings(1) == []
    (resolved,) = checks.collect_findings(60)
    assert resolved.resolved
    assert resolved.subject == alert.subject
    assert checks.collect_findings(600) == []


def test_a_check_that_flaps_is_one_story(checks: Watch) -> None:
    check = checks_of(checks.history, FACT)[0]
    notified = []
    for passed in [False, True] * 5:
        checks.history.check(check, passed=passed)
        notified += checks.collect_findings(15)
    notified += checks.collect_findings(15) + checks.collect_findings(60)
    assert [alert.resolved for alert in notified] == [False, True]


def test_checks_of_one_owner_that_fail_together_share_an_alert(checks: Watch) -> None:
    mart, raw = checks_of(checks.history, FACT)[:3], checks_of(checks.history, PAYMENT)[0]
    for check in [*mart, raw]:
        checks.history.check(check, passed=False)
    notified = {alert.owner: alert for alert in checks.collect_findings()}
    assert set(notified) == {"team:analytics_engineering", "team:data_platform"}
    together = notified["team:analytics_engineering"]
    assert together.subject.endswith("and 2 more")
    assert all(check.name in together.happened for check in mart)


def test_what_could_not_be_sent_is_sent_later_and_once(checks: Watch) -> None:
    global _reachable  # noqa: PLW0603
    checks.history.check(checks_of(checks.history, FACT)[0], passed=False)
    _reachable = False
    assert checks.collect_findings() == []
    assert checks.collect_findings() == []
    _reachable = True
    assert len(checks.collect_findings()) == 1
    assert checks.collect_findings() == []


def test_a_check_that_is_evaluated_anew_stays_as_it_was_meanwhile(checks: Watch) -> None:
    check = checks_of(checks.history, FACT)[0]
    checks.history.check(check, passed=False)
    assert len(checks.collect_findings()) == 1
    checks.history.plan_check(check)
    assert checks.collect_findings(600) == []


def test_what_is_late_only_until_it_is_caught_up_is_not_told(lateness: Watch) -> None:
    lateness.history.freshness([PAYMENT], FreshnessState.FAIL)
    assert lateness.collect_findings() == []
    assert lateness.collect_findings(5) == []
    lateness.history.freshness([PAYMENT], FreshnessState.PASS)
    assert lateness.collect_findings(5) == []
    assert lateness.collect_findings(600) == []


def test_late_assets_are_told_together_and_once_and_their_return_too(lateness: Watch) -> None:
    lateness.history.freshness([PAYMENT, RENTAL], FreshnessState.FAIL)
    assert lateness.collect_findings() == []
    (alert,) = lateness.collect_findings(10)
    assert alert.subject == "dvd_rental/payment and 1 more"
    assert "dvd_rental/rental: Overdue: was last built" in alert.happened
    assert "every 45 minutes at least" in alert.happened
    assert "docs/runbook.md#overdue" in alert.happened
    assert alert.owner == "team:data_platform"
    assert lateness.collect_findings(600) == []
    lateness.history.freshness([PAYMENT, RENTAL], FreshnessState.PASS)
    assert lateness.collect_findings() == []
    (resolved,) = lateness.collect_findings(10)
    assert resolved.resolved
    assert resolved.severity is Severity.ERROR


def test_an_asset_that_will_soon_be_late_is_not_told(lateness: Watch) -> None:
    lateness.history.freshness([PAYMENT], FreshnessState.WARN)
    assert lateness.collect_findings() == []
    assert lateness.collect_findings(600) == []


def test_a_slot_that_keeps_too_much_log_is_a_warning_until_it_keeps_up(slot: Watch) -> None:
    assert slot.collect_findings() == [], "never synced"
    for lag, notified in [(10, 0), (WARN_BYTES, 0), (WARN_BYTES + 1, 1), (3 * WARN_BYTES, 0)]:
        slot.history.instance.report_runless_asset_event(
            dg.AssetMaterialization(PAYMENT, metadata={"slot_lag_bytes": lag})
        )
        assert len(slot.collect_findings()) == notified, lag
    slot.history.instance.report_runless_asset_event(
        dg.AssetMaterialization(PAYMENT, metadata={"slot_lag_bytes": 10})
    )
    assert slot.collect_findings() == []
    (resolved,) = slot.collect_findings(45)
    assert resolved.resolved
    assert resolved.severity is Severity.WARNING


def test_a_sync_that_does_not_tell_the_lag_is_not_judged_and_the_sensor_says_what_it_needs(slot: Watch) -> None:
    slot.history.build([PAYMENT])
    assert slot.collect_findings() == []
    assert "Set DVD_RENTAL_SOURCE_URL" in slot.said


def test_a_source_with_an_address_is_asked_itself(
    slot: Watch, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot.source_url = database_url
    assert slot.collect_findings() == []
    assert "no slot watched" in slot.said
    with psycopg.connect(database_url, autocommit=True) as source:
        source.execute("select pg_create_logical_replication_slot('watched', 'pgoutput')")
        assert slot.collect_findings() == []
        monkeypatch.setattr(slot_lag, "WARN_BYTES", 1_000_000)
        source.execute("create table noise as select repeat('x', 900) as x from generate_series(1, 2000)")
        (alert,) = slot.collect_findings()
        assert "MB of log" in alert.happened
        assert alert.owner == "team:data_platform"
        assert slot.collect_findings(600) == [], "told once"
        (end,) = source.execute("select pg_current_wal_lsn()").fetchone() or ()
        source.execute("select pg_replication_slot_advance('watched', %s)", [end])
        source.execute("checkpoint")
    monkeypatch.setattr(slot_lag, "WARN_BYTES", 1_000_000_000)
    assert slot.collect_findings() == []
    (resolved,) = slot.collect_findings(45)
    assert resolved.resolved


def test_a_source_that_does_not_answer_changes_nothing_and_the_sensor_says_so(slot: Watch) -> None:
    slot.source_url = "postgresql://nobody:secret@127.0.0.1:1/nothing"
    assert slot.collect_findings() == []
    assert "could not be asked" in slot.said
    assert "secret" not in slot.said
