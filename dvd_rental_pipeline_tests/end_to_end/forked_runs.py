"""A launcher that executes each run in a process of its own: runs work side by side, and can be killed.

The process is a fork of the test, which costs milliseconds; a process that imports Dagster costs seconds.
"""

import os
import signal
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import dagster as dg
from dagster._core.execution.api import execute_run
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, RunLauncher, WorkerStatus
from dagster._serdes import ConfigurableClass
from dagster._serdes.config_class import ConfigurableClassData
from dagster._utils.hosted_user_process import recon_job_from_origin

POLL_SECONDS = 0.02


@dataclass(frozen=True)
class EndedProcess:
    """A process that has ended: the job of its run, its exit code (negative: a signal), its peak of memory."""

    job: str
    exit_code: int
    peak_bytes: int


class ForkedRunLauncher(RunLauncher, ConfigurableClass):
    """Starts a process per run. `ended` has those that have ended, in that order."""

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        self._inst_data = inst_data
        self._running: dict[str, tuple[int, str]] = {}
        self.ended: list[EndedProcess] = []
        super().__init__()

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:
        return cls(inst_data=inst_data)

    def launch_run(self, context: LaunchRunContext) -> None:
        # SQLite's connections must not be used by two processes.
        self._instance.event_log_storage.dispose()
        process = os.fork()
        if process == 0:
            try:
                with dg.DagsterInstance.from_ref(self._instance.get_ref()) as instance:
                    assert context.job_code_origin is not None
                    execute_run(recon_job_from_origin(context.job_code_origin), context.dagster_run, instance)
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        self._running[context.dagster_run.run_id] = process, context.dagster_run.job_name

    def terminate(self, run_id: str) -> bool:
        """Kill the process of a run; returns whether it had not ended."""
        process, _ = self._running.get(run_id, (None, ""))
        if process is None or os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return False
        os.kill(process, signal.SIGKILL)
        return True

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        alive = run.run_id in self._running
        return CheckRunHealthResult(WorkerStatus.RUNNING if alive else WorkerStatus.NOT_FOUND)

    def kill(self, job: str) -> bool:
        """Kill the process of an unfinished run of `job`; returns whether there was one."""
        return any(self.terminate(run_id) for run_id, (_, name) in self._running.items() if name == job)

    def wait(self) -> None:
        """Wait until no run is in progress."""
        while self._running:
            for run_id, (process, job) in list(self._running.items()):
                ended, status, usage = os.wait4(process, os.WNOHANG)
                if ended:
                    del self._running[run_id]
                    peak = usage.ru_maxrss * 1024
                    self.ended.append(EndedProcess(job, os.waitstatus_to_exitcode(status), peak))
            time.sleep(POLL_SECONDS)
