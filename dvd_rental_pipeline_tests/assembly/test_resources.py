"""Every setting reaches the resource that it is for: each differs from its default."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from dvd_rental_pipeline.assembly.resources import resource_factories
from dvd_rental_pipeline.automation.alerts import ConsoleAlerts, SnsAlerts
from dvd_rental_pipeline.core.settings import Deployment, Settings, SettingsError
from dvd_rental_pipeline.ingestion.embedded import EmbeddedIngestion
from dvd_rental_pipeline.ingestion.unavailable import UnavailableIngestion
from dvd_rental_pipeline.pipelines.registry import PIPELINES
from dvd_rental_pipeline.publishing.s3_site import S3Site
from dvd_rental_pipeline.publishing.site import FolderSite

URL = "postgresql://reader@db.example/rental"


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    with mock.patch.dict(os.environ, {"DVD_RENTAL_SOURCE_URL": URL}):
        yield


def make(settings: Settings, key: str) -> Any:
    # The dbt project is read by no resource but dbt.
    return resource_factories(settings, mock.sentinel.project, PIPELINES)[key]()


def test_the_embedded_ingestion(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, replication_slot="another_slot", source_port=6543, source_url=URL)
    ingestion = make(settings, "ingestion")
    assert isinstance(ingestion, EmbeddedIngestion)
    assert ingestion.slot == "another_slot"
    assert ingestion.source_port == 6543
    assert ingestion.postgres_dir == str(tmp_path / "postgres")
    assert ingestion.warehouse_path == str(tmp_path / "warehouse.duckdb")
    assert ingestion.process_config_and_initialize().source_url == URL


def test_the_warehouse(tmp_path: Path) -> None:
    assert make(Settings(home=tmp_path), "warehouse").path == str(tmp_path / "warehouse.duckdb")


def test_alerts_link_to_the_ui(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, dagster_url="https://dagster.example")
    console = make(settings, "alerts")
    assert isinstance(console, ConsoleAlerts)
    assert console.dagster_url == "https://dagster.example"
    topic = "arn:aws:sns:eu-west-1:123456789012:alerts"
    sns = make(settings.model_copy(update={"alerts_topic": topic}), "alerts")
    assert isinstance(sns, SnsAlerts)
    assert (sns.topic, sns.dagster_url) == (topic, "https://dagster.example")


def test_the_history_of_metrics(tmp_path: Path) -> None:
    assert make(Settings(home=tmp_path), "metric_history").location is None
    bucket = Settings(home=tmp_path, metric_history="s3://processed/_metric_history")
    assert make(bucket, "metric_history").location == "s3://processed/_metric_history"


def test_the_site(tmp_path: Path) -> None:
    folder = make(Settings(home=tmp_path), "site")
    assert isinstance(folder, FolderSite)
    assert folder.path == str(tmp_path / "site")
    bucket = make(Settings(home=tmp_path, site_bucket="pages", site_url="https://pages.example"), "site")
    assert isinstance(bucket, S3Site)
    assert (bucket.bucket, bucket.url) == ("pages", "https://pages.example")


def test_a_pipeline_without_its_settings_leaves_the_others_alone(tmp_path: Path) -> None:
    production = Settings(
        home=tmp_path,
        deployment=Deployment.PRODUCTION,
        airbyte_client_id="client",
        airbyte_client_secret="secret",  # type: ignore[arg-type]
        airbyte_workspace_id="workspace",
    )
    ingestion = make(production, "signups_ingestion")
    assert isinstance(ingestion, UnavailableIngestion)
    assert "DVD_RENTAL_SIGNUPS_AIRBYTE_CONNECTION_ID" in ingestion.reason
    with pytest.raises(SettingsError, match="DVD_RENTAL_AIRBYTE_CONNECTION_ID"):
        make(production, "ingestion")
