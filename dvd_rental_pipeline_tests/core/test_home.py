"""A run does not start without the free disk space it needs."""

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.home import MIN_FREE_BYTES, require_free_space

Usage = namedtuple("Usage", ["total", "used", "free"])


def test_a_full_disk_is_refused_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, MIN_FREE_BYTES - 1))
    with pytest.raises(PipelineError, match="DVD_RENTAL_HOME"):
        require_free_space(tmp_path)


def test_with_enough_space_the_folder_is_created(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, MIN_FREE_BYTES))
    require_free_space(tmp_path / "deep" / "home")
    assert (tmp_path / "deep" / "home").is_dir()
