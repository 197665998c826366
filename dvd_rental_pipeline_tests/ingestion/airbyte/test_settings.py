"""From the environment to Airbyte's client: nothing missing, nothing lost on the way, no secret shown."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster_airbyte import AirbyteCloudWorkspace, AirbyteWorkspace
from dagster_airbyte.resources import AirbyteClient, BaseAirbyteWorkspace

from dvd_rental_pipeline.core.settings import Settings, SettingsError
from dvd_rental_pipeline.ingestion.airbyte.client import RetryingAirbyteClient
from dvd_rental_pipeline.ingestion.airbyte.resource import AirbyteIngestion
from dvd_rental_pipeline.ingestion.observed import ObservedIngestion
from dvd_rental_pipeline.pipelines import resources as deployment
from dvd_rental_pipeline.warehouse.resource import DuckDBWarehouse

# Each differs from every default.
PATIENCE = {
    "request_timeout": 77,
    "request_max_retries": 7,
    "request_retry_delay": 1.5,
    "poll_interval": 2.5,
    "poll_timeout": 99.5,
    "cancel_on_termination": True,
}
CLIENT = {"client_id": "an-application", "client_secret": "planted-secret"}
USER = {"username": "somebody", "password": "planted-secret"}


@pytest.fixture(autouse=True)
def _duckdb_for_snowflake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests are about Airbyte alone."""
    monkeypatch.setattr(
        deployment, "_warehouse", lambda settings: DuckDBWarehouse(path=str(tmp_path / "warehouse.duckdb"))
    )


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put settings of Airbyte into the environment."""

    def give(**settings: Any) -> None:
        monkeypatch.setenv("DVD_RENTAL_DEPLOYMENT", "production")
        for name, value in settings.items():
            monkeypatch.setenv(f"DVD_RENTAL_AIRBYTE_{name.upper()}", str(value))

    return give


def ingestion() -> Any:
    settings = Settings.load(Path("/nonexistent"))
    settings.export()
    return deployment.resource_factories(settings, dbt_project=None)["ingestion"]()  # type: ignore[arg-type]


def client_in_a_run(resource: AirbyteIngestion) -> AirbyteClient:
    """The client that a step would use, with every reference to the environment resolved."""
    clients: list[AirbyteClient] = []

    @dg.asset
    def step(ingestion: AirbyteIngestion) -> None:
        clients.append(RetryingAirbyteClient.like(ingestion.workspace.get_client()))

    assert dg.materialize([step], resources={"ingestion": resource}).success
    return clients[0]


@pytest.mark.parametrize("credentials", [CLIENT, USER])
def test_every_setting_reaches_the_client_of_a_self_managed_airbyte(
    given: Any, credentials: dict[str, str]
) -> None:
    given(url="https://airbyte.test/", workspace_id="w", connection_id="c", **credentials, **PATIENCE)
    resource = ingestion()
    client = client_in_a_run(resource)
    expected = {**credentials, **PATIENCE, "workspace_id": "w", "poll_previous_running_sync": True}
    assert {name: getattr(client, name) for name in expected} == expected
    assert client.rest_api_base_url == "https://airbyte.test/api/public/v1"
    assert client.configuration_api_base_url == "https://airbyte.test/api/v1"
    assert resource.connection_id == "c"


def test_every_setting_reaches_the_client_of_airbyte_cloud(given: Any) -> None:
    given(workspace_id="w", connection_id="c", **CLIENT, **PATIENCE)
    resource = ingestion()
    assert isinstance(resource.workspace, AirbyteCloudWorkspace)
    client = client_in_a_run(resource)
    assert {name: getattr(client, name) for name in {**CLIENT, **PATIENCE}} == {**CLIENT, **PATIENCE}
    assert client.rest_api_base_url == "https://api.airbyte.com/v1"


@pytest.mark.parametrize("kind", [AirbyteWorkspace, AirbyteCloudWorkspace])
def test_the_patient_client_keeps_every_setting_of_a_workspace(kind: type[BaseAirbyteWorkspace]) -> None:
    given: dict[str, Any] = {**CLIENT, **PATIENCE, "workspace_id": "w", "max_items_per_page": 33}
    if kind is AirbyteWorkspace:
        given |= {
            "rest_api_base_url": "http://a/api/public/v1",
            "configuration_api_base_url": "http://a/api/v1",
        }
    plain = kind(**given).get_client()
    patient = RetryingAirbyteClient.like(plain)
    assert set(kind.model_fields) - set(AirbyteClient.model_fields) == set()
    assert dict(patient) == dict(plain)
    assert {name: getattr(patient, name) for name in given} == given


def test_all_that_is_missing_is_told_at_once(given: Any) -> None:
    given()
    with pytest.raises(SettingsError) as caught:
        ingestion()
    for name in ("WORKSPACE_ID", "CONNECTION_ID", "CLIENT_ID", "CLIENT_SECRET"):
        assert f"DVD_RENTAL_AIRBYTE_{name}:" in str(caught.value)


def test_basic_authentication_needs_both_halves_and_an_address(given: Any) -> None:
    given(username="somebody", workspace_id="w", connection_id="c")
    with pytest.raises(SettingsError) as caught:
        ingestion()
    assert "DVD_RENTAL_AIRBYTE_PASSWORD:" in str(caught.value)
    assert "DVD_RENTAL_AIRBYTE_URL:" in str(caught.value)
    assert "CLIENT" not in str(caught.value)


def test_a_secret_is_held_by_reference_alone(given: Any) -> None:
    given(url="https://airbyte.test", workspace_id="w", connection_id="c", **CLIENT)
    resource = ingestion()
    shown = f"{resource!r} {resource.workspace!r} {resource.workspace._convert_to_config_dictionary()}"
    assert "planted-secret" not in shown
    assert "DVD_RENTAL_AIRBYTE_CLIENT_SECRET" in shown


def test_a_url_with_credentials_in_it_is_refused(given: Any) -> None:
    given(url="https://user:planted-secret@airbyte.test")
    with pytest.raises(SettingsError, match="DVD_RENTAL_AIRBYTE_URL") as caught:
        Settings.load(Path("/nonexistent"))
    assert "planted-secret" not in str(caught.value)


def test_a_branch_reads_production_s_tables_and_syncs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVD_RENTAL_DEPLOYMENT", "branch")
    assert isinstance(ingestion(), ObservedIngestion)
