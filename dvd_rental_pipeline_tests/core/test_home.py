"""A run that the disk cannot hold does not begin."""

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.home import ROOM_FOR_A_RUN, require_room

Usage = namedtuple("Usage", ["total", "used", "free"])


def test_a_full_disk_is_told_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, ROOM_FOR_A_RUN - 1))
    with pytest.raises(PipelineError, match="DVD_RENTAL_HOME"):
        require_room(tmp_path)


def test_with_room_the_folder_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, ROOM_FOR_A_RUN))
    require_room(tmp_path / "deep" / "home")
    assert (tmp_path / "deep" / "home").is_dir()
