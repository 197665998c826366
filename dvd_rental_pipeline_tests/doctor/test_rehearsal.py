"""The rehearsal outside of production; on stand-ins it runs in `end_to_end/test_production.py`."""

from pathlib import Path

import pytest

from dvd_rental_pipeline.core.settings import PROJECT_ROOT, Settings
from dvd_rental_pipeline.doctor.rehearsal import STEPS, Rehearsal
from dvd_rental_pipeline.pipelines.dvd_rental.pipeline import DVD_RENTAL_PIPELINE
from dvd_rental_pipeline_tests.end_to_end.command_line import CommandLine


def test_a_local_deployment_is_told_what_it_lacks(tmp_path: Path) -> None:
    done = CommandLine(tmp_path).run("rehearse")
    assert done.returncode == 1
    assert "DVD_RENTAL_DEPLOYMENT=production" in done.stderr
    assert "Traceback" not in done.stderr


def test_missing_settings_are_one_message(tmp_path: Path) -> None:
    done = CommandLine(tmp_path).run("rehearse", DVD_RENTAL_DEPLOYMENT="production")
    assert done.returncode == 1
    assert done.stderr.count("DVD_RENTAL_AIRBYTE_WORKSPACE_ID") == 1
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_the_ingestion_is_opened_outside_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It resolves references to the environment, of which it closes what it opened."""
    settings = {
        "DEPLOYMENT": "production",
        "HOME": str(tmp_path),
        "SOURCE_URL": "postgresql://airbyte:secret@db.example/rental",
        "AIRBYTE_WORKSPACE_ID": "workspace",
        "AIRBYTE_CLIENT_ID": "client",
        "AIRBYTE_CLIENT_SECRET": "client-secret",
        "AIRBYTE_CONNECTION_ID": "connection",
        "SNOWFLAKE_ACCOUNT": "organisation-account",
        "SNOWFLAKE_USER": "DVD_RENTAL_TRANSFORMER",
        "SNOWFLAKE_PRIVATE_KEY_PATH": str(tmp_path / "key.p8"),
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"DVD_RENTAL_{name}", value)
    rehearsal = Rehearsal(Settings.load(tmp_path / "none"), DVD_RENTAL_PIPELINE)
    with rehearsal.ingestion() as ingestion:
        assert ingestion.source_url == settings["SOURCE_URL"]


def test_the_plan_and_the_guide_list_every_step(tmp_path: Path) -> None:
    planned = CommandLine(tmp_path).ok("rehearse", "--plan")
    guide = (PROJECT_ROOT / "docs" / "rehearsal.md").read_text()
    for step in STEPS:
        assert step.name in planned
        assert f"| {step.name}" in guide
