"""Ingestion by Airbyte: change data capture from PostgreSQL into Snowflake, in a job of a connection.

Airbyte has one job at a time for each connection, and the job lives on whatever becomes of the run that
waits for it. So a run attaches to a job that is there already, and leaves its job running when it ends early:
the next run finds it. Nothing here is asked of Airbyte while the graph loads.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import dagster as dg
from dagster_airbyte.resources import BaseAirbyteWorkspace
from pydantic import Field, PrivateAttr

from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.ingestion.airbyte.client import Job, RetryingAirbyteClient
from dvd_rental_pipeline.ingestion.airbyte.errors import (
    AirbyteError,
    AirbyteRefusedError,
    AirbyteUnreachableError,
)
from dvd_rental_pipeline.ingestion.postgres_cdc.verify.capture_drift import Deviation
from dvd_rental_pipeline.ingestion.raw_counts import count_raw_tables, sum_raw_tables
from dvd_rental_pipeline.ingestion.resource import Ingestion, Inspection, SyncOutcome, WatchedSlot
from dvd_rental_pipeline.warehouse.duckdb_file import WarehouseUnavailableError
from dvd_rental_pipeline.warehouse.resource import Warehouse

JOB_TAG = "airbyte/job_id"
CONNECTION_TAG = "airbyte/connection_id"

# Of tables with more rows an inspection compares the number of rows alone: sums read every column.
SUMMED_ROWS = 1_000_000
# Silence in the log for longer than this looks like a run that hangs.
_PROGRESS_SECONDS = 60.0
_FULL = frozenset({"refresh"})
_ANY = frozenset({"sync", "refresh"})


class AirbyteIngestion(Ingestion):
    """Runs the sync of one connection and reports the raw tables.

    Args:
        workspace: dagster-airbyte's `AirbyteWorkspace` or `AirbyteCloudWorkspace`. Its settings of patience and
            of cancelling hold, except that a job which is still running when `poll_timeout` is over is never
            cancelled, and that a running job is always attached to.
        connection_id: the connection whose streams are the tables of the domain.
        warehouse: where the rows of the tables are counted after the sync.
        source_url: the source, for `inspect`; without it nothing is compared.
        slot: the slot that Airbyte reads, in which changes wait for the next sync.
    """

    workspace: BaseAirbyteWorkspace
    connection_id: str = Field(description="The Airbyte connection")
    warehouse: Warehouse
    source_url: str | None = Field(None, description="The source itself, to compare the tables with")
    slot: str = Field("dvd_rental", description="Name of the replication slot that Airbyte reads")

    _tag_run: Callable[[Mapping[str, str]], None] | None = PrivateAttr(default=None)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        instance, run = context.instance, context.run
        if instance is not None and run is not None and instance.has_run(run.run_id):
            self._tag_run = lambda tags: instance.add_run_tags(run.run_id, tags)

    def sync(self, domain: Domain, log: dg.DagsterLogManager, *, full_refresh: bool = False) -> SyncOutcome:
        client = RetryingAirbyteClient.like(self.workspace.get_client())
        deadline = time.monotonic() + (client.poll_timeout or float("inf"))
        job = self._obtain(client, log, _FULL if full_refresh else _ANY, deadline)
        link = client.job_link(self.connection_id, job.id)
        log.info(f"Airbyte job {job.id} ({job.kind}): {link}")
        if self._tag_run is not None:
            self._tag_run({JOB_TAG: str(job.id), CONNECTION_TAG: self.connection_id})
        with self._cancelling(client, job.id, log):
            job = self._wait(client, job, log, deadline)
        attempts = client.attempts(job.id)
        if job.status != "succeeded":
            raise AirbyteError(_what_failed(job, attempts, link))
        log.info(f"Airbyte job {job.id} has succeeded: {job.rows or 0} rows, {job.bytes or 0} bytes")
        return self._outcome(domain, job, attempts, link)

    def inspect(self, domain: Domain, log: dg.DagsterLogManager) -> Inspection:
        # Of the run alone: these bring what takes seconds to import.
        from dvd_rental_pipeline.ingestion.postgres_cdc.connect.source_facts import read_facts  # noqa: PLC0415
        from dvd_rental_pipeline.ingestion.postgres_cdc.verify.capture_drift import publication_drift  # noqa: PLC0415
        from dvd_rental_pipeline.ingestion.postgres_cdc.verify.row_counts import compare_counts  # noqa: PLC0415

        deviations = self._deviations(domain)
        if self.source_url is None:
            return Inspection(
                facts=None,
                not_compared="This deployment cannot ask the source: set DVD_RENTAL_SOURCE_URL to a role that "
                "may read its tables.",
                deviations=deviations,
            )
        facts = read_facts(self.source_url, domain, self.slot)
        counts = count_raw_tables(self.warehouse, domain)
        raw_rows = {
            name: int(str(metadata["dagster/row_count"].value)) for name, metadata in counts.metadata.items()
        }
        small = {name for name, rows in raw_rows.items() if rows <= SUMMED_ROWS}
        raw_sums = sum_raw_tables(self.warehouse, domain, small)
        return Inspection(
            facts=facts,
            tables=compare_counts(
                self.source_url, domain, self.slot, raw_rows, counts.failures, raw_sums=raw_sums
            ),
            deviations=[*deviations, *publication_drift(self.source_url, domain, self.slot)],
        )

    def watched_slot(self) -> WatchedSlot | None:
        return None if self.source_url is None else WatchedSlot(self.source_url, self.slot)

    def _deviations(self, domain: Domain) -> Sequence[Deviation]:
        """Those of the connection."""
        from dvd_rental_pipeline.ingestion.airbyte.plan import connection_drift  # noqa: PLC0415

        client = RetryingAirbyteClient.like(self.workspace.get_client())
        try:
            connection = client.connection(self.connection_id)
        except AirbyteError as error:
            # No reason to leave the tables uncompared.
            return [Deviation(None, f"the connection could not be looked at: {error}", False)]
        return connection_drift(connection, domain)

    def _obtain(
        self, client: RetryingAirbyteClient, log: dg.DagsterLogManager, wanted: frozenset[str], deadline: float
    ) -> Job:
        """The job to wait for: one that runs already, or a new one.

        A refusal or a lost answer may still have begun a job, so that the list of jobs is looked at before each
        attempt: whatever is newer than what was there at first is ours, or somebody's that serves as well.
        """
        newest: int | None = None
        attempts_left = client.request_max_retries
        told = False
        while True:
            jobs = client.latest_jobs(self.connection_id)
            running = [job for job in jobs if not job.has_ended]
            if suitable := [job for job in running if job.kind in wanted]:
                log.info(f"Airbyte job {suitable[0].id} is running already: attaching to it")
                return suitable[0]
            begun = [job for job in jobs if newest is not None and job.id > newest and job.kind in wanted]
            if begun:
                return begun[0]
            newest = max((job.id for job in jobs), default=0) if newest is None else newest
            if running:
                if not told:
                    log.info(f"Airbyte job {running[0].id} ({running[0].kind}) must end before this can begin")
                    told = True
                self._check(deadline, client, running[0])
                time.sleep(client.poll_interval)
                continue
            try:
                full = wanted == _FULL
                start = client.start_refresh if full else client.start_sync
                return Job(
                    start(self.connection_id), "refresh" if full else "sync", "pending", None, None, None
                )
            except AirbyteUnreachableError as error:
                problem: AirbyteError = error
            except AirbyteRefusedError as error:
                if error.status != 409:
                    raise
                problem = error
            if not attempts_left:
                raise problem
            attempts_left -= 1
            log.warning(f"{problem} Looking whether the job has begun, in {client.request_retry_delay:g} s.")
            time.sleep(client.request_retry_delay)

    def _wait(self, client: RetryingAirbyteClient, job: Job, log: dg.DagsterLogManager, deadline: float) -> Job:
        began = told_at = time.monotonic()
        status = None
        while True:
            job = client.job(job.id)
            if job.has_ended:
                return job
            now = time.monotonic()
            if job.status != status or now - told_at >= _PROGRESS_SECONDS:
                rows = "" if job.rows is None else f", {job.rows} rows so far"
                log.info(f"Airbyte job {job.id} is {job.status}, after {now - began:.0f} s{rows}")
                status, told_at = job.status, now
            self._check(deadline, client, job)
            time.sleep(client.poll_interval)

    def _check(self, deadline: float, client: RetryingAirbyteClient, job: Job) -> None:
        if time.monotonic() > deadline:
            raise AirbyteError(
                f"Airbyte job {job.id} is still {job.status} after {client.poll_timeout:g} s. It goes on: "
                f"nothing was cancelled. Look at {client.job_link(self.connection_id, job.id)}, and start this "
                "run again to attach to it; raise DVD_RENTAL_AIRBYTE_POLL_TIMEOUT if syncs take that long."
            )

    @contextmanager
    def _cancelling(
        self, client: RetryingAirbyteClient, job_id: int, log: dg.DagsterLogManager
    ) -> Iterator[None]:
        """Cancel the job when the run is terminated, if that is wanted. A mere failure here cancels nothing."""
        try:
            yield
        except Exception:
            raise
        except BaseException:
            if client.cancel_on_termination:
                log.info(f"The run is terminated: cancelling Airbyte job {job_id}")
                client.cancel_job(job_id)
            else:
                log.info(f"The run is terminated; Airbyte job {job_id} goes on for the next run to attach to")
            raise

    def _outcome(
        self, domain: Domain, job: Job, attempts: Sequence[Mapping[str, Any]], link: str
    ) -> SyncOutcome:
        of_job: dict[str, dg.MetadataValue] = {
            "sync_mode": dg.TextMetadataValue("full refresh" if job.kind == "refresh" else "changes"),
            "airbyte_job": dg.UrlMetadataValue(link),
            "airbyte_job_id": dg.IntMetadataValue(job.id),
        }
        if job.rows is not None:
            of_job["airbyte_job_rows"] = dg.IntMetadataValue(job.rows)
        if job.bytes is not None:
            of_job["airbyte_job_bytes"] = dg.IntMetadataValue(job.bytes)
        if job.duration is not None:
            of_job["airbyte_job_duration"] = dg.TextMetadataValue(job.duration)
        synced = _rows_by_stream(attempts)
        try:
            counts = count_raw_tables(self.warehouse, domain)
        except WarehouseUnavailableError as error:
            raise AirbyteError(
                f"Airbyte job {job.id} has succeeded, but nobody can look at its tables. {error}"
            ) from None
        return SyncOutcome(
            metadata={
                name: {
                    **metadata,
                    **({"rows_synced": dg.IntMetadataValue(synced[name])} if name in synced else {}),
                    **of_job,
                }
                for name, metadata in counts.metadata.items()
            },
            failures={
                name: f"Airbyte job {job.id} has succeeded, but {reason}"
                for name, reason in counts.failures.items()
            },
        )


def _rows_by_stream(attempts: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Rows that all attempts of a job committed, by stream."""
    rows: dict[str, int] = {}
    for attempt in attempts:
        for stream in attempt.get("streamStats") or []:
            committed = (stream.get("stats") or {}).get("recordsCommitted")
            if committed is not None:
                rows[stream["streamName"]] = rows.get(stream["streamName"], 0) + int(committed)
    return rows


def _what_failed(job: Job, attempts: Sequence[Mapping[str, Any]], link: str) -> str:
    if job.status == "cancelled":
        return (
            f"Airbyte job {job.id} was cancelled in Airbyte: {link}. What it had loaded stays, and the next "
            "sync goes on from there."
        )
    reasons = [
        f"{failure.get('failureOrigin', 'unknown')}: {failure['externalMessage']}"
        for attempt in attempts
        for failure in (attempt.get("failureSummary") or {}).get("failures") or []
        if failure.get("externalMessage")
    ]
    why = " ".join(dict.fromkeys(reasons)).rstrip(".") or "Airbyte gives no reason here; its log does"
    return (
        f"Airbyte job {job.id} has failed after its own retries. {why}. Look at {link}. The tables are as the "
        "last sync left them, and the next sync goes on from there."
    )
