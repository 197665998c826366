"""The rehearsal outside of production; on stand-ins it runs in `end_to_end/test_production.py`."""

from pathlib import Path

from dvd_rental_pipeline.core.settings import PROJECT_ROOT
from dvd_rental_pipeline.doctor.rehearsal import STEPS
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


def test_the_plan_and_the_guide_list_every_step(tmp_path: Path) -> None:
    planned = CommandLine(tmp_path).ok("rehearse", "--plan")
    guide = (PROJECT_ROOT / "docs" / "rehearsal.md").read_text()
    for step in STEPS:
        assert step.name in planned
        assert f"| {step.name}" in guide
