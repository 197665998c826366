"""What goes wrong with Airbyte, in words that say which setting to mend."""

from collections.abc import Iterable

from dvd_rental_pipeline.core.errors import PipelineError

_REMEDIES = {
    401: (
        "it does not accept the credentials. Mend DVD_RENTAL_AIRBYTE_CLIENT_ID and "
        "DVD_RENTAL_AIRBYTE_CLIENT_SECRET (or DVD_RENTAL_AIRBYTE_USERNAME and DVD_RENTAL_AIRBYTE_PASSWORD)."
    ),
    403: (
        "the credentials may not do this. Give their owner the role of an editor in the workspace "
        "DVD_RENTAL_AIRBYTE_WORKSPACE_ID, or use the credentials of somebody who has it."
    ),
    404: (
        "it knows no such thing. Mend DVD_RENTAL_AIRBYTE_CONNECTION_ID, DVD_RENTAL_AIRBYTE_WORKSPACE_ID or "
        "DVD_RENTAL_AIRBYTE_URL; `dvd-rental airbyte status` shows what is there."
    ),
}
_LONGEST_QUOTE = 300


class AirbyteError(PipelineError):
    """Airbyte cannot be reached, refuses, or its sync failed."""


class AirbyteRefusedError(AirbyteError):
    """Airbyte answered, and would answer the same again: `status` is its HTTP status."""

    def __init__(self, status: int, request: str, said: str, secrets: Iterable[str | None]) -> None:
        # A proxy may answer with whatever it was sent.
        for secret in secrets:
            if secret:
                said = said.replace(secret, "***")
        quote = f' It said: "{said[:_LONGEST_QUOTE]}".' if said else ""
        remedy = _REMEDIES.get(status, "look at the connection there.")
        super().__init__(f"Airbyte refused {request} (HTTP {status}): {remedy}{quote}")
        self.status = status


class AirbyteUnreachableError(AirbyteError):
    """Airbyte did not answer, or said that it cannot now, for as long as one was willing to wait."""


def is_outage(status: int) -> bool:
    """Whether an HTTP status means that the same request may be granted later."""
    return status == 429 or status >= 500


def error_message(answer: object) -> str:
    """What a refusal says for people, from its JSON body, whatever that is."""
    if not isinstance(answer, dict):
        return ""
    return str(answer.get("detail") or answer.get("message") or answer.get("title") or "")
