"""The calls of Airbyte's APIs that the pipeline uses, for one workspace.

Almost all are calls of the public API. Refreshes, the attempts of a job and the versions of connectors exist
only in the configuration API, which Airbyte's UI uses and which is not documented as stable.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.ingestion.airbyte.errors import AirbyteError
from dvd_rental_pipeline.ingestion.airbyte.transport import (
    AirbyteTransport,
    ApplicationLogin,
    BasicLogin,
    JsonObject,
    RetryPolicy,
)

# At a terminal a user waits.
TERMINAL_RETRIES = RetryPolicy(delay=1.0, max_retries=30, max_seconds=30.0)

# A status outside of this set is taken as running: Airbyte may add some.
_FINAL_STATUSES = {"succeeded", "failed", "error", "cancelled"}
_PUBLIC_API_PATH = "/api/public/v1"


@dataclass(frozen=True)
class AirbyteUrls:
    """Addresses of an Airbyte, without a trailing slash."""

    public_api: str = "https://api.airbyte.com/v1"
    configuration_api: str = "https://cloud.airbyte.com/api/v1"
    site: str = "https://cloud.airbyte.com"

    @classmethod
    def from_server(cls, url: str | None) -> Self:
        """The addresses of a self-managed Airbyte at `url`, or with None those of Airbyte Cloud."""
        if url is None:
            return cls()
        base = url.rstrip("/")
        return cls(f"{base}{_PUBLIC_API_PATH}", f"{base}/api/v1", base)

    @classmethod
    def from_apis(cls, public_api: str, configuration_api: str) -> Self:
        """The same, from the addresses of the two APIs."""
        if not public_api.endswith(_PUBLIC_API_PATH):
            return cls(public_api, configuration_api)
        return cls(public_api, configuration_api, public_api.removesuffix(_PUBLIC_API_PATH))


@dataclass(frozen=True)
class AirbyteJob:
    """A job of a connection. `rows` and `bytes` are totals of the job, None until Airbyte reports them.

    `type` is sync, refresh, clear or reset; `started_at` and `duration` are in ISO 8601.
    """

    id: int
    type: str
    status: str
    started_at: str | None = None
    duration: str | None = None
    rows: int | None = None
    bytes: int | None = None

    @classmethod
    def from_response(cls, job: JsonObject) -> Self:
        """Read a `JobResponse` of the public API."""
        return cls(
            id=int(job["jobId"]),
            type=job["jobType"],
            status=job["status"],
            started_at=job.get("startTime"),
            duration=job.get("duration"),
            rows=job.get("rowsSynced"),
            bytes=job.get("bytesSynced"),
        )

    @property
    def is_final(self) -> bool:
        return self.status in _FINAL_STATUSES


class AirbyteClient:
    """One workspace. Every method raises `AirbyteRefusedError` or `AirbyteUnreachableError`.

    Requests that create something are never repeated: the first one may have been carried out.

    Args:
        urls: addresses of Airbyte.
        workspace_id: the workspace, a UUID.
        login: credentials; None for an Airbyte without authentication.
        timeout: seconds until a request counts as failed.
        retries: for outages.
        page_size: items per request of a listing, at most 100.
        on_retry: called with a message before each retry.
    """

    def __init__(
        self,
        urls: AirbyteUrls,
        workspace_id: str,
        login: ApplicationLogin | BasicLogin | None,
        *,
        timeout: float,
        retries: RetryPolicy,
        page_size: int = 100,
        on_retry: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.urls = urls
        self.workspace_id = workspace_id
        self.page_size = page_size
        self.transport = AirbyteTransport(
            login,
            timeout,
            retries,
            token_url=f"{urls.public_api}/applications/token",
            site_url=urls.site,
            on_retry=on_retry,
        )

    @classmethod
    def from_settings(cls, settings: Settings, retries: RetryPolicy = TERMINAL_RETRIES) -> Self:
        """The workspace that the settings name.

        Raises:
            SettingsError: settings are missing; the message lists all of them.
        """
        settings.require("Airbyte", *settings.airbyte_credentials, "airbyte_workspace_id")
        name, secret = (getattr(settings, name) for name in settings.airbyte_credentials[-2:])
        login = BasicLogin if settings.airbyte_has_basic_auth else ApplicationLogin
        return cls(
            AirbyteUrls.from_server(settings.airbyte_url),
            str(settings.airbyte_workspace_id),
            login(name, secret.get_secret_value()),
            timeout=settings.airbyte_request_timeout,
            retries=retries,
        )

    def connection_url(self, connection_id: str) -> str:
        """Address of the connection in Airbyte's UI."""
        return f"{self.urls.site}/workspaces/{self.workspace_id}/connections/{connection_id}"

    def job_url(self, connection_id: str, job_id: int) -> str:
        """Address of the job's log in Airbyte's UI."""
        return f"{self.connection_url(connection_id)}/timeline?openLogs=true&jobId={job_id}"

    def sources(self) -> Sequence[JsonObject]:
        return self._list("sources")

    def source(self, source_id: str) -> JsonObject:
        return self._public("GET", f"sources/{source_id}")

    def create_source(self, name: str, configuration: JsonObject) -> JsonObject:
        return self._create("sources", {"name": name, "configuration": configuration})

    def replace_source(self, source_id: str, name: str, configuration: JsonObject) -> JsonObject:
        return self._public("PUT", f"sources/{source_id}", {"name": name, "configuration": configuration})

    def destinations(self) -> Sequence[JsonObject]:
        return self._list("destinations")

    def destination(self, destination_id: str) -> JsonObject:
        return self._public("GET", f"destinations/{destination_id}")

    def create_destination(self, name: str, configuration: JsonObject) -> JsonObject:
        return self._create("destinations", {"name": name, "configuration": configuration})

    def replace_destination(self, destination_id: str, name: str, configuration: JsonObject) -> JsonObject:
        body = {"name": name, "configuration": configuration}
        return self._public("PUT", f"destinations/{destination_id}", body)

    def connections(self) -> Sequence[JsonObject]:
        return self._list("connections")

    def connection(self, connection_id: str) -> JsonObject:
        return self._public("GET", f"connections/{connection_id}")

    def create_connection(self, source_id: str, destination_id: str, fields: JsonObject) -> JsonObject:
        body = {"sourceId": source_id, "destinationId": destination_id, **fields}
        return self._public("POST", "connections", body, retry=False)

    def update_connection(self, connection_id: str, fields: JsonObject) -> JsonObject:
        return self._public("PATCH", f"connections/{connection_id}", fields)

    def jobs(self, connection_id: str, limit: int = 20) -> Sequence[AirbyteJob]:
        """The latest jobs of the connection, of any type, newest first."""
        params = {"connectionId": connection_id, "limit": limit, "orderBy": "createdAt|DESC"}
        page = self._public("GET", "jobs", params=params)
        jobs = (AirbyteJob.from_response(job) for job in page["data"])
        return sorted(jobs, key=lambda job: job.id, reverse=True)

    def job(self, job_id: int) -> AirbyteJob:
        return AirbyteJob.from_response(self._public("GET", f"jobs/{job_id}"))

    def start_sync(self, connection_id: str) -> AirbyteJob:
        """Start a sync.

        Raises:
            AirbyteRefusedError: with status 409 if a job of the connection is running.
            AirbyteUnreachableError: the job may have been started.
        """
        body = {"connectionId": connection_id, "jobType": "sync"}
        return AirbyteJob.from_response(self._public("POST", "jobs", body, retry=False))

    def start_refresh(self, connection_id: str) -> AirbyteJob | None:
        """Start a refresh of every stream that also removes rows which the source no longer has.

        None if Airbyte has recorded the refresh but started no job: the next sync carries it out.

        Raises:
            AirbyteRefusedError, AirbyteUnreachableError: as for `start_sync`.
        """
        body = {"connectionId": connection_id, "refreshMode": "Truncate"}
        job = self._configuration("connections/refresh", body).get("job")
        return None if job is None else AirbyteJob(int(job["id"]), "refresh", "pending")

    def connector_version(self, kind: str, actor_id: str) -> str | None:
        """The version of the connector of a source or destination, such as `4.0.47`.

        Args:
            kind: `source` or `destination`.
            actor_id: its id.

        None if the configuration API does not answer as expected: it is not documented as stable.
        """
        path = f"actor_definition_versions/get_for_{kind}"
        try:
            return str(self._configuration(path, {f"{kind}Id": actor_id})["dockerImageTag"])
        except (AirbyteError, KeyError):
            return None

    def cancel_job(self, job_id: int) -> None:
        self._public("DELETE", f"jobs/{job_id}")

    def attempts(self, job_id: int) -> Sequence[JsonObject]:
        """The attempts of a job: rows by stream and reasons of failures.

        Empty if the configuration API does not answer as expected: nothing essential depends on it.
        """
        try:
            response = self._configuration("jobs/get_without_logs", {"id": job_id})
            return [attempt["attempt"] for attempt in response.get("attempts", [])]
        except (AirbyteError, KeyError, TypeError, AttributeError):
            return []

    def _list(self, path: str) -> Sequence[JsonObject]:
        """All items of the workspace at `path`, page by page."""
        items: list[JsonObject] = []
        while True:
            params = {"workspaceIds": self.workspace_id, "limit": self.page_size, "offset": len(items)}
            page = self._public("GET", path, params=params)["data"]
            items.extend(page)
            if len(page) < self.page_size:
                return items

    def _create(self, path: str, fields: JsonObject) -> JsonObject:
        return self._public("POST", path, {"workspaceId": self.workspace_id, **fields}, retry=False)

    def _public(
        self,
        method: str,
        path: str,
        json: JsonObject | None = None,
        *,
        params: Mapping[str, Any] | None = None,
        retry: bool = True,
    ) -> JsonObject:
        url = f"{self.urls.public_api}/{path}"
        return self.transport.request(method, url, json=json, params=params, retry=retry)

    def _configuration(self, path: str, json: JsonObject) -> JsonObject:
        return self.transport.request("POST", f"{self.urls.configuration_api}/{path}", json=json, retry=False)
