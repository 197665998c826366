"""Airbyte's public API, through Airbyte's own SDK.

The SDK and not calls of our own: it is generated from the published specification, so that what is sent is
checked against it before it leaves. What is received is taken as plain JSON, because a workspace may hold
connectors that are newer than the SDK. Logging in is our own: the SDK keeps a token for as long as the process
lives, whichever server it is for, and does not tell why a login was refused.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import httpx
from airbyte_api import AirbyteAPI, api, errors, models
from airbyte_api.utils import BackoffStrategy, RetryConfig

from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.ingestion.airbyte.errors import (
    AirbyteError,
    AirbyteRefusedError,
    AirbyteUnreachableError,
    error_message,
    is_outage,
)

CLOUD_API = "https://api.airbyte.com/v1"
CLOUD_SITE = "https://cloud.airbyte.com"

Answer = Mapping[str, Any]
_PAGE = 100
# Somebody is waiting at a terminal.
RETRY_MILLISECONDS = 30_000


class _Response(Protocol):
    raw_response: httpx.Response


class _Login:
    """Access tokens of an Airbyte application; each is used for less long than it lives."""

    _SECONDS = 60.0

    def __init__(self, server: str, client_id: str, client_secret: str) -> None:
        self._url = f"{server}/applications/token"
        self._client = {"client_id": client_id, "client_secret": client_secret}
        self._token = ""
        self._until = 0.0

    def security(self) -> models.Security:
        """What the SDK asks for before each request.

        Raises:
            httpx.HTTPError: the login is refused, or Airbyte cannot be reached.
        """
        if time.monotonic() > self._until:
            response = httpx.post(
                self._url, json={**self._client, "grant_type": "client_credentials"}, timeout=60
            )
            response.raise_for_status()
            self._token = response.json()["access_token"]
            self._until = time.monotonic() + self._SECONDS
        return models.Security(bearer_auth=self._token)


class Airbyte:
    """One workspace. Every method raises `AirbyteError` when Airbyte refuses or cannot be reached."""

    def __init__(self, sdk: AirbyteAPI, workspace_id: str, site: str, secrets: Sequence[str]) -> None:
        self._sdk = sdk
        self._workspace_id = workspace_id
        self._site = site
        self._secrets = secrets

    @classmethod
    @contextmanager
    def of_settings(cls, settings: Settings) -> Iterator["Airbyte"]:
        """The workspace that the settings name.

        Raises:
            SettingsError: settings are missing; all are told at once.
        """
        settings.require("Airbyte", *settings.airbyte_credentials, "airbyte_workspace_id")
        base = (settings.airbyte_url or "").rstrip("/")
        server = f"{base}/api/public/v1" if base else CLOUD_API
        first, second = (getattr(settings, name) for name in settings.airbyte_credentials[-2:])
        secret = second.get_secret_value()
        if settings.airbyte_has_basic_auth:
            security: Any = models.Security(basic_auth=models.SchemeBasicAuth(username=first, password=secret))
        else:
            security = _Login(server, first, secret).security
        with AirbyteAPI(
            server_url=server,
            security=security,
            timeout_ms=settings.airbyte_request_timeout * 1000,
            retry_config=RetryConfig("backoff", BackoffStrategy(500, 5_000, 1.5, RETRY_MILLISECONDS), True),
        ) as sdk:
            yield cls(sdk, str(settings.airbyte_workspace_id), base or CLOUD_SITE, [secret])

    def link(self, connection_id: str) -> str:
        """Where a person looks at the connection."""
        return f"{self._site}/workspaces/{self._workspace_id}/connections/{connection_id}"

    def sources(self) -> Sequence[Answer]:
        return self._all(
            lambda offset: self._sdk.sources.list_sources(
                request=api.ListSourcesRequest(workspace_ids=[self._workspace_id], limit=_PAGE, offset=offset)
            )
        )

    def source(self, id_: str) -> Answer:
        return self._ask(
            lambda: self._sdk.sources.get_source(request=api.GetSourceRequest(source_id=id_)), "its source"
        )

    def create_source(self, name: str, configuration: Mapping[str, Any]) -> Answer:
        request = models.SourceCreateRequest(
            name=name,
            workspace_id=self._workspace_id,
            configuration=models.SourcePostgres.model_validate(configuration),
        )
        # Not repeated: a second one might be made.
        return self._ask(lambda: self._sdk.sources.create_source(request=request, retries=None), "the source")

    def replace_source(self, id_: str, name: str, configuration: Mapping[str, Any]) -> Answer:
        request = api.PutSourceRequest(
            source_id=id_,
            source_put_request=models.SourcePutRequest(
                name=name, configuration=models.SourcePostgres.model_validate(configuration)
            ),
        )
        return self._ask(lambda: self._sdk.sources.put_source(request=request), "the source")

    def destinations(self) -> Sequence[Answer]:
        return self._all(
            lambda offset: self._sdk.destinations.list_destinations(
                request=api.ListDestinationsRequest(
                    workspace_ids=[self._workspace_id], limit=_PAGE, offset=offset
                )
            )
        )

    def destination(self, id_: str) -> Answer:
        return self._ask(
            lambda: self._sdk.destinations.get_destination(
                request=api.GetDestinationRequest(destination_id=id_)
            ),
            "its destination",
        )

    def create_destination(self, name: str, configuration: Mapping[str, Any]) -> Answer:
        request = models.DestinationCreateRequest(
            name=name,
            workspace_id=self._workspace_id,
            configuration=models.DestinationSnowflake.model_validate(configuration),
        )
        return self._ask(
            lambda: self._sdk.destinations.create_destination(request=request, retries=None),
            "the destination",
        )

    def replace_destination(self, id_: str, name: str, configuration: Mapping[str, Any]) -> Answer:
        request = api.PutDestinationRequest(
            destination_id=id_,
            destination_put_request=models.DestinationPutRequest(
                name=name, configuration=models.DestinationSnowflake.model_validate(configuration)
            ),
        )
        return self._ask(lambda: self._sdk.destinations.put_destination(request=request), "the destination")

    def connections(self) -> Sequence[Answer]:
        return self._all(
            lambda offset: self._sdk.connections.list_connections(
                request=api.ListConnectionsRequest(
                    workspace_ids=[self._workspace_id], limit=_PAGE, offset=offset
                )
            )
        )

    def connection(self, id_: str) -> Answer:
        return self._ask(
            lambda: self._sdk.connections.get_connection(request=api.GetConnectionRequest(connection_id=id_)),
            f"the connection {id_}",
        )

    def create_connection(self, source_id: str, destination_id: str, fields: Mapping[str, Any]) -> Answer:
        request = models.ConnectionCreateRequest.model_validate(
            {"sourceId": source_id, "destinationId": destination_id, **fields}
        )
        return self._ask(
            lambda: self._sdk.connections.create_connection(request=request, retries=None), "the connection"
        )

    def change_connection(self, id_: str, fields: Mapping[str, Any]) -> Answer:
        request = api.PatchConnectionRequest(
            connection_id=id_,
            connection_patch_request=models.ConnectionPatchRequest.model_validate(fields),
        )
        return self._ask(lambda: self._sdk.connections.patch_connection(request=request), "the connection")

    def jobs(self, connection_id: str, limit: int) -> Sequence[Answer]:
        """The last jobs of a connection, newest first."""
        answer = self._ask(
            lambda: self._sdk.jobs.list_jobs(
                request=api.ListJobsRequest(connection_id=connection_id, limit=limit, order_by="createdAt|DESC")
            ),
            "its jobs",
        )
        jobs: Sequence[Answer] = answer["data"]
        return jobs

    def _all(self, ask: Callable[[int], _Response]) -> Sequence[Answer]:
        found: list[Answer] = []
        while True:
            page = self._ask(lambda: ask(len(found)), "the workspace")["data"]
            found.extend(page)
            if len(page) < _PAGE:
                return found

    def _ask(self, ask: Callable[[], _Response], what: str) -> Answer:
        try:
            response = ask().raw_response
        except errors.ResponseValidationError as error:
            # The SDK does not know all of it; nor do we need to.
            response = error.raw_response
        except errors.AirbyteAPIError as error:
            if is_outage(error.status_code):
                raise self._busy(error.status_code) from None
            raise AirbyteRefusedError(
                error.status_code, f"to tell or take {what}", _words(error.raw_response), self._secrets
            ) from None
        except httpx.HTTPStatusError as error:
            # From the login.
            status = error.response.status_code
            if is_outage(status):
                raise self._busy(status) from None
            raise AirbyteRefusedError(status, "the login", _words(error.response), self._secrets) from None
        except httpx.HTTPError as error:
            raise AirbyteUnreachableError(
                f"Airbyte at {self._site} cannot be reached ({type(error).__name__}). Look whether it is up, "
                "and at DVD_RENTAL_AIRBYTE_URL."
            ) from None
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise AirbyteError(
                f"What answers at {self._site} is not Airbyte's API: it sent no object. Mend "
                "DVD_RENTAL_AIRBYTE_URL."
            )
        return answer

    def _busy(self, status: int) -> AirbyteUnreachableError:
        return AirbyteUnreachableError(
            f"Airbyte at {self._site} cannot answer now (HTTP {status}). Try again later."
        )


def _words(response: httpx.Response) -> str:
    try:
        return error_message(response.json())
    except ValueError:
        return ""
