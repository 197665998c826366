"""Ingestion by Airbyte: change data capture from PostgreSQL into Snowflake, in a job of a connection.

A connection has at most one running job, which continues if the run that waits for it ends early. So a run
attaches to a running job, and a job that outlives its run is attached to by the next one. No request is sent
while the graph loads.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import dagster as dg
from dagster_airbyte.resources import BaseAirbyteWorkspace
from pydantic import Field, PrivateAttr

from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.ingestion.airbyte.client import AirbyteClient, AirbyteJob, AirbyteUrls
from dvd_rental_pipeline.ingestion.airbyte.errors import (
    AirbyteError,
    AirbyteRefusedError,
    AirbyteUnreachableError,
)
from dvd_rental_pipeline.ingestion.airbyte.transport import ApplicationLogin, BasicLogin, RetryPolicy
from dvd_rental_pipeline.ingestion.postgres_cdc.verify.capture_drift import Deviation
from dvd_rental_pipeline.ingestion.raw_counts import count_raw_tables, delivered_lsns, sum_raw_tables
from dvd_rental_pipeline.ingestion.resource import Ingestion, Inspection, SyncOutcome, WatchedSlot
from dvd_rental_pipeline.warehouse.errors import WarehouseError, WarehouseUnavailableError
from dvd_rental_pipeline.warehouse.resource import WarehouseResource

JOB_TAG = "airbyte/job_id"
CONNECTION_TAG = "airbyte/connection_id"

# For tables with more rows, an inspection compares only the number of rows: sums read every column.
MAX_SUMMED_ROWS = 1_000_000
# Without a line in the log for longer than this, a run looks stuck.
_PROGRESS_SECONDS = 60.0
# Messages of source-postgres when the position that it saved does not fit the slot. Also of a new source whose
# tables do not change: then the slot moves on without them (open in Airbyte).
_POSITION_LOST = re.compile("saved offset is (before|no longer)|offset.*replication slot", re.IGNORECASE)
_REFRESH_ONLY = frozenset({"refresh"})
_SYNC_OR_REFRESH = frozenset({"sync", "refresh"})


class AirbyteIngestion(Ingestion):
    """Runs the sync of one connection and reports the raw tables.

    Args:
        workspace: dagster-airbyte's `AirbyteWorkspace` or `AirbyteCloudWorkspace`, used for its settings.
            Unlike there, a job that is still running after `poll_timeout` is never cancelled, and a run always
            attaches to a running job.
        connection_id: the connection whose streams are the tables of the domain.
        warehouse: the warehouse in which the rows of the tables are counted after the sync.
        source_url: the source, for `inspect`; without it nothing is compared.
        slot: the replication slot that Airbyte reads, and the publication of the same name.
    """

    workspace: BaseAirbyteWorkspace
    connection_id: str = Field(description="The Airbyte connection")
    warehouse: WarehouseResource
    source_url: str | None = Field(None, description="The source itself, to compare the tables with")
    slot: str = Field(description="Name of the replication slot that Airbyte reads")

    _tag_run: Callable[[Mapping[str, str]], None] | None = PrivateAttr(default=None)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        instance, run = context.instance, context.run
        if instance is not None and run is not None and instance.has_run(run.run_id):
            self._tag_run = lambda tags: instance.add_run_tags(run.run_id, tags)

    def sync(self, domain: Domain, log: dg.DagsterLogManager, *, full_refresh: bool = False) -> SyncOutcome:
        client = client_from_workspace(self.workspace, on_retry=log.warning)
        deadline = time.monotonic() + (self.workspace.poll_timeout or float("inf"))
        job = self._start_or_attach(client, log, deadline, full_refresh=full_refresh)
        url = client.job_url(self.connection_id, job.id)
        log.info(f"Airbyte job {job.id} ({job.type}): {url}")
        if self._tag_run is not None:
            self._tag_run({JOB_TAG: str(job.id), CONNECTION_TAG: self.connection_id})
        with self._cancel_on_termination(client, job.id, log):
            job = self._wait(client, job, log, deadline)
        attempts = client.attempts(job.id)
        if job.status != "succeeded":
            raise AirbyteError(_format_failure(job, attempts, url))
        log.info(f"Airbyte job {job.id} succeeded: {job.rows or 0} rows, {job.bytes or 0} bytes")
        return self._outcome(domain, job, attempts, url)

    def inspect(self, domain: Domain, log: dg.DagsterLogManager) -> Inspection:
        # Imported here because they take seconds to import and are needed in runs only.
        from dvd_rental_pipeline.ingestion.postgres_cdc.connect.source_facts import read_facts  # noqa: PLC0415
        from dvd_rental_pipeline.ingestion.postgres_cdc.verify.capture_drift import publication_drift  # noqa: PLC0415
        from dvd_rental_pipeline.ingestion.postgres_cdc.verify.row_counts import compare_counts  # noqa: PLC0415

        deviations = self._connection_deviations(domain, log)
        if self.source_url is None:
            return Inspection(
                facts=None,
                not_compared="The source is not configured in this deployment: set DVD_RENTAL_SOURCE_URL, with "
                "a role that may read its tables.",
                deviations=deviations,
            )
        facts = read_facts(self.source_url, domain, self.slot)
        confirmed = facts.slot.confirmed if facts.slot else None
        try:
            delivered = delivered_lsns(self.warehouse, domain, confirmed or 0)
        except WarehouseError:
            # Counting tells which table cannot be read. Until then, all changes in the slot may be pending.
            delivered = set()
        counts = count_raw_tables(self.warehouse, domain)
        raw_rows = {
            name: int(str(metadata["dagster/row_count"].value)) for name, metadata in counts.metadata.items()
        }
        summed = {name for name, rows in raw_rows.items() if rows <= MAX_SUMMED_ROWS}
        raw_sums = sum_raw_tables(self.warehouse, domain, summed)
        return Inspection(
            facts=facts,
            tables=compare_counts(
                self.source_url,
                domain,
                self.slot,
                raw_rows,
                counts.failures,
                raw_sums=raw_sums,
                delivered_lsns=delivered,
            ),
            deviations=[*deviations, *publication_drift(self.source_url, domain, self.slot)],
        )

    def watched_slot(self) -> WatchedSlot | None:
        return None if self.source_url is None else WatchedSlot(self.source_url, self.slot)

    def _connection_deviations(self, domain: Domain, log: dg.DagsterLogManager) -> Sequence[Deviation]:
        from dvd_rental_pipeline.ingestion.airbyte.plan import connection_drift  # noqa: PLC0415 - as in `inspect`

        client = client_from_workspace(self.workspace, on_retry=log.warning)
        try:
            connection = client.connection(self.connection_id)
        except AirbyteError as error:
            # The tables can be compared without Airbyte.
            return [Deviation(None, f"the connection could not be read: {error}", False)]
        return connection_drift(connection, domain)

    def _start_or_attach(
        self, client: AirbyteClient, log: dg.DagsterLogManager, deadline: float, *, full_refresh: bool
    ) -> AirbyteJob:
        """The job to wait for: a running one of a suitable type, or a new one.

        A request that failed may have started a job all the same. So the jobs are listed before each attempt: a
        job newer than those of the first listing is ours, or one of another run that serves as well.
        """
        suitable_types = _REFRESH_ONLY if full_refresh else _SYNC_OR_REFRESH
        # Airbyte has recorded the refresh without a job for it: the next sync carries it out.
        refresh_is_recorded = False
        newest_id: int | None = None
        retries_left = client.transport.retries.max_retries
        waits_for_other = False
        while True:
            jobs = client.jobs(self.connection_id)
            suitable = [job for job in jobs if job.type in suitable_types]
            running = [job for job in jobs if not job.is_final]
            if attachable := [job for job in suitable if not job.is_final]:
                log.info(f"Airbyte job {attachable[0].id} is already running: attaching to it")
                return attachable[0]
            if newest_id is None:
                newest_id = max((job.id for job in jobs), default=0)
            elif started := [job for job in suitable if job.id > newest_id]:
                return started[0]
            if running:
                if not waits_for_other:
                    log.info(f"Waiting for Airbyte job {running[0].id} ({running[0].type}) to end first")
                    waits_for_other = True
                self._check_deadline(deadline, client, running[0])
                time.sleep(self.workspace.poll_interval)
                continue
            try:
                if not full_refresh or refresh_is_recorded:
                    return client.start_sync(self.connection_id)
                if (refresh := client.start_refresh(self.connection_id)) is not None:
                    return refresh
                refresh_is_recorded, suitable_types = True, _SYNC_OR_REFRESH
                log.info("Airbyte recorded the refresh without a job: starting a sync, which carries it out")
                continue
            except AirbyteUnreachableError as error:
                problem: AirbyteError = error
            except AirbyteRefusedError as error:
                if error.status != 409:
                    raise
                self._require_active_connection(client)
                problem = error
            if not retries_left:
                raise problem
            retries_left -= 1
            delay = client.transport.retries.delay
            log.warning(f"{problem} Checking in {delay:g} s whether the job has started.")
            time.sleep(delay)

    def _require_active_connection(self, client: AirbyteClient) -> None:
        status = client.connection(self.connection_id)["status"]
        if status != "active":
            raise AirbyteError(
                f"The Airbyte connection is {status}, so it cannot sync. Activate it at "
                f"{client.connection_url(self.connection_id)} or by `dvd-rental airbyte apply`, and run again."
            )

    def _wait(
        self, client: AirbyteClient, job: AirbyteJob, log: dg.DagsterLogManager, deadline: float
    ) -> AirbyteJob:
        started_at = logged_at = time.monotonic()
        logged_status = None
        while True:
            job = client.job(job.id)
            if job.is_final:
                return job
            now = time.monotonic()
            if job.status != logged_status or now - logged_at >= _PROGRESS_SECONDS:
                rows = "" if job.rows is None else f", {job.rows} rows so far"
                log.info(f"Airbyte job {job.id} is {job.status}, after {now - started_at:.0f} s{rows}")
                logged_status, logged_at = job.status, now
            self._check_deadline(deadline, client, job)
            time.sleep(self.workspace.poll_interval)

    def _check_deadline(self, deadline: float, client: AirbyteClient, job: AirbyteJob) -> None:
        if time.monotonic() > deadline:
            raise AirbyteError(
                f"Airbyte job {job.id} is still {job.status} after {self.workspace.poll_timeout:g} s. It was "
                f"not cancelled and continues: see {client.job_url(self.connection_id, job.id)}. Start this "
                "run again to attach to it; raise DVD_RENTAL_AIRBYTE_POLL_TIMEOUT if syncs take that long."
            )

    @contextmanager
    def _cancel_on_termination(
        self, client: AirbyteClient, job_id: int, log: dg.DagsterLogManager
    ) -> Iterator[None]:
        """Cancel the job when the run is terminated, if so configured. An error in the run cancels nothing."""
        try:
            yield
        except Exception:
            raise
        except BaseException:
            if self.workspace.cancel_on_termination:
                log.info(f"The run is terminated: cancelling Airbyte job {job_id}")
                client.cancel_job(job_id)
            else:
                log.info(f"The run is terminated. Airbyte job {job_id} continues; the next run attaches to it")
            raise

    def _outcome(
        self, domain: Domain, job: AirbyteJob, attempts: Sequence[Mapping[str, Any]], url: str
    ) -> SyncOutcome:
        job_metadata: dict[str, dg.MetadataValue] = {
            "sync_mode": dg.TextMetadataValue("full refresh" if job.type == "refresh" else "changes"),
            "airbyte_job": dg.UrlMetadataValue(url),
            "airbyte_job_id": dg.IntMetadataValue(job.id),
        }
        if job.rows is not None:
            job_metadata["airbyte_job_rows"] = dg.IntMetadataValue(job.rows)
        if job.bytes is not None:
            job_metadata["airbyte_job_bytes"] = dg.IntMetadataValue(job.bytes)
        if job.duration is not None:
            job_metadata["airbyte_job_duration"] = dg.TextMetadataValue(job.duration)
        synced = _rows_by_stream(attempts)
        try:
            counts = count_raw_tables(self.warehouse, domain)
        except WarehouseUnavailableError as error:
            raise AirbyteError(
                f"Airbyte job {job.id} succeeded, but its tables cannot be read. {error}"
            ) from None
        return SyncOutcome(
            metadata={
                name: {
                    **metadata,
                    **({"rows_synced": dg.IntMetadataValue(synced[name])} if name in synced else {}),
                    **job_metadata,
                }
                for name, metadata in counts.metadata.items()
            },
            failures={
                name: f"Airbyte job {job.id} succeeded, but {reason}"
                for name, reason in counts.failures.items()
            },
        )


def client_from_workspace(
    workspace: BaseAirbyteWorkspace, on_retry: Callable[[str], None] = lambda _: None
) -> AirbyteClient:
    """A client with the settings of `workspace`."""
    settings = workspace.get_client()
    login: ApplicationLogin | BasicLogin | None = None
    if settings.client_id and settings.client_secret:
        login = ApplicationLogin(settings.client_id, settings.client_secret)
    elif settings.username and settings.password:
        login = BasicLogin(settings.username, settings.password)
    return AirbyteClient(
        AirbyteUrls.from_apis(settings.rest_api_base_url, settings.configuration_api_base_url),
        settings.workspace_id,
        login,
        timeout=settings.request_timeout,
        retries=RetryPolicy(settings.request_retry_delay, settings.request_max_retries),
        page_size=settings.max_items_per_page,
        on_retry=on_retry,
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


def _format_failure(job: AirbyteJob, attempts: Sequence[Mapping[str, Any]], url: str) -> str:
    if job.status == "cancelled":
        return (
            f"Airbyte job {job.id} was cancelled in Airbyte: {url}. Rows that it loaded remain; the next sync "
            "continues from there."
        )
    reasons = [
        f"{failure.get('failureOrigin', 'unknown')}: {failure['externalMessage']}"
        for attempt in attempts
        for failure in (attempt.get("failureSummary") or {}).get("failures") or []
        if failure.get("externalMessage")
    ]
    reason = " ".join(dict.fromkeys(reasons)).rstrip(".") or "Airbyte reports no reason here; see its log"
    if _POSITION_LOST.search(reason):
        return (
            f"Airbyte job {job.id} failed: the replication slot no longer has the changes after the last sync. "
            f"{reason}. Run `dvd-rental run --full-refresh` with the tables of the connection: it copies them "
            f"again. See {url}."
        )
    return (
        f"Airbyte job {job.id} failed after Airbyte's retries. {reason}. See {url}. The tables are as the last "
        "sync left them; the next sync continues from there."
    )
