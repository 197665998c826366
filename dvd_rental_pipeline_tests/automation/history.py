"""A history of events that a test writes, and the automation that evaluates it."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import reduce
from operator import or_

import dagster as dg
from dagster import DagsterRunStatus
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.definitions.data_version import DATA_VERSION_TAG
from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange
from dagster._core.events import AssetMaterializationPlannedData, DagsterEvent, DagsterEventType
from dagster._core.remote_origin import InProcessCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.test_utils import create_run_for_test
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from dvd_rental_pipeline.automation.condition_sensors import MODEL_SENSORS, build_catch_up_sensor
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL

MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)


def at(clock: str, day: int = 0) -> datetime:
    """The time of `clock`, such as "05:10", on a day of the history."""
    hours, minutes = clock.split(":")
    return MIDNIGHT.replace(day=MIDNIGHT.day + day, hour=int(hours), minute=int(minutes))


class History:
    """Events on `instance`, and the evaluation of the conditions after them.

    Each sensor has its cursor, as the daemon keeps it. The first evaluation, which starts nothing, has already
    happened.
    """

    def __init__(self, definitions: dg.Definitions, instance: dg.DagsterInstance) -> None:
        self.definitions = definitions
        self.graph = definitions.resolve_asset_graph()
        self.instance = instance
        self._sensors = {sensor.name: sensor for sensor in (*MODEL_SENSORS, build_catch_up_sensor(DVD_RENTAL))}
        self._cursors: dict[str, object] = {}
        self._data_version = 0

    def keys(self, *layers: str) -> Sequence[dg.AssetKey]:
        """The assets of some layers, parents first."""
        selections: list[dg.AssetSelection] = [dg.AssetSelection.tag("layer", layer) for layer in layers]
        wanted = reduce(or_, selections).resolve(self.graph)
        return [key for key in self.graph.toposorted_asset_keys if key in wanted]

    def build(
        self,
        keys: Iterable[dg.AssetKey],
        *,
        failing: Iterable[dg.AssetCheckKey] = (),
        changed: bool = True,
    ) -> None:
        """Record a run that has built `keys`, with other data or the same, and evaluated all their checks."""
        failing = set(failing)
        self._data_version += changed
        for key in keys:
            tags = {DATA_VERSION_TAG: str(self._data_version)}
            self.instance.report_runless_asset_event(dg.AssetMaterialization(key, tags=tags))
            for check in sorted(self.graph.get_check_keys_for_assets({key})):
                self.check(check, passed=check not in failing)

    def check(self, key: dg.AssetCheckKey, *, passed: bool, description: str | None = None) -> None:
        """Record the evaluation of one check."""
        self.instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=key.asset_key, check_name=key.name, passed=passed, description=description
            )
        )

    def plan_check(self, key: dg.AssetCheckKey) -> None:
        """Record the start of a run that will evaluate a check."""
        run = create_run_for_test(self.instance, job_name="__ASSET_JOB", status=DagsterRunStatus.STARTED)
        planned = DagsterEvent(
            event_type_value=DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED.value,
            job_name="__ASSET_JOB",
            event_specific_data=AssetCheckEvaluationPlanned(asset_key=key.asset_key, check_name=key.name),
        )
        self.instance.report_dagster_event(planned, run.run_id)

    def freshness(self, keys: Iterable[dg.AssetKey], state: FreshnessState) -> None:
        """Record a freshness state of `keys`, as the freshness daemon does."""
        known = self.instance.get_freshness_state_records(list(keys))
        for key in keys:
            before = known[key].freshness_state if key in known else FreshnessState.UNKNOWN
            self.instance._report_runless_asset_event(
                FreshnessStateChange(
                    key=key,
                    previous_state=before,
                    new_state=state,
                    state_change_timestamp=datetime.now(UTC).timestamp(),
                )
            )

    def begin_run(
        self, keys: Iterable[dg.AssetKey], *, status: DagsterRunStatus = DagsterRunStatus.STARTED
    ) -> dg.DagsterRun:
        """Record the start of a run that will build `keys`."""
        keys = set(keys)
        # A run can be queued only if a code location has its job.
        repository = RemoteRepositoryOrigin(
            InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name=__name__), location_name="tests"),
            "tests",
        )
        run = create_run_for_test(
            self.instance,
            job_name="__ASSET_JOB",
            status=status,
            asset_selection=keys,
            remote_job_origin=repository.get_job_origin("__ASSET_JOB"),
        )
        for key in keys:
            planned = DagsterEvent(
                event_type_value=DagsterEventType.ASSET_MATERIALIZATION_PLANNED.value,
                job_name="__ASSET_JOB",
                event_specific_data=AssetMaterializationPlannedData(key),
            )
            self.instance.report_dagster_event(planned, run.run_id)
        return run

    def tick(self, sensor: str, when: datetime) -> set[dg.AssetKey]:
        """The assets that an evaluation of `sensor` requests."""
        result = dg.evaluate_automation_conditions(
            self.definitions,
            self.instance,
            asset_selection=self._sensors[sensor].asset_selection,
            evaluation_time=when,
            cursor=self._cursors.get(sensor),
        )
        self._cursors[sensor] = result.cursor
        return {
            one.key
            for one in result.results
            if not one.true_subset.is_empty and isinstance(one.key, dg.AssetKey)
        }
