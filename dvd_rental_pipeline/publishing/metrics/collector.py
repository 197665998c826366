"""Collects the metrics at each scrape. Labels are bounded: they come from the graph, not from its history."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import dagster as dg
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from dvd_rental_pipeline.automation.alert_sensor import read_cursor
from dvd_rental_pipeline.core.private_api.dagster import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
    InstigatorType,
    SensorInstigatorData,
)
from dvd_rental_pipeline.quality.findings import failed_rows

RUNS_WINDOW = timedelta(days=1)
OTHER_JOBS = "other"
"""Label of runs whose job is not one of the graph's: those of a selection."""
ROW_COUNT = "dagster/row_count"
DATA_AS_OF = "data_as_of"
# Metadata of evaluations, by metric and its help.
MEASUREMENTS = {
    "retained_bytes": ("dvd_rental_slot_retained_bytes", "Bytes of WAL that the replication slot retains"),
    "latency_seconds": (
        "dvd_rental_latency_seconds",
        "Longest time from a change in the source to the warehouse, of the changes loaded during a day",
    ),
    "commit_lag_seconds": ("dvd_rental_commit_lag_seconds", "Age of the oldest change that is not replicated"),
}
_EVALUATED = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}


class PlatformCollector(Collector):
    """The metrics of the graph `definitions`, from the storage of `instance`."""

    def __init__(self, definitions: dg.Definitions, instance: dg.DagsterInstance) -> None:
        graph = definitions.resolve_asset_graph()
        self._instance = instance
        self._layers: Mapping[dg.AssetKey, str] = {
            node.key: node.tags.get("layer", "") for node in graph.asset_nodes if node.is_materializable
        }
        self._blocking = {node.key: node.blocking for node in graph.asset_check_nodes}
        # Of the project's sensors, those that send alerts.
        self._alert_sensors = {
            sensor.name
            for sensor in definitions.sensors or ()
            if isinstance(sensor, dg.SensorDefinition) and "alerts" in sensor.required_resource_keys
        }
        # Without the implicit job of all assets, in which selections run.
        self._jobs = {job.name for job in definitions.resolve_all_job_defs() if not job.name.startswith("__")}

    def describe(self) -> list[Metric]:
        """Nothing: registering must not query the storage."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Query the storage and yield every metric."""
        yield from self._assets()
        yield from self._checks()
        yield from self._runs()
        yield from self._alerts()

    def _assets(self) -> Iterator[Metric]:
        labels = ["asset", "layer"]
        built = GaugeMetricFamily(
            "dvd_rental_asset_last_materialization_timestamp_seconds",
            "When the asset was last built",
            labels=labels,
        )
        data = GaugeMetricFamily(
            "dvd_rental_asset_data_timestamp_seconds",
            "Commit time up to which the data are complete",
            labels=labels,
        )
        rows = GaugeMetricFamily("dvd_rental_asset_rows", "Rows after the last build", labels=labels)
        for record in self._instance.get_asset_records(list(self._layers)):
            event = record.asset_entry.last_materialization
            materialization = event.asset_materialization if event else None
            if event is None or materialization is None:
                continue
            key = record.asset_entry.asset_key
            values = [key.to_user_string(), self._layers[key]]
            built.add_metric(values, event.timestamp)
            count, as_of = (materialization.metadata.get(name) for name in (ROW_COUNT, DATA_AS_OF))
            if isinstance(count, dg.IntMetadataValue) and count.value is not None:
                rows.add_metric(values, count.value)
            if isinstance(as_of, dg.TimestampMetadataValue):
                data.add_metric(values, as_of.value)
        yield from (built, data, rows)

    def _checks(self) -> Iterator[Metric]:
        labels = ["asset", "check", "blocking"]
        passed = GaugeMetricFamily(
            "dvd_rental_check_passed", "1 if the last evaluation passed, else 0", labels=labels
        )
        failing = GaugeMetricFamily(
            "dvd_rental_check_failed_rows", "Failing rows of the last evaluation", labels=["asset", "check"]
        )
        measured = {
            name: GaugeMetricFamily(metric, text, labels=["asset"])
            for name, (metric, text) in MEASUREMENTS.items()
        }
        for key, record in self._last_evaluations():
            evaluation = record.evaluation
            if evaluation is None:
                continue
            asset = key.asset_key.to_user_string()
            is_passed = record.status is AssetCheckExecutionRecordStatus.SUCCEEDED
            passed.add_metric([asset, key.name, str(self._blocking[key]).lower()], is_passed)
            count = failed_rows(evaluation)
            if count is not None:
                failing.add_metric([asset, key.name], count)
            for name, family in measured.items():
                value = evaluation.metadata.get(name)
                if isinstance(value, dg.IntMetadataValue | dg.FloatMetadataValue) and value.value is not None:
                    family.add_metric([asset], value.value)
        yield from (passed, failing, *measured.values())

    def _last_evaluations(self) -> Iterator[tuple[dg.AssetCheckKey, AssetCheckExecutionRecord]]:
        """The last evaluation of each check: a run that has only planned the next one does not hide it."""
        storage = self._instance.event_log_storage
        for key, record in storage.get_latest_asset_check_execution_by_key(list(self._blocking)).items():
            if record.status in _EVALUATED:
                yield key, record
            else:
                evaluated = storage.get_asset_check_execution_history(key, limit=1, status=_EVALUATED)
                yield from ((key, before) for before in evaluated)

    def _runs(self) -> Iterator[Metric]:
        counts = GaugeMetricFamily(
            "dvd_rental_runs", "Runs that were created in the last 24 hours", labels=["job", "status"]
        )
        duration = GaugeMetricFamily(
            "dvd_rental_last_run_duration_seconds", "Duration of the last finished run", labels=["job"]
        )
        since = datetime.now(UTC) - RUNS_WINDOW
        records = self._instance.get_run_records(dg.RunsFilter(created_after=since))
        by_status: Counter[tuple[str, str]] = Counter()
        durations: dict[str, float] = {}
        # The newest comes first.
        for record in records:
            name = record.dagster_run.job_name
            job = name if name in self._jobs else OTHER_JOBS
            by_status[job, record.dagster_run.status.value.lower()] += 1
            if record.start_time is not None and record.end_time is not None:
                durations.setdefault(job, record.end_time - record.start_time)
        for (job, status), count in sorted(by_status.items()):
            counts.add_metric([job, status], count)
        for job, seconds in sorted(durations.items()):
            duration.add_metric([job], seconds)
        yield from (counts, duration)

    def _alerts(self) -> Iterator[Metric]:
        opened = GaugeMetricFamily(
            "dvd_rental_open_alerts", "Subjects whose alert was sent and is not resolved", labels=["sensor"]
        )
        states = self._instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
        # A code location that moved has left states behind: the last evaluation counts.
        evaluated = {
            state.name: data
            for state in sorted(states, key=lambda state: _last_tick(state.sensor_instigator_data))
            if state.name in self._alert_sensors and (data := state.sensor_instigator_data) is not None
        }
        for name, data in sorted(evaluated.items()):
            subjects = read_cursor(data.cursor).values()
            opened.add_metric([name], sum(subject.notified for subject in subjects))
        yield opened


def _last_tick(data: SensorInstigatorData | None) -> float:
    return (data.last_tick_timestamp if data else None) or 0.0
