"""A local deployment in this process: its runs, the assets that its conditions request, the alerts it sends."""

import secrets
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import psycopg
from dagster._core.definitions.data_version import DATA_VERSION_TAG

from dvd_rental_pipeline.assembly.shared import build_alert_sensors
from dvd_rental_pipeline.automation.condition_sensors import MODEL_SENSORS, build_catch_up_sensor
from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.definitions import build_definitions
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.pipelines.registry import PIPELINES
from dvd_rental_pipeline.sample.dvd_rental.database import DVD_RENTAL_DATABASE
from dvd_rental_pipeline.sample.source import Source
from dvd_rental_pipeline_tests.end_to_end.run_result import step_failures
from dvd_rental_pipeline_tests.stand_ins.recorded_alerts import SENT, RecordedAlerts

# In the past, since conditions ignore events older than their previous evaluation.
TODAY = (datetime.now(UTC) - timedelta(days=10)).replace(hour=12, minute=0, second=0, microsecond=0)
EXPECTED_ALERT = "WARNING: check is_true_fct_payment_is_paid_by_renter of marts/fct_payment"
"""The sample data has payments for another customer's rental, and simulated traffic may add some."""
EXPECTED_ALERTS = {
    EXPECTED_ALERT,
    # A small source has too few months.
    "WARNING: check is_true_forecast_accuracy_is_as_good_as_naive of reports/forecast_accuracy",
    # The sample of totesys has records to quarantine.
    "WARNING: check quarantine_is_empty of totesys_processed/fact_payment and 2 more",
}
"""What may be wrong when everything is built."""


