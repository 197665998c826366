"""From the environment to the Airbyte client: every setting arrives, and no secret is shown."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster_airbyte import AirbyteCloudWorkspace, AirbyteWorkspace
from dagster_airbyte.resources import AirbyteClient as DagsterAirbyteClient
from dagster_airbyte.resources import BaseAirbyteWorkspace

from dvd_rental_pipeline.assembly import resources as deployment
from dvd_rental_pipeline.core.settings import Settings, SettingsError
from dvd_rental_pipeline.ingestion.airbyte.client import AirbyteClient, AirbyteUrls
from dvd_rental_pipeline.ingestion.airbyte.resource import AirbyteIngestion, client_from_workspace
from dvd_rental_pipeline.ingestion.observed import ObservedIngestion
from dvd_rental_pipeline.pipelines.dvd_rental.pipeline import DVD_RENTAL_PIPELINE
from dvd_rental_pipeline.warehouse.resource import DuckDBWarehouseResource

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
USER = {"username": "a-user", "password": "planted-secret"}


@pytest.fixture(autouse=True)
def _duckdb_for_snowflake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only Airbyte is under test."""
    monkeypatch.setattr(
        deployment,
        "build_warehouse_resource",
        lambda settings: DuckDBWarehouseResource(path=str(tmp_path / "warehouse.duckdb")),
    )


