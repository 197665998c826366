"""Where the pipeline reads and writes, by deployment."""

from pathlib import Path

import pytest

from dvd_rental_pipeline.core.settings import Deployment, Settings, SettingsError
from dvd_rental_pipeline.pipelines.totesys.lake import build_lake


def test_production_without_a_source_lands_no_sample_data(tmp_path: Path) -> None:
    lake = build_lake(Settings(home=tmp_path, deployment=Deployment.PRODUCTION))
    with (
        pytest.raises(SettingsError, match="needs DVD_RENTAL_TOTESYS_SOURCE_URL"),
        lake.open_source(lambda _: None),
    ):
        pass
    assert list(tmp_path.iterdir()) == [], "no server was started"
