"""Jobs: each follows a script of statuses, in a thread of its own."""

import threading
import time
from collections import deque
from dataclasses import dataclass, field

from dvd_rental_pipeline_tests.stand_ins.airbyte.destinations import Destination
from dvd_rental_pipeline_tests.stand_ins.airbyte.replication import PostgresSync
from dvd_rental_pipeline_tests.stand_ins.airbyte.workspace import Job, Workspace

_FAKE_ROWS = 3
_FAKE_BYTES = 1_000


@dataclass
class JobScript:
    """The course of a job: `statuses`, then running until `released` is set, then `outcome`.

    Each status lasts `seconds`, or without them until a client has seen it. Rows are synced while the job is
    running, and only if the outcome is to be succeeded.
    """

    statuses: tuple[str, ...] = ("pending",)
    seconds: float | None = 0.05
    outcome: str = "succeeded"
    failures: tuple[str, ...] = ()
    released: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.released.set()

    @classmethod
    def blocked(cls, status: str = "running") -> "JobScript":
        """A job that stays in `status` until `release` is called or the job is cancelled."""
        script = cls(statuses=(status,))
        script.released.clear()
        return script

    def release(self) -> None:
        """Let a blocked job continue."""
        self.released.set()


class JobRunner:
    """Runs the jobs of a workspace. Without a `destination`, a sync moves no rows and reports some."""

    def __init__(self, workspace: Workspace, destination: Destination | None) -> None:
        self._workspace = workspace
        self._destination = destination
        self._scripts: deque[JobScript] = deque()
        self._syncs: dict[str, PostgresSync] = {}
        self._threads: list[threading.Thread] = []

    def add_script(self, script: JobScript) -> JobScript:
        """Set the script of the next job that has none yet."""
        self._scripts.append(script)
        return script

    def start(self, connection_id: str, type_: str) -> Job | None:
        """Start a job, or return None if another one is running. A sync carries out a recorded refresh."""
        with self._workspace.lock:
            if self._workspace.running_job(connection_id) is not None:
                return None
            connection, refresh_mode = self._workspace.connections[connection_id], None
            if type_ in {"sync", "refresh"} and connection.pending_refresh is not None:
                type_, refresh_mode, connection.pending_refresh = "refresh", connection.pending_refresh, None
            job = Job(len(self._workspace.jobs) + 1, type_, connection_id, refresh_mode)
            self._workspace.jobs.append(job)
            script = self._scripts.popleft() if self._scripts else JobScript()
        thread = threading.Thread(target=self._run, args=(job, script), daemon=True)
        self._threads.append(thread)
        thread.start()
        return job

    def cancel_all(self, seconds: float = 30.0) -> None:
        """Cancel the running jobs and wait for them to end."""
        for job in self._workspace.jobs:
            job.cancelled.set()
        for thread in self._threads:
            thread.join(seconds)

    def _run(self, job: Job, script: JobScript) -> None:
        for status in script.statuses:
            job.set_status(status)
            while script.seconds is None and status not in job.reported_statuses:
                if job.cancelled.wait(0.01):
                    break
            if job.cancelled.wait(script.seconds or 0):
                break
        if script.statuses[-1:] != ("incomplete",) and script.released.is_set():
            job.set_status("running")
        while not script.released.is_set() and not job.cancelled.is_set():
            time.sleep(0.02)
        if job.cancelled.is_set():
            job.set_status("cancelled")
            return
        if script.outcome == "succeeded":
            try:
                self._sync(job)
            except Exception as error:  # any exception in a connector fails its job
                job.failures = (str(error),)
                job.set_status("failed")
                return
        job.failures = script.failures
        job.set_status(script.outcome)

    def _sync(self, job: Job) -> None:
        connection = self._workspace.connections[job.connection_id]
        streams = connection.streams
        if self._destination is None:
            job.rows = {stream["name"]: _FAKE_ROWS for stream in streams}
            job.bytes = _FAKE_BYTES
            return
        sync = self._syncs.setdefault(connection.id, PostgresSync(self._destination))
        if job.type in {"reset", "clear"}:
            sync.clear()
            job.rows, job.bytes = {}, 0
            return
        result = sync.run(
            self._workspace.sources[connection.source_id].configuration,
            streams,
            self._schema(connection.fields, connection.destination_id),
            full_refresh=job.refresh_mode == "Truncate",
        )
        job.rows, job.bytes = result.rows, result.bytes

    def _schema(self, fields: dict[str, str], destination_id: str) -> str:
        if fields["namespaceDefinition"] == "custom_format":
            return fields["namespaceFormat"]
        return str(self._workspace.destinations[destination_id].configuration["schema"])