@pytest.fixture
def set_airbyte(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that sets variables of Airbyte in the environment."""

    def set_variables(**settings: Any) -> None:
        monkeypatch.setenv("DVD_RENTAL_DEPLOYMENT", "production")
        for name, value in settings.items():
            monkeypatch.setenv(f"DVD_RENTAL_AIRBYTE_{name.upper()}", str(value))

    return set_variables


def ingestion() -> Any:
    settings = Settings.load(Path("/nonexistent"))
    settings.export()
    no_dbt: Any = None
    return deployment.resource_factories(settings, no_dbt, [DVD_RENTAL_PIPELINE])["ingestion"]()


def resolve_in_run(resource: AirbyteIngestion) -> tuple[AirbyteClient, BaseAirbyteWorkspace]:
    """The client and the workspace of a step, with every reference to the environment resolved."""
    resolved: list[tuple[AirbyteClient, BaseAirbyteWorkspace]] = []

    @dg.asset
    def step(ingestion: AirbyteIngestion) -> None:
        resolved.append((client_from_workspace(ingestion.workspace), ingestion.workspace))

    assert dg.materialize([step], resources={"ingestion": resource}).success
    return resolved[0]


def settings_in_use(client: AirbyteClient, workspace: BaseAirbyteWorkspace) -> dict[str, Any]:
    """The settings that a sync uses, from the client or the workspace, by their names in dagster-airbyte."""
    login = client.transport.login
    assert login is not None
    return {
        **vars(login),
        "request_timeout": client.transport.timeout,
        "request_max_retries": client.transport.retries.max_retries,
        "request_retry_delay": client.transport.retries.delay,
        "poll_interval": workspace.poll_interval,
        "poll_timeout": workspace.poll_timeout,
        "cancel_on_termination": workspace.cancel_on_termination,
        "workspace_id": client.workspace_id,
        "max_items_per_page": client.page_size,
    }


@pytest.mark.parametrize("credentials", [CLIENT, USER])
def test_every_setting_reaches_the_client_of_a_self_managed_airbyte(
    set_airbyte: Any, credentials: dict[str, str]
) -> None:
    set_airbyte(url="https://airbyte.test/", workspace_id="w", connection_id="c", **credentials, **PATIENCE)
    resource = ingestion()
    client, workspace = resolve_in_run(resource)
    expected = {**credentials, **PATIENCE, "workspace_id": "w"}
    in_use = settings_in_use(client, workspace)
    assert {name: in_use[name] for name in expected} == expected
    assert client.urls == AirbyteUrls(
        "https://airbyte.test/api/public/v1", "https://airbyte.test/api/v1", "https://airbyte.test"
    )
    assert resource.connection_id == "c"


def test_every_setting_reaches_the_client_of_airbyte_cloud(set_airbyte: Any) -> None:
    set_airbyte(workspace_id="w", connection_id="c", **CLIENT, **PATIENCE)
    resource = ingestion()
    assert isinstance(resource.workspace, AirbyteCloudWorkspace)
    client, workspace = resolve_in_run(resource)
    expected = {**CLIENT, **PATIENCE}
    in_use = settings_in_use(client, workspace)
    assert {name: in_use[name] for name in expected} == expected
    assert client.urls == AirbyteUrls(
        "https://api.airbyte.com/v1", "https://cloud.airbyte.com/api/v1", "https://cloud.airbyte.com"
    )


@pytest.mark.parametrize(
    "settings", [CLIENT, {"url": "https://airbyte.test", **CLIENT}, {"url": "https://airbyte.test/", **USER}]
)
def test_commands_and_runs_log_in_to_the_same_airbyte(set_airbyte: Any, settings: dict[str, str]) -> None:
    set_airbyte(workspace_id="w", connection_id="c", **settings)
    of_run, _ = resolve_in_run(ingestion())
    of_command = AirbyteClient.from_settings(Settings.load(Path("/nonexistent")))
    assert of_command.urls == of_run.urls
    assert of_command.workspace_id == of_run.workspace_id
    assert of_command.transport.login == of_run.transport.login


@pytest.mark.parametrize("kind", [AirbyteWorkspace, AirbyteCloudWorkspace])
def test_the_client_keeps_every_setting_of_a_workspace(kind: type[BaseAirbyteWorkspace]) -> None:
    fields: dict[str, Any] = {**CLIENT, **PATIENCE, "workspace_id": "w", "max_items_per_page": 33}
    urls = AirbyteUrls()
    if kind is AirbyteWorkspace:
        fields |= {
            "rest_api_base_url": "http://a/api/public/v1",
            "configuration_api_base_url": "http://a/api/v1",
        }
        urls = AirbyteUrls("http://a/api/public/v1", "http://a/api/v1", "http://a")
    workspace = kind(**fields)
    client = client_from_workspace(workspace)
    # A setting that a new version of dagster-airbyte adds is noticed here.
    assert set(kind.model_fields) - set(DagsterAirbyteClient.model_fields) == set()
    used = settings_in_use(client, workspace)
    unused = {"username", "password", "poll_previous_running_sync"}
    addresses = {"rest_api_base_url", "configuration_api_base_url"}
    assert set(DagsterAirbyteClient.model_fields) == {*used, *unused, *addresses}
    assert {name: fields[name] for name in used} == used
    assert client.urls == urls


def test_all_missing_settings_are_reported_at_once(set_airbyte: Any) -> None:
    set_airbyte()
    with pytest.raises(SettingsError) as caught:
        ingestion()
    for name in ("WORKSPACE_ID", "CONNECTION_ID", "CLIENT_ID", "CLIENT_SECRET"):
        assert f"DVD_RENTAL_AIRBYTE_{name}:" in str(caught.value)


def test_basic_authentication_needs_user_password_and_url(set_airbyte: Any) -> None:
    set_airbyte(username="a-user", workspace_id="w", connection_id="c")
    with pytest.raises(SettingsError) as caught:
        ingestion()
    assert "DVD_RENTAL_AIRBYTE_PASSWORD:" in str(caught.value)
    assert "DVD_RENTAL_AIRBYTE_URL:" in str(caught.value)
    assert "CLIENT" not in str(caught.value)


def test_the_resource_contains_secrets_by_reference_only(set_airbyte: Any) -> None:
    set_airbyte(url="https://airbyte.test", workspace_id="w", connection_id="c", **CLIENT)
    resource = ingestion()
    shown = f"{resource!r} {resource.workspace!r} {resource.workspace._convert_to_config_dictionary()}"
    assert "planted-secret" not in shown
    assert "DVD_RENTAL_AIRBYTE_CLIENT_SECRET" in shown


@pytest.mark.parametrize("credentials", [CLIENT, USER])
def test_no_secret_is_in_the_repr_of_a_login(set_airbyte: Any, credentials: dict[str, str]) -> None:
    set_airbyte(url="https://airbyte.test", workspace_id="w", **credentials)
    client = AirbyteClient.from_settings(Settings.load(Path("/nonexistent")))
    assert "planted-secret" not in repr(client.transport.login)


def test_a_url_with_credentials_is_refused(set_airbyte: Any) -> None:
    set_airbyte(url="https://user:planted-secret@airbyte.test")
    with pytest.raises(SettingsError, match="DVD_RENTAL_AIRBYTE_URL") as caught:
        Settings.load(Path("/nonexistent"))
    assert "planted-secret" not in str(caught.value)


def test_a_branch_reads_the_tables_of_production_and_syncs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVD_RENTAL_DEPLOYMENT", "branch")
    assert isinstance(ingestion(), ObservedIngestion)
