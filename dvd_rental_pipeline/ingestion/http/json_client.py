"""A client of JSON APIs: limits on time and size, retries with back-off and jitter, Retry-After."""

import json
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

import httpx
import tenacity

from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.ingestion.http.retry_after import parse_retry_after


class HttpError(PipelineError):
    """An API answered with something that cannot be used."""


class TransientHttpError(HttpError):
    """A failure that may pass; `retry_after` is the delay in seconds that the server asks for."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True)
class Limits:
    """Limits of a request.

    `timeout` is in seconds, for each attempt as a whole. Delays between the `attempts` double from
    `first_delay` to `max_delay` seconds, with jitter. If the server asks for more than `max_retry_after`
    seconds, the request fails at once. A body of more than `max_bytes` is refused.
    """

    timeout: float = 20.0
    attempts: int = 5
    first_delay: float = 1.0
    max_delay: float = 30.0
    max_retry_after: float = 120.0
    max_bytes: int = 32 * 2**20


class JsonClient:
    """Reads JSON documents from the API at `base_url`; `on_retry` gets a message before each retry."""

    def __init__(
        self,
        base_url: str,
        limits: Limits | None = None,
        on_retry: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._limits = limits or Limits()
        self._on_retry = on_retry

    def get(self, path: str, params: Mapping[str, Any], find_problem: Callable[[Any], str | None]) -> Any:
        """Return the document at `path`.

        `find_problem` returns what is wrong with a document as a whole, or None; such a document is requested
        again, since services answer HTTP 200 during an outage too.

        Raises:
            TransientHttpError: every attempt failed.
            HttpError: the answer will not change by asking again.
        """

        def attempt() -> Any:
            document = decode_json(self._fetch(f"{self._base_url}{path}", params))
            problem = find_problem(document)
            if problem is not None:
                raise TransientHttpError(f"{self._base_url}{path}: {problem}.")
            return document

        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self._limits.attempts),
            wait=self._delay,
            retry=tenacity.retry_if_exception(self._is_worth_retrying),
            before_sleep=self._report,
            reraise=True,
        )
        return retrying(attempt)

    def _is_worth_retrying(self, error: BaseException) -> bool:
        if not isinstance(error, TransientHttpError):
            return False
        return error.retry_after is None or error.retry_after <= self._limits.max_retry_after

    def _delay(self, state: tenacity.RetryCallState) -> float:
        back_off = tenacity.wait_exponential_jitter(
            multiplier=self._limits.first_delay, max=self._limits.max_delay, jitter=self._limits.first_delay
        )
        return max(back_off(state), _error(state).retry_after or 0.0)

    def _report(self, state: tenacity.RetryCallState) -> None:
        self._on_retry(
            f"{_error(state)} Retrying in {state.upcoming_sleep:.1f} s, attempt {state.attempt_number + 1} of "
            f"{self._limits.attempts}."
        )

    def _fetch(self, url: str, params: Mapping[str, Any]) -> bytes:
        limits, deadline = self._limits, time.monotonic() + self._limits.timeout
        body = bytearray()
        try:
            with (
                httpx.Client(
                    timeout=limits.timeout,
                    verify=_trusted_certificates(),
                    # A local server is never behind a proxy.
                    mounts={"all://127.0.0.1": None},
                    # An encoded body could be larger than its limit once decoded.
                    headers={"Accept": "application/json", "Accept-Encoding": "identity"},
                ) as client,
                client.stream("GET", url, params=dict(params)) as response,
            ):
                _require_success(url, response)
                for chunk in response.iter_raw():
                    body += chunk
                    if len(body) > limits.max_bytes:
                        raise HttpError(f"{url}: the body exceeds {limits.max_bytes} bytes, and was refused.")
                    if time.monotonic() > deadline:
                        raise TransientHttpError(f"{url}: no complete answer within {limits.timeout:g} s.")
        except httpx.InvalidURL as error:
            raise HttpError(f"{url} is not a URL: {error}.") from None
        except httpx.UnsupportedProtocol:
            raise HttpError(f"{url} is not an http or https URL.") from None
        except httpx.RequestError as error:
            raise TransientHttpError(f"{url}: {str(error) or type(error).__name__}.") from error
        return bytes(body)


def decode_json(body: bytes) -> Any:
    """Return the document that `body` is, without ever quoting it: it may contain personal data.

    Raises:
        TransientHttpError: `body` is not JSON in UTF-8.
    """
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        raise TransientHttpError("The body is not text in UTF-8.") from None
    except (ValueError, RecursionError):
        kind = "HTML" if body.lstrip()[:1] == b"<" else "not JSON, or truncated"
        raise TransientHttpError(f"The body of {len(body)} bytes is {kind}.") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _require_success(url: str, response: httpx.Response) -> None:
    status = response.status_code
    if status == httpx.codes.OK:
        return
    if status == httpx.codes.TOO_MANY_REQUESTS or status >= 500:
        raise TransientHttpError(
            f"{url}: HTTP {status}.", parse_retry_after(response.headers.get("Retry-After"), datetime.now(UTC))
        )
    if response.is_redirect:
        raise HttpError(f"{url}: HTTP {status}, a redirect. Set the URL of the API to where it moved.")
    raise HttpError(f"{url}: HTTP {status}. Check the URL of the API and the parameters.")


def _error(state: tenacity.RetryCallState) -> TransientHttpError:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, TransientHttpError)  # noqa: S101 - nothing else is retried
    return error


@cache
def _trusted_certificates() -> ssl.SSLContext:
    # Reading them costs more than most requests.
    return httpx.create_ssl_context()
