"""How jobs go: a script of statuses, and the work itself in a thread of its own."""

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
class Course:
    """How a job goes: through `statuses`, `seconds` each, then running until `released`, then `outcome`.

    The work is done while it runs, and only if it is to succeed.
    """

    statuses: tuple[str, ...] = ("pending",)
    seconds: float = 0.05
    outcome: str = "succeeded"
    failures: tuple[str, ...] = ()
    released: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.released.set()

    @classmethod
    def held(cls, status: str = "running") -> "Course":
        """A job that stays in `status` until it is released or cancelled."""
        course = cls(statuses=(status,))
        course.released.clear()
        return course


class JobRunner:
    """Runs the jobs of a workspace. Without a `destination` a sync moves nothing, and says it did."""

    def __init__(self, workspace: Workspace, destination: Destination | None) -> None:
        self._workspace = workspace
        self._destination = destination
        self._courses: deque[Course] = deque()
        self._syncs: dict[str, PostgresSync] = {}
        self._threads: list[threading.Thread] = []

    def plan(self, course: Course) -> Course:
        """The next job that nothing is planned for yet goes like this."""
        self._courses.append(course)
        return course

    def start(self, connection_id: str, kind: str, refresh_mode: str | None = None) -> Job | None:
        """A new job, or None while another runs."""
        with self._workspace.lock:
            if self._workspace.running_job(connection_id) is not None:
                return None
            job = Job(len(self._workspace.jobs) + 1, kind, connection_id, refresh_mode)
            self._workspace.jobs.append(job)
            course = self._courses.popleft() if self._courses else Course()
        thread = threading.Thread(target=self._run, args=(job, course), daemon=True)
        self._threads.append(thread)
        thread.start()
        return job

    def finish(self, seconds: float = 30.0) -> None:
        """Cancel what still runs, and wait for it."""
        for job in self._workspace.jobs:
            job.cancelled.set()
        for thread in self._threads:
            thread.join(seconds)

    def _run(self, job: Job, course: Course) -> None:
        for status in course.statuses:
            job.become(status)
            if job.cancelled.wait(course.seconds):
                break
        if course.statuses[-1:] != ("incomplete",) and course.released.is_set():
            job.become("running")
        while not course.released.is_set() and not job.cancelled.is_set():
            time.sleep(0.02)
        if job.cancelled.is_set():
            job.become("cancelled")
            return
        if course.outcome == "succeeded":
            try:
                self._work(job)
            except Exception as error:  # whatever breaks a connector ends its job
                job.failures = (str(error),)
                job.become("failed")
                return
        job.failures = course.failures
        job.become(course.outcome)

    def _work(self, job: Job) -> None:
        connection = self._workspace.connections[job.connection_id]
        streams = connection.streams
        if self._destination is None:
            job.rows = {stream["name"]: _FAKE_ROWS for stream in streams}
            job.bytes = _FAKE_BYTES
            return
        sync = self._syncs.setdefault(connection.id, PostgresSync(self._destination))
        if job.kind in {"reset", "clear"}:
            sync.clear()
            job.rows, job.bytes = {}, 0
            return
        synced = sync.run(
            self._workspace.sources[connection.source_id].configuration,
            streams,
            self._schema(connection.fields, connection.destination_id),
            anew=job.refresh_mode == "Truncate",
        )
        job.rows, job.bytes = synced.rows, synced.bytes

    def _schema(self, fields: dict[str, str], destination_id: str) -> str:
        if fields["namespaceDefinition"] == "custom_format":
            return fields["namespaceFormat"]
        return str(self._workspace.destinations[destination_id].configuration["schema"])
