"""What tests of the models share: one folder, so that dbt parses the project once and not for each of them."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def dbt_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dbt")


@pytest.fixture
def home(dbt_folder: Path) -> Path:
    """A home without a warehouse, at the same place for every test: where it is, is part of what dbt parses."""
    for path in dbt_folder.iterdir():
        if path.is_file():
            path.unlink()
        elif path.name != "target":
            shutil.rmtree(path)
    return dbt_folder
