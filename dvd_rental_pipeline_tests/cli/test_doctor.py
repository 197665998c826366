"""How the doctor shows its diagnoses, and when it fails."""

import pytest
from typer.testing import CliRunner

from dvd_rental_pipeline.cli.main import app
from dvd_rental_pipeline.doctor import examination
from dvd_rental_pipeline.doctor.diagnosis import Diagnosis, Health

GOOD = Diagnosis(Health.GOOD, "settings", "valid")
NOTE = Diagnosis(Health.NOTE, "warehouse", "is in use", "wait")
BAD = Diagnosis(Health.BAD, "slot", "is [lost]", "run a full refresh")


@pytest.mark.parametrize(
    ("diagnoses", "exit_code"), [([GOOD], 0), ([GOOD, NOTE], 0), ([GOOD, BAD], 1)], ids=["good", "note", "bad"]
)
def test_only_a_bad_diagnosis_fails(
    monkeypatch: pytest.MonkeyPatch, diagnoses: list[Diagnosis], exit_code: int
) -> None:
    monkeypatch.setattr(examination, "examine", lambda: diagnoses)
    assert CliRunner().invoke(app, ["doctor"]).exit_code == exit_code


def test_each_diagnosis_has_a_mark_and_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examination, "examine", lambda: [GOOD, NOTE, BAD])
    lines = [line.split() for line in CliRunner().invoke(app, ["doctor"]).stdout.splitlines()]
    assert lines == [
        ["ok", "settings", "valid"],
        ["note", "warehouse", "is", "in", "use"],
        ["→", "wait"],
        ["fix", "slot", "is", "[lost]"],
        ["→", "run", "a", "full", "refresh"],
    ]
