"""The least versions of Airbyte's connectors with which the pipeline works, and those that a workspace runs."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dvd_rental_pipeline.ingestion.airbyte.client import AirbyteClient

Version = tuple[int, int, int]


@dataclass(frozen=True)
class RequiredConnector:
    """A connector, its least version, and what goes wrong below it."""

    name: str
    least: Version
    reason: str


REQUIRED = {
    "source": RequiredConnector(
        "source-postgres",
        (3, 0, 0),
        "its positions are not those that models read",
    ),
    "destination": RequiredConnector(
        "destination-snowflake",
        (4, 0, 47),
        "a full refresh takes TRANSFORMER's rights on the raw tables away (below 4.0.47), and an encrypted "
        "private key is refused (below 4.0.42)",
    ),
}


def outdated_connectors(client: AirbyteClient, ids: Mapping[str, str]) -> Sequence[str]:
    """A message for each connector that is too old, or whose version Airbyte does not report.

    Args:
        client: the workspace.
        ids: the id of the source and the destination, by `source` and `destination`.
    """
    messages = []
    for kind, actor_id in ids.items():
        required = REQUIRED[kind]
        least = ".".join(map(str, required.least))
        reported = client.connector_version(kind, actor_id)
        version = _parse(reported)
        remedy = f"Upgrade it under Settings, {kind.capitalize()}s, in Airbyte: {required.reason}."
        if version is None:
            messages.append(
                f"The version of {required.name} is not known ({reported or 'no answer'}): it must be "
                f"at least {least}. See Settings, {kind.capitalize()}s, in Airbyte."
            )
        elif version < required.least:
            messages.append(f"{required.name} {reported} is too old: at least {least} is needed. {remedy}")
    return messages


def _parse(text: str | None) -> Version | None:
    """The version in a tag such as `4.0.47` or `4.1.0-rc.1`; None for another form, such as `dev`."""
    if (found := re.match(r"(\d+)\.(\d+)\.(\d+)", text or "")) is None:
        return None
    major, minor, patch = map(int, found.groups())
    return major, minor, patch
