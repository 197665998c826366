"""Failures of Airbyte, with messages that name the setting to fix."""

from collections.abc import Iterable

from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.redaction import redact

_REMEDIES = {
    401: (
        "the credentials are not accepted. Fix DVD_RENTAL_AIRBYTE_CLIENT_ID and "
        "DVD_RENTAL_AIRBYTE_CLIENT_SECRET (or DVD_RENTAL_AIRBYTE_USERNAME and DVD_RENTAL_AIRBYTE_PASSWORD)."
    ),
    403: (
        "the credentials lack the permission. Give their owner the role of an editor in the workspace "
        "DVD_RENTAL_AIRBYTE_WORKSPACE_ID, or use the credentials of another user who has it."
    ),
    404: (
        "it does not exist. Fix DVD_RENTAL_AIRBYTE_CONNECTION_ID, DVD_RENTAL_AIRBYTE_WORKSPACE_ID or "
        "DVD_RENTAL_AIRBYTE_URL; `dvd-rental airbyte status` shows the connection."
    ),
}
_MAX_QUOTE_LENGTH = 300


class AirbyteError(PipelineError):
    """Airbyte is unreachable, refuses a request, or a sync failed."""


class AirbyteRefusedError(AirbyteError):
    """Airbyte refused a request, and retrying would not help. `status` is the HTTP status.

    Args:
        status: the HTTP status of the response.
        request: method and URL.
        response: the JSON body of the response, or None.
        secrets: removed from the message: a proxy may echo the request.
    """

    def __init__(self, status: int, request: str, response: object, secrets: Iterable[str]) -> None:
        detail = redact(_detail(response), secrets)
        quote = f' Airbyte\'s message: "{detail[:_MAX_QUOTE_LENGTH]}".' if detail else ""
        remedy = _REMEDIES.get(status, "see the connection in Airbyte.")
        super().__init__(f"Airbyte refused {request} (HTTP {status}): {remedy}{quote}")
        self.status = status


class AirbyteUnreachableError(AirbyteError):
    """Airbyte did not answer, or answered that it is temporarily unavailable."""


class AirbyteRateLimitError(AirbyteUnreachableError):
    """Airbyte refused a request beyond its rate limit, and did not carry it out.

    `retry_after` is the number of seconds after which it accepts requests again, None if it does not say.
    """

    def __init__(self, message: str, retry_after: float | None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


def is_outage(status: int) -> bool:
    """Whether a response with this HTTP status is worth a retry."""
    return status == 429 or status >= 500


def _detail(response: object) -> str:
    """The human-readable part of an error response (RFC 7807)."""
    if not isinstance(response, dict):
        return ""
    return str(response.get("detail") or response.get("message") or response.get("title") or "")
