"""An Airbyte, the settings for it, and a clock for waiting."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline_tests.ingestion.airbyte.fake_clock import FakeClock
from dvd_rental_pipeline_tests.stand_ins.airbyte.server import AirbyteStandIn

SOURCE_URL = "postgresql://airbyte_reader:planted-password@db.test:5433/dvdrental?sslmode=require"
KEY = "-----BEGIN PRIVATE KEY-----\nplanted-key\n-----END PRIVATE KEY-----\n"


@pytest.fixture
def airbyte() -> Iterator[AirbyteStandIn]:
    with AirbyteStandIn().running() as stand_in:
        yield stand_in


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """The clock of syncs and of their requests. The stand-in keeps the real one."""
    clock = FakeClock()
    for module in ("resource", "transport"):
        monkeypatch.setattr(f"dvd_rental_pipeline.ingestion.airbyte.{module}.time", clock)
    return clock


@pytest.fixture
def key_path(tmp_path: Path) -> Path:
    path = tmp_path / "loader.p8"
    path.write_text(KEY)
    return path


@pytest.fixture
def environment_of(airbyte: AirbyteStandIn, key_path: Path) -> dict[str, str]:
    return {
        "DVD_RENTAL_DEPLOYMENT": "production",
        "DVD_RENTAL_SOURCE_URL": SOURCE_URL,
        "DVD_RENTAL_AIRBYTE_URL": airbyte.url,
        "DVD_RENTAL_AIRBYTE_WORKSPACE_ID": airbyte.workspace.id,
        "DVD_RENTAL_AIRBYTE_CLIENT_ID": "client",
        "DVD_RENTAL_AIRBYTE_CLIENT_SECRET": "client-secret",
        "DVD_RENTAL_AIRBYTE_DESTINATION_HOST": "org-account.snowflakecomputing.com",
        "DVD_RENTAL_AIRBYTE_DESTINATION_KEY_PATH": str(key_path),
    }


@pytest.fixture
def settings_with(environment_of: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that returns complete settings with changes by keyword; None removes a setting."""

    def settings(**changes: str | None) -> Settings:
        for name, value in {
            **environment_of,
            **{f"DVD_RENTAL_{name.upper()}": value for name, value in changes.items()},
        }.items():
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, value)
        return Settings.load(Path("/nonexistent"))

    return settings
