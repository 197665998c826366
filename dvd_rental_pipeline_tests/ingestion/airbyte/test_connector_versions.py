"""Connectors that are too old are named, with what goes wrong, before they do harm."""

import re
from typing import Any

import pytest

from dvd_rental_pipeline.ingestion.airbyte.client import AirbyteClient
from dvd_rental_pipeline.ingestion.airbyte.connector_versions import outdated_connectors
from dvd_rental_pipeline_tests.stand_ins.airbyte.server import AirbyteStandIn


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("4.0.46", "destination-snowflake 4.0.46 is too old: at least 4.0.47 is needed"),
        ("3.11.0", "destination-snowflake 3.11.0 is too old"),
        ("dev", r"The version of destination-snowflake is not known \(dev\)"),
        ("4.0.47", None),
        ("4.0.100", None),
        ("5.0.0-rc.1", None),
    ],
)
def test_a_connector_that_is_too_old_is_named(
    airbyte: AirbyteStandIn, settings_with: Any, version: str, expected: str | None
) -> None:
    connection = airbyte.add_connection({"film": ["film_id"]})
    airbyte.workspace.destinations[connection.destination_id].version = version
    client = AirbyteClient.from_settings(settings_with())
    ids = {"source": connection.source_id, "destination": connection.destination_id}
    found = outdated_connectors(client, ids)
    if expected is None:
        assert found == []
    else:
        (message,) = found
        assert re.match(expected, message)


def test_without_the_configuration_api_versions_are_unknown(
    airbyte: AirbyteStandIn, settings_with: Any
) -> None:
    connection = airbyte.add_connection({"film": ["film_id"]})
    airbyte.fail(1, 404, path="/actor_definition_versions")
    (message,) = outdated_connectors(
        AirbyteClient.from_settings(settings_with()), {"source": connection.source_id}
    )
    assert "version of source-postgres is not known" in message
