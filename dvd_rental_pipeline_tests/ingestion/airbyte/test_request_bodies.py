"""Request bodies against Airbyte's published API documents, from which the models of its SDK are generated."""

from typing import Any

import pytest
from airbyte_api import models
from pydantic import BaseModel

from dvd_rental_pipeline.ingestion.airbyte.desired_config import desired_config
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL

TUNNELS: list[dict[str, str | None]] = [
    {"airbyte_ssh_tunnel": None},
    {"airbyte_ssh_tunnel": "ssh://jump:pw@bastion.test:2222"},
    {"airbyte_ssh_tunnel": "ssh://jump@bastion.test", "airbyte_ssh_key_path": "key_path"},
]
SSL_MODES = ["", "?sslmode=disable", "?sslmode=verify-full&sslrootcert="]


def assert_valid(model: type[BaseModel], body: Any) -> None:
    """Every field of `body` must be known to the model, at any depth, and have a valid value."""
    parsed = model.model_validate(body)
    assert parsed.model_dump(mode="json", by_alias=True, exclude_unset=True) == body


@pytest.mark.parametrize("tunnel", TUNNELS)
@pytest.mark.parametrize("ssl_mode", SSL_MODES)
def test_the_configuration_of_the_source_is_valid(
    settings_with: Any, key_path: Any, tunnel: dict[str, str | None], ssl_mode: str
) -> None:
    certificate = str(key_path) if ssl_mode.endswith("=") else ""
    url = f"postgresql://reader:pw@db.test/dvdrental{ssl_mode}{certificate}"
    paths = {name: str(key_path) if value == "key_path" else value for name, value in tunnel.items()}
    desired = desired_config(settings_with(source_url=url, **paths), DVD_RENTAL, slot="dvd_rental")
    assert_valid(models.SourcePostgres, desired.source)
    request = {"name": desired.source_name, "configuration": desired.source}
    models.SourceCreateRequest.model_validate({**request, "workspaceId": "w"})
    models.SourcePutRequest.model_validate(request)


@pytest.mark.parametrize("passphrase", [None, "passphrase"])
def test_the_configuration_of_the_destination_is_valid(settings_with: Any, passphrase: str | None) -> None:
    settings = settings_with(airbyte_destination_key_passphrase=passphrase)
    desired = desired_config(settings, DVD_RENTAL, slot="dvd_rental")
    assert_valid(models.DestinationSnowflake, desired.destination)
    request = {"name": desired.destination_name, "configuration": desired.destination}
    models.DestinationCreateRequest.model_validate({**request, "workspaceId": "w"})
    models.DestinationPutRequest.model_validate(request)


def test_the_fields_of_the_connection_are_valid(settings_with: Any) -> None:
    connection = desired_config(settings_with(), DVD_RENTAL, slot="dvd_rental").connection
    assert_valid(models.ConnectionCreateRequest, {"sourceId": "s", "destinationId": "d", **connection})
    assert_valid(models.ConnectionPatchRequest, connection)


def test_the_request_for_a_sync_is_valid() -> None:
    assert_valid(models.JobCreateRequest, {"connectionId": "c", "jobType": "sync"})
