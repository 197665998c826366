"""A deployment that lives by Dagster's own daemons, in this process and by a clock that the test moves.

The daemons are those of `dagster dev`: the scheduler, that of the conditions, that of the sensors and that of
freshness. Each looks once a tick. The runs that they launch are executed at once, in this process.
"""

import logging
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.test_utils import create_test_daemon_workspace_context, freeze_time
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster._daemon.asset_daemon import AssetDaemon
from dagster._daemon.freshness import FreshnessDaemon
from dagster._daemon.sensor import execute_sensor_iteration
from dagster._scheduler.scheduler import ScheduleIterationTimes, launch_scheduled_runs

from dvd_rental_pipeline_tests.end_to_end import daemon_location as living_location

LOG = logging.getLogger("living_deployment")
DAEMONS = logging.getLogger("dagster.daemon")
INSTANCE = {
    "run_launcher": {
        "module": "dagster._core.launcher.sync_in_memory_run_launcher",
        "class": "SyncInMemoryRunLauncher",
    },
    "run_coordinator": {"module": "dagster._core.run_coordinator", "class": "DefaultRunCoordinator"},
    "telemetry": {"enabled": False},
}


class DaemonHarness:
    """Daemons over `instance`. `now` is the time that they know."""

    def __init__(self, instance: dg.DagsterInstance, workspace: WorkspaceProcessContext, now: datetime) -> None:
        self.instance, self.now = instance, now
        self._workspace = workspace
        self._schedules: dict[str, ScheduleIterationTimes] = {}
        self._conditions = AssetDaemon(
            settings=instance.get_auto_materialize_settings(), pre_sensor_interval_seconds=30
        )
        self._freshness = FreshnessDaemon()
        self._moments: list[tuple[datetime, datetime]] = [(datetime.now(UTC), now)]

    def tick(self, after: timedelta) -> list[dg.DagsterRun]:
        """Let every daemon look once, so much later; the runs that they have started."""
        before = {run.run_id for run in self.instance.get_runs()}
        self.now += after
        self._moments.append((datetime.now(UTC), self.now))
        with freeze_time(self.now):
            for _ in self._freshness.run_iteration(self._workspace):
                pass
            for _ in launch_scheduled_runs(self._workspace, LOG, self.now, self._schedules):
                pass
            self._conditions._run_iteration_impl(self._workspace, None, {}, {})
            for _ in execute_sensor_iteration(self._workspace, LOG, None, None):
                pass
        return [run for run in self.instance.get_runs() if run.run_id not in before]

    def told(self, moment: datetime) -> datetime:
        """The time of the daemons at a real `moment`: that of the tick before it."""
        position = bisect_right([real for real, _ in self._moments], moment) - 1
        return self._moments[max(0, position)][1]


def started_by(runs: list[dg.DagsterRun]) -> Counter[str]:
    """How many runs each schedule and sensor has started."""
    tags = ("dagster/schedule_name", "dagster/sensor_name")
    return Counter(next((run.tags[tag] for tag in tags if tag in run.tags), "a person") for run in runs)


@contextmanager
def living(definitions: dg.Definitions, folder: Path, start: datetime) -> Iterator[DaemonHarness]:
    """`definitions` under daemons, with an instance on SQLite in `folder`."""
    with ExitStack() as stack:
        stack.callback(setattr, living_location, "defs", living_location.defs)
        living_location.defs = definitions
        folder.mkdir(parents=True, exist_ok=True)
        instance = stack.enter_context(dg.DagsterInstance.local_temp(str(folder), overrides=INSTANCE))
        origin = InProcessCodeLocationOrigin(
            LoadableTargetOrigin(module_name=living_location.__name__, attribute="defs"), location_name="living"
        )
        workspace = stack.enter_context(
            create_test_daemon_workspace_context(InProcessWorkspaceLoadTarget(origin), instance)
        )
        # They tell of every look, thousands of lines.
        stack.callback(DAEMONS.setLevel, DAEMONS.level)
        DAEMONS.setLevel(logging.WARNING)
        yield DaemonHarness(instance, workspace, start)
