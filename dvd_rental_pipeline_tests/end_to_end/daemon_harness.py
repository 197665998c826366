"""Dagster's own daemons in this process, with a clock that the test moves.

They are those of `dagster dev`: scheduler, automation conditions, sensors, freshness, run monitoring. Each runs
one iteration per tick. The runs that they launch are executed at once in this process, or side by side in
processes of their own, which have ended when the tick ends.
"""

import logging
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
from dagster._core.launcher.sync_in_memory_run_launcher import SyncInMemoryRunLauncher
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.test_utils import create_test_daemon_workspace_context, freeze_time
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster._daemon.asset_daemon import AssetDaemon
from dagster._daemon.freshness import FreshnessDaemon
from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration
from dagster._daemon.sensor import execute_sensor_iteration
from dagster._scheduler.scheduler import ScheduleIterationTimes, launch_scheduled_runs

from dvd_rental_pipeline.runs.history import RunHistory
from dvd_rental_pipeline_tests.end_to_end import daemon_location
from dvd_rental_pipeline_tests.end_to_end.forked_runs import ForkedRunLauncher

LOG = logging.getLogger("daemon_harness")
DAEMON_LOG = logging.getLogger("dagster.daemon")
SAME_PROCESS = SyncInMemoryRunLauncher
OWN_PROCESSES = ForkedRunLauncher
INSTANCE = {
    "run_coordinator": {"module": "dagster._core.run_coordinator", "class": "DefaultRunCoordinator"},
    "telemetry": {"enabled": False},
    "run_monitoring": {"enabled": True},
    "retention": {"schedule": {"purge_after_days": 7}, "sensor": {"purge_after_days": 7}},
}


class DaemonHarness:
    """The daemons over `instance`. `now` is the time on their clock."""

    def __init__(self, instance: dg.DagsterInstance, workspace: WorkspaceProcessContext, now: datetime) -> None:
        self.instance, self.now = instance, now
        self._workspace = workspace
        self._schedules: dict[str, ScheduleIterationTimes] = {}
        self._conditions = AssetDaemon(
            settings=instance.get_auto_materialize_settings(), pre_sensor_interval_seconds=30
        )
        self._freshness = FreshnessDaemon()
        # Pairs of real time and time of the daemons.
        self._ticks: list[tuple[datetime, datetime]] = [(datetime.now(UTC), now)]

    def tick(self, after: timedelta, while_running: Callable[[], object] = lambda: None) -> list[dg.DagsterRun]:
        """Move the clock and run one iteration of every daemon; returns the runs that they launched.

        `while_running` is called when the runs of schedules, and when those of sensors, are in progress.
        """
        before = {run.run_id for run in self.instance.get_runs()}
        self.now += after
        self._ticks.append((datetime.now(UTC), self.now))
        with freeze_time(self.now):
            for _ in self._freshness.run_iteration(self._workspace):
                pass
            for _ in launch_scheduled_runs(self._workspace, LOG, self.now, self._schedules):
                pass
            self._wait_for_runs(while_running)
            self._conditions._run_iteration_impl(self._workspace, None, {}, {})
            for _ in execute_sensor_iteration(self._workspace, LOG, None, None):
                pass
            self._wait_for_runs(while_running)
            for _ in execute_run_monitoring_iteration(self._workspace, LOG):
                pass
        return [run for run in self.instance.get_runs() if run.run_id not in before]

    def _wait_for_runs(self, while_running: Callable[[], object]) -> None:
        """As if sensors were evaluated when scheduled runs have ended: on this clock, a run takes no time."""
        launcher = self.instance.run_launcher
        if isinstance(launcher, ForkedRunLauncher):
            while_running()
            launcher.wait()

    def daemon_time(self, real_time: datetime) -> datetime:
        """The time on the daemons' clock at `real_time`: that of the latest tick before it."""
        position = bisect_right([real for real, _ in self._ticks], real_time) - 1
        return self._ticks[max(0, position)][1]


def count_by_origin(runs: list[dg.DagsterRun]) -> Counter[str]:
    """How many of `runs` each schedule and sensor launched."""
    tags = ("dagster/schedule_name", "dagster/sensor_name")
    return Counter(next((run.tags[tag] for tag in tags if tag in run.tags), "manual") for run in runs)


@contextmanager
def running_daemons(
    definitions: dg.Definitions,
    folder: Path,
    start: datetime,
    launcher: type[SyncInMemoryRunLauncher | ForkedRunLauncher] = SAME_PROCESS,
) -> Iterator[DaemonHarness]:
    """Daemons over `definitions`, with the project's history of runs in `folder`."""
    with ExitStack() as stack:
        stack.callback(setattr, daemon_location, "defs", daemon_location.defs)
        daemon_location.defs = definitions
        folder.mkdir(parents=True, exist_ok=True)
        overrides = {
            **INSTANCE,
            "run_launcher": {"module": launcher.__module__, "class": launcher.__name__},
            "storage": {
                "custom": {
                    "module": RunHistory.__module__,
                    "class": RunHistory.__name__,
                    "config": {"base_dir": str(folder)},
                }
            },
        }
        instance = stack.enter_context(dg.DagsterInstance.local_temp(str(folder), overrides=overrides))
        origin = InProcessCodeLocationOrigin(
            LoadableTargetOrigin(module_name=daemon_location.__name__, attribute="defs"),
            location_name="daemon_location",
        )
        workspace = stack.enter_context(
            create_test_daemon_workspace_context(InProcessWorkspaceLoadTarget(origin), instance)
        )
        # The daemons log every iteration, thousands of lines.
        stack.callback(DAEMON_LOG.setLevel, DAEMON_LOG.level)
        DAEMON_LOG.setLevel(logging.WARNING)
        yield DaemonHarness(instance, workspace, start)