class LocalHome:
    """A home folder with its graph, which is loaded once, and the cursors of its condition sensors."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(home=folder / "home")
        self.backup = folder / "backup"
        self.settings.export()
        self.definitions = build_definitions(self.settings, resource_overrides={"alerts": RecordedAlerts()})
        self.graph = self.definitions.resolve_asset_graph()
        self.resources = self.definitions.resources or {}
        self.source = Source(self.settings.postgres_dir, DVD_RENTAL_DATABASE)
        self.cursors: dict[str, Any] = {}
        # When the conditions were evaluated last.
        self.now = TODAY

    def open_instance(self) -> dg.DagsterInstance:
        self.settings.dagster_dir.mkdir(parents=True, exist_ok=True)
        return dg.DagsterInstance.local_temp(
            str(self.settings.dagster_dir), overrides={"telemetry": {"enabled": False}}
        )

    def keys(self, selection: str) -> set[dg.AssetKey]:
        return set(dg.AssetSelection.from_string(selection).resolve(self.graph))

    def evaluate_conditions(self, instance: dg.DagsterInstance, at: datetime) -> set[dg.AssetKey]:
        """The assets that the conditions request at that time."""
        requested: set[dg.AssetKey] = set()
        for sensor in (*MODEL_SENSORS, build_catch_up_sensor(DVD_RENTAL)):
            evaluated = dg.evaluate_automation_conditions(
                self.definitions,
                instance,
                asset_selection=sensor.asset_selection,
                evaluation_time=at,
                cursor=self.cursors.get(sensor.name),
            )
            self.cursors[sensor.name] = evaluated.cursor
            requested |= {
                result.key
                for result in evaluated.results
                if not result.true_subset.is_empty and isinstance(result.key, dg.AssetKey)
            }
        return requested


class LocalDeployment:
    """A home whose source is running. `failed` and `seconds` are of the last run."""

    def __init__(self, home: LocalHome, instance: dg.DagsterInstance, url: str) -> None:
        self.home, self.instance, self.url = home, instance, url
        self.ingestion = home.resources["ingestion"]
        self.seconds = 0.0
        self.failed: Mapping[str, dg.AssetCheckEvaluation] = {}
        self._minutes = 0.0
        # Reuse does not notice what is changed in the warehouse by hand.
        self._is_changed_by_hand = False
        self._sensor_cursors: dict[str, str | None] = {}

    def execute_at_source(self, *statements: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def execute_in_warehouse(self, statement: str) -> None:
        self._is_changed_by_hand = True
        with duckdb.connect(self.home.settings.warehouse_path) as warehouse:
            warehouse.execute(statement)

    def run(
        self,
        selection: str | None = None,
        checks: Sequence[dg.AssetCheckKey] | None = None,
        *,
        full_refresh: bool = False,
    ) -> Mapping[str, dg.AssetCheckEvaluation]:
        """Build `selection` with its checks, or evaluate `checks` alone; returns the failed checks by name.

        The reasons of failed steps are printed.
        """
        job = self.home.definitions.resolve_implicit_global_asset_job_def()
        step = "dvd_rental_ingestion" if selection == "group:raw" else "dbt_models"
        config: dict[str, Any] = {}
        if full_refresh:
            config[step] = {"config": {"full_refresh": True}}
        elif self._is_changed_by_hand and selection is not None and step == "dbt_models":
            config[step] = {"config": {"reuse": False}}
        started = time.monotonic()
        result = job.get_subset(
            asset_selection=self.home.keys(selection) if selection else set(),
            asset_check_selection=set(checks) if checks is not None else None,
        ).execute_in_process(instance=self.instance, raise_on_error=False, run_config={"ops": config})
        self.seconds = time.monotonic() - started
        print(*step_failures(result), sep="\n")
        self.failed = {
            f"{check.asset_key.path[-1]}:{check.check_name}": check
            for check in result.get_asset_check_evaluations()
            if not check.passed
        }
        return self.failed

    def sync(self) -> Mapping[str, dg.AssetCheckEvaluation]:
        """Sync and check the raw tables, as the schedule does; returns the failed checks by name."""
        return self.run("group:raw")

    def checks_of(self, key: dg.AssetKey, name: str = "") -> list[dg.AssetCheckKey]:
        """The checks of an asset whose name contains `name`."""
        return [check for check in self.home.graph.get_check_keys_for_assets({key}) if name in check.name]

    def report_built(self, keys: set[dg.AssetKey], failing: set[dg.AssetCheckKey]) -> None:
        """Record materializations of `keys` without a run, with other data than before, and all their checks.

        Only `failing` fail.
        """
        tags = {DATA_VERSION_TAG: secrets.token_hex(8)}
        for key in [key for key in self.home.graph.toposorted_asset_keys if key in keys]:
            self.instance.report_runless_asset_event(dg.AssetMaterialization(key, tags=tags))
            for check in self.checks_of(key):
                evaluation = dg.AssetCheckEvaluation(
                    asset_key=key, check_name=check.name, passed=check not in failing
                )
                self.instance.report_runless_asset_event(evaluation)

    def requested(self, at: datetime | None = None) -> set[dg.AssetKey]:
        """The assets that the conditions request at that time, by default at the next half hour.

        Then a sync without changes is a reason as well.
        """
        self.home.now = self.home.now + timedelta(minutes=30) if at is None else at
        return self.home.evaluate_conditions(self.instance, self.home.now)

    def sent_alerts(self, after_minutes: float = 1) -> list[str]:
        """Move the clock of the alert sensors and evaluate them; returns the titles of the alerts sent."""
        SENT.clear()
        self._minutes += after_minutes
        for sensor in build_alert_sensors(PIPELINES):
            context = dg.build_sensor_context(
                instance=self.instance,
                cursor=self._sensor_cursors.get(sensor.name),
                repository_def=self.home.definitions.get_repository_def(),
                resources={
                    "alerts": RecordedAlerts(),
                    **{each.ingestion_key: self.home.resources[each.ingestion_key] for each in PIPELINES},
                    "ingestion": self.ingestion,
                },
            )
            self._sensor_cursors[sensor.name] = sensor.evaluate_tick(context).cursor
        return [alert.title for alert in SENT]

    def alert_time(self) -> float:
        """The time on the clock of the alert sensors, in seconds since the epoch."""
        return datetime.now(UTC).timestamp() + self._minutes * 60
