"""A home with the whole graph in this process: its runs, what its conditions request, what its watches tell."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import psycopg

from dvd_rental_pipeline.assembly.shared import build_alert_sensors
from dvd_rental_pipeline.automation.condition_sensors import MODEL_SENSORS, build_catch_up_sensor
from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.definitions import build_definitions
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.pipelines.registry import PIPELINES
from dvd_rental_pipeline.sample.source import Source
from dvd_rental_pipeline_tests.stand_ins.recorded_alerts import SENT, RecordedAlerts

# Days ago: the conditions take nothing for new that was noted before they last looked.
TODAY = (datetime.now(UTC) - timedelta(days=10)).replace(hour=12, minute=0, second=0, microsecond=0)
KNOWN = "WARNING: check is_true_fct_payment_is_paid_by_renter of marts/fct_payment"
"""The sample data have payments for another customer's rental, and business goes on to make some."""


class Home:
    """A home whose graph was built once, and the runs, conditions and watches over it."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(home=folder / "home")
        self.pristine = folder / "pristine"
        self.settings.export()
        self.definitions = build_definitions(self.settings, resource_overrides={"alerts": RecordedAlerts()})
        self.graph = self.definitions.resolve_asset_graph()
        self.resources = self.definitions.resources or {}
        self.source = Source(self.settings.postgres_dir)
        self._cursors: dict[str, Any] = {}

    def open(self) -> dg.DagsterInstance:
        self.settings.dagster_dir.mkdir(parents=True, exist_ok=True)
        return dg.DagsterInstance.local_temp(
            str(self.settings.dagster_dir), overrides={"telemetry": {"enabled": False}}
        )

    def keys(self, selection: str) -> set[dg.AssetKey]:
        return set(dg.AssetSelection.from_string(selection).resolve(self.graph))

    def look(self, instance: dg.DagsterInstance, when: datetime) -> set[dg.AssetKey]:
        """What the conditions request at `when`."""
        requested: set[dg.AssetKey] = set()
        for sensor in (*MODEL_SENSORS, build_catch_up_sensor(DVD_RENTAL)):
            result = dg.evaluate_automation_conditions(
                self.definitions,
                instance,
                asset_selection=sensor.asset_selection,
                evaluation_time=when,
                cursor=self._cursors.get(sensor.name),
            )
            self._cursors[sensor.name] = result.cursor
            requested |= {
                one.key
                for one in result.results
                if not one.true_subset.is_empty and isinstance(one.key, dg.AssetKey)
            }
        return requested

    def forget_since(self, cursors: dict[str, Any]) -> None:
        self._cursors = dict(cursors)

    def remember(self) -> dict[str, Any]:
        return dict(self._cursors)


class Deployment:
    """A home whose source is running."""

    def __init__(self, home: Home, instance: dg.DagsterInstance, url: str) -> None:
        self.home, self.instance, self.url = home, instance, url
        self.minutes = 0.0
        self.ingestion = home.resources["ingestion"]
        self._watched: dict[str, str | None] = {}
        self.seconds = 0.0
        self.failed: dict[str, dg.AssetCheckEvaluation] = {}

    def at_source(self, *statements: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def in_warehouse(self, statement: str) -> None:
        with duckdb.connect(self.home.settings.warehouse_path) as warehouse:
            warehouse.execute(statement)

    def run(
        self,
        selection: str | None = None,
        checks: Sequence[dg.AssetCheckKey] | None = None,
        *,
        full_refresh: bool = False,
    ) -> dict[str, dg.AssetCheckEvaluation]:
        """Build `selection` with its checks, or evaluate `checks` alone; the checks that did not pass."""
        job = self.home.definitions.resolve_implicit_global_asset_job_def()
        step = "dvd_rental_ingestion" if selection == "group:raw" else "dbt_models"
        refresh = {"ops": {step: {"config": {"full_refresh": True}}}}
        began = time.monotonic()
        result = job.get_subset(
            asset_selection=self.home.keys(selection) if selection else set(),
            asset_check_selection=set(checks) if checks is not None else None,
        ).execute_in_process(
            instance=self.instance, raise_on_error=False, run_config=refresh if full_refresh else None
        )
        self.seconds = time.monotonic() - began
        self.failed = {
            f"{check.asset_key.path[-1]}:{check.check_name}": check
            for check in result.get_asset_check_evaluations()
            if not check.passed
        }
        return self.failed

    def sync(self) -> dict[str, dg.AssetCheckEvaluation]:
        """What the schedule does every quarter of an hour."""
        return self.run("group:raw")

    def checks_of(self, key: dg.AssetKey, name: str = "") -> list[dg.AssetCheckKey]:
        return [check for check in self.home.graph.get_check_keys_for_assets({key}) if name in check.name]

    def pretend(self, keys: set[dg.AssetKey], failing: set[dg.AssetCheckKey]) -> None:
        """Note that `keys` were built, and that of their checks `failing` have failed."""
        for key in [key for key in self.home.graph.toposorted_asset_keys if key in keys]:
            self.instance.report_runless_asset_event(dg.AssetMaterialization(key))
            for check in self.checks_of(key):
                evaluation = dg.AssetCheckEvaluation(
                    asset_key=key, check_name=check.name, passed=check not in failing
                )
                self.instance.report_runless_asset_event(evaluation)

    def requested(self, when: datetime = TODAY) -> set[dg.AssetKey]:
        return self.home.look(self.instance, when)

    def told(self, after_minutes: float = 1) -> list[str]:
        """What the watches tell so many minutes later: the titles of alerts."""
        SENT.clear()
        self.minutes += after_minutes
        for watch in build_alert_sensors(PIPELINES):
            context = dg.build_sensor_context(
                instance=self.instance,
                cursor=self._watched.get(watch.name),
                repository_def=self.home.definitions.get_repository_def(),
                resources={
                    "alerts": RecordedAlerts(),
                    "ingestion": self.ingestion,
                },
            )
            self._watched[watch.name] = watch.evaluate_tick(context).cursor
        return [alert.title for alert in SENT]

    def now(self) -> float:
        return datetime.now(UTC).timestamp() + self.minutes * 60
