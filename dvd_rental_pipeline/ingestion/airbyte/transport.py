"""HTTP requests to Airbyte: login, retries, and failures translated into `AirbyteError`.

Neither Airbyte's SDK nor dagster-airbyte's client sends the requests. The SDK caches tokens per process and
hides the reason of a refused login; dagster-airbyte's client retries refusals and hides their reason.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import requests
from requests.auth import AuthBase, HTTPBasicAuth

from dvd_rental_pipeline.ingestion.airbyte.errors import (
    AirbyteError,
    AirbyteRateLimitError,
    AirbyteRefusedError,
    AirbyteUnreachableError,
    is_outage,
)
from dvd_rental_pipeline.ingestion.http.retry_after import parse_retry_after

JsonObject = Mapping[str, Any]

# A token is valid for 180 s.
_TOKEN_SECONDS = 150.0
# A longer Retry-After is not respected.
_MAX_RETRY_AFTER = 300.0


@dataclass(frozen=True)
class ApplicationLogin:
    """Id and secret of an Airbyte application, exchanged for short-lived access tokens."""

    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True)
class BasicLogin:
    """User and password of a self-managed Airbyte with basic authentication."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class RetryPolicy:
    """How often a request that met an outage is repeated: up to the first limit that is reached.

    Args:
        delay: seconds between two attempts.
        max_retries: attempts after the first one.
        max_seconds: after this time since the first attempt no other one is made.
    """

    delay: float
    max_retries: int
    max_seconds: float = math.inf


class AirbyteTransport:
    """Sends requests to Airbyte and returns the JSON objects of the responses.

    Args:
        login: credentials; None for an Airbyte without authentication.
        timeout: seconds until a request counts as failed.
        retries: for outages: no connection, a timeout, HTTP 429 or 5xx, a response that is no JSON object.
        token_url: where `ApplicationLogin` gets access tokens.
        site_url: address of Airbyte's UI, for messages.
        on_retry: called with a message before each retry.
    """

    def __init__(
        self,
        login: ApplicationLogin | BasicLogin | None,
        timeout: float,
        retries: RetryPolicy,
        *,
        token_url: str,
        site_url: str,
        on_retry: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.login = login
        self.timeout = timeout
        self.retries = retries
        self._token_url = token_url
        self._site_url = site_url
        self._on_retry = on_retry
        self._token: _BearerToken | None = None

    def request(
        self,
        method: str,
        url: str,
        *,
        json: JsonObject | None = None,
        params: JsonObject | None = None,
        retry: bool = True,
    ) -> JsonObject:
        """Send a request and return the JSON object of its response.

        Without `retry` there is one attempt, for requests that must not be carried out twice, unless Airbyte
        refuses it for its rate limit.

        Raises:
            AirbyteRefusedError: HTTP 4xx other than 429.
            AirbyteUnreachableError: an outage that lasted longer than `retries`.
        """
        started = time.monotonic()
        retries_left = self.retries.max_retries
        while True:
            try:
                return self._attempt(method, url, json, params)
            except AirbyteUnreachableError as error:
                delay = self.retries.delay
                if isinstance(error, AirbyteRateLimitError):
                    delay = max(delay, min(error.retry_after or 0.0, _MAX_RETRY_AFTER))
                elif not retry:
                    raise
                seconds = time.monotonic() - started
                if retries_left == 0 or seconds + delay > self.retries.max_seconds:
                    raise AirbyteUnreachableError(
                        f"{error} The outage has lasted {seconds:.0f} s. Check that Airbyte is up at "
                        f"{self._site_url} and that DVD_RENTAL_AIRBYTE_URL is correct, then try again: a run "
                        "attaches to a job that is still running."
                    ) from None
                self._on_retry(f"{error} Retrying in {delay:g} s.")
            retries_left -= 1
            time.sleep(delay)

    def _attempt(self, method: str, url: str, json: JsonObject | None, params: JsonObject | None) -> JsonObject:
        had_token = self._token is not None
        response = self._send(method, url, json, params, self._authorization())
        if response.status_code == 401 and had_token:
            # The token expired early, for example because Airbyte was restarted.
            self._token = None
            response = self._send(method, url, json, params, self._authorization())
        return self._json_object(response)

    def _authorization(self) -> AuthBase | None:
        match self.login:
            case BasicLogin(username, password):
                return HTTPBasicAuth(username, password)
            case ApplicationLogin(client_id, client_secret):
                if self._token is None or self._token.expires_at <= time.monotonic():
                    # From the time of the request: the token is not valid for longer than that.
                    expires_at = time.monotonic() + _TOKEN_SECONDS
                    body = {
                        "client_id": client_id,
                        "client_secret": client_secret,
                        "grant-type": "client_credentials",
                    }
                    response = self._json_object(self._send("POST", self._token_url, body, None, None))
                    self._token = _BearerToken(str(response["access_token"]), expires_at)
                return self._token
            case None:
                return None

    def _send(
        self,
        method: str,
        url: str,
        json: JsonObject | None,
        params: JsonObject | None,
        authorization: AuthBase | None,
    ) -> requests.Response:
        try:
            return requests.request(
                method,
                url,
                json=json,
                params=params,
                auth=authorization,
                headers={"Accept": "application/json", "User-Agent": "dvd-rental-pipeline"},
                timeout=self.timeout,
            )
        except requests.Timeout:
            raise AirbyteUnreachableError(
                f"Airbyte at {self._site_url} did not answer within {self.timeout:g} s."
            ) from None
        except requests.ConnectionError:
            raise AirbyteUnreachableError(f"Airbyte at {self._site_url} cannot be reached.") from None
        except requests.RequestException as error:
            raise AirbyteError(f"The request to Airbyte at {url} failed: {error}") from None

    def _json_object(self, response: requests.Response) -> JsonObject:
        if response.status_code == requests.codes.too_many_requests:
            raise AirbyteRateLimitError(
                f"Airbyte at {self._site_url} has received more requests than it accepts (HTTP 429).",
                parse_retry_after(response.headers.get("Retry-After"), datetime.now(UTC)),
            )
        if is_outage(response.status_code):
            raise AirbyteUnreachableError(
                f"Airbyte at {self._site_url} is temporarily unavailable (HTTP {response.status_code})."
            )
        try:
            body = response.json()
        except requests.exceptions.JSONDecodeError:
            body = None
        if response.status_code >= 400:
            request = f"{response.request.method} {response.url}"
            raise AirbyteRefusedError(response.status_code, request, body, self._secrets())
        if not isinstance(body, dict):
            raise AirbyteUnreachableError(f"The response of {response.url} is not a JSON object.")
        return body

    def _secrets(self) -> list[str]:
        match self.login:
            case BasicLogin(_, secret) | ApplicationLogin(_, secret):
                return [secret] if secret else []
            case None:
                return []


@dataclass(frozen=True)
class _BearerToken(AuthBase):
    """Sends an access token. A plain header would be replaced by an entry of ~/.netrc."""

    value: str = field(repr=False)
    expires_at: float

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self.value}"
        return request
