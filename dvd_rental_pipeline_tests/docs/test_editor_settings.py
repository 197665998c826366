"""The development container and the settings of VS Code: valid JSON with comments, naming what exists."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from dvd_rental_pipeline.core.settings import PROJECT_ROOT

DEV_CONTAINER = PROJECT_ROOT / ".devcontainer" / "devcontainer.json"
VSCODE = PROJECT_ROOT / ".vscode"
FILES = [DEV_CONTAINER, *sorted(VSCODE.glob("*.json"))]


def read(path: Path) -> Any:
    """The value of a JSON file whose comments have lines of their own."""
    return json.loads(re.sub(r"^\s*//.*$", "", path.read_text(), flags=re.MULTILINE))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_file_parses(path: Path) -> None:
    assert isinstance(read(path), dict)


def test_the_container_installs_with_a_make_target_that_exists() -> None:
    program, target = read(DEV_CONTAINER)["postCreateCommand"].split()
    assert program == "make"
    assert re.search(rf"^{target}:", (PROJECT_ROOT / "Makefile").read_text(), flags=re.MULTILINE)


def test_container_and_workspace_recommend_the_same_extensions() -> None:
    container = read(DEV_CONTAINER)["customizations"]["vscode"]["extensions"]
    assert container == read(VSCODE / "extensions.json")["recommendations"]


def test_the_settings_name_the_dbt_project_and_its_profile() -> None:
    settings = read(VSCODE / "settings.json")
    (folder,) = settings["dbt.allowListFolders"]
    assert (PROJECT_ROOT / folder / "dbt_project.yml").exists()
    profiles = Path(settings["dbt.profilesDirOverride"].replace("${workspaceFolder}", str(PROJECT_ROOT)))
    profile = yaml.safe_load((PROJECT_ROOT / folder / "dbt_project.yml").read_text())["profile"]
    assert profile in yaml.safe_load((profiles / "profiles.yml").read_text())
    assert [path for path in settings["python.testing.pytestArgs"] if not (PROJECT_ROOT / path).is_dir()] == []
