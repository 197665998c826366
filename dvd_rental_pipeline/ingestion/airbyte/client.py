"""dagster-airbyte's client, made patient with outages and plain about refusals."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import requests
from dagster_airbyte.resources import AirbyteClient

from dvd_rental_pipeline.ingestion.airbyte.errors import (
    AirbyteError,
    AirbyteRefusedError,
    AirbyteUnreachableError,
    error_message,
    is_outage,
)

# Airbyte's own words; "queued" and what may come later are unknown to dagster-airbyte.
ENDED = {"succeeded", "failed", "error", "cancelled"}

_CLOUD_SITE = "https://cloud.airbyte.com"


@dataclass(frozen=True)
class Job:
    """A job of a connection, as Airbyte tells it. `rows` and `bytes` are of the whole job, None until known."""

    id: int
    kind: str
    status: str
    rows: int | None = None
    bytes: int | None = None
    duration: str | None = None

    @classmethod
    def told(cls, details: Mapping[str, Any]) -> "Job":
        return cls(
            id=int(details["jobId"]),
            kind=details["jobType"],
            status=details["status"],
            rows=details.get("rowsSynced"),
            bytes=details.get("bytesSynced"),
            duration=details.get("duration"),
        )

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED


class RetryingAirbyteClient(AirbyteClient):
    """The same settings and calls, with another policy for failures.

    An outage (no connection, a time-out, 429, a status of 500 or more, an answer that is no JSON) is waited
    out, `request_max_retries` times `request_retry_delay` seconds. Any other refusal is told at once, in words.
    An access token that expires early is renewed.
    """

    @classmethod
    def like(cls, client: AirbyteClient) -> "RetryingAirbyteClient":
        """A patient client with each setting of `client`."""
        return cls(**{name: getattr(client, name) for name in AirbyteClient.model_fields})

    @property
    def site(self) -> str:
        """Where a person looks at this Airbyte."""
        host, found, _ = self.rest_api_base_url.partition("/api/public")
        return host if found else _CLOUD_SITE

    def connection_link(self, connection_id: str) -> str:
        return f"{self.site}/workspaces/{self.workspace_id}/connections/{connection_id}"

    def job_link(self, connection_id: str, job_id: int) -> str:
        return f"{self.connection_link(connection_id)}/timeline?openLogs=true&jobId={job_id}"

    def latest_jobs(self, connection_id: str) -> Sequence[Job]:
        """The last jobs of the connection, of any kind, newest first.

        dagster-airbyte's own listing asks from a local time that it calls UTC.
        """
        answer = self._single_request(
            "GET",
            f"{self.rest_api_base_url}/jobs",
            params={"connectionId": connection_id, "limit": 20, "orderBy": "createdAt|DESC"},
        )
        return sorted((Job.told(job) for job in answer["data"]), key=lambda job: job.id, reverse=True)

    def job(self, job_id: int) -> Job:
        return Job.told(self.get_job_details(job_id))

    def connection(self, connection_id: str) -> Mapping[str, Any]:
        """The connection, as the public API tells it."""
        return self._single_request("GET", f"{self.rest_api_base_url}/connections/{connection_id}")

    def start_sync(self, connection_id: str) -> int:
        """Ask once for a sync, and return the id of its job.

        Raises:
            AirbyteRefusedError: with status 409, a job of the connection is running.
            AirbyteUnreachableError: it may, or may not, have begun.
        """
        job = self._once(
            "POST", f"{self.rest_api_base_url}/jobs", {"connectionId": connection_id, "jobType": "sync"}
        )
        return int(job["jobId"])

    def start_refresh(self, connection_id: str) -> int:
        """Ask once for a refresh of every stream that removes what the source no longer has.

        The public API refuses jobs of this kind; the configuration API, which the UI uses, has them.

        Raises:
            AirbyteRefusedError, AirbyteUnreachableError: as for `start_sync`.
        """
        answer = self._once(
            "POST",
            f"{self.configuration_api_base_url}/connections/refresh",
            {"connectionId": connection_id, "refreshMode": "Truncate"},
        )
        return int(answer["job"]["id"])

    def attempts(self, job_id: int) -> Sequence[Mapping[str, Any]]:
        """What the configuration API tells of each attempt of a job: rows by stream, reasons of failures.

        It is an internal API of Airbyte's: nothing here that it does not tell is needed.
        """
        try:
            answer = self._once(
                "POST", f"{self.configuration_api_base_url}/jobs/get_without_logs", {"id": job_id}
            )
            return [attempt["attempt"] for attempt in answer.get("attempts", [])]
        except (AirbyteError, KeyError, TypeError, AttributeError):
            return []

    def _single_request(
        self,
        method: str,
        url: str,
        data: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        include_additional_request_headers: bool = True,
    ) -> Mapping[str, Any]:
        with_token = include_additional_request_headers
        return self._repeated(lambda: self._once(method, url, data, params, with_token=with_token))

    def _refresh_access_token(self) -> None:
        # Asked once: the request that needs the token is the one that is repeated.
        answer = self._once(
            "POST",
            f"{self.rest_api_base_url}/applications/token",
            {"client_id": self.client_id, "client_secret": self.client_secret},
            with_token=False,
        )
        self._access_token_value = str(answer["access_token"])
        self._access_token_timestamp = time.time()

    def _repeated(self, ask: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        began = time.monotonic()
        for left in range(self.request_max_retries, -1, -1):
            try:
                return ask()
            except AirbyteUnreachableError as error:
                if not left:
                    raise AirbyteUnreachableError(
                        f"{error} It has been so for {time.monotonic() - began:.0f} s. Look whether Airbyte is "
                        f"up at {self.site}, then start the run again: it attaches to a job that still runs."
                    ) from None
                self._log.warning(f"{error} Asking again in {self.request_retry_delay:g} s.")
                time.sleep(self.request_retry_delay)
        raise AssertionError("the loop returns or raises")

    def _once(
        self,
        method: str,
        url: str,
        data: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        *,
        with_token: bool = True,
    ) -> Mapping[str, Any]:
        response = self._send(method, url, data, params, with_token)
        if response.status_code == 401 and with_token and self._access_token_value is not None:
            # It may have expired before its time, as when Airbyte was restarted.
            self._access_token_value = None
            response = self._send(method, url, data, params, with_token)
        if is_outage(response.status_code):
            raise AirbyteUnreachableError(
                f"Airbyte at {self.site} cannot answer now (HTTP {response.status_code})."
            )
        if response.status_code >= 400:
            raise AirbyteRefusedError(
                response.status_code, f"{method} {url}", _words(response), (self.client_secret, self.password)
            )
        try:
            answer = response.json()
        except requests.exceptions.JSONDecodeError:
            answer = None
        if not isinstance(answer, dict):
            raise AirbyteUnreachableError(
                f"What answers at {url} is not Airbyte's API: it sent no JSON object."
            )
        return answer

    def _send(
        self,
        method: str,
        url: str,
        data: Mapping[str, Any] | None,
        params: Mapping[str, Any] | None,
        with_token: bool,
    ) -> requests.Response:
        try:
            with self._get_session(include_additional_request_headers=with_token) as session:
                return session.request(method, url, json=data, params=params, timeout=self.request_timeout)
        except requests.Timeout:
            raise AirbyteUnreachableError(
                f"Airbyte at {self.site} did not answer within {self.request_timeout} s."
            ) from None
        except requests.ConnectionError:
            raise AirbyteUnreachableError(f"Airbyte at {self.site} cannot be reached.") from None
        except requests.RequestException as error:
            raise AirbyteError(f"The request to Airbyte at {url} failed: {error}") from None


def _words(response: requests.Response) -> str:
    try:
        return error_message(response.json())
    except requests.exceptions.JSONDecodeError:
        return ""
