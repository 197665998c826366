"""The manifest of the dbt project: parsed again only after a file of the project has changed.

Imports neither Dagster nor dbt, so that a command can parse in a second process while it imports them.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from dvd_rental_pipeline.core.errors import PipelineError, UnwritableFolderError
from dvd_rental_pipeline.core.settings import DBT_PROJECT_DIR, Settings

INPUT_FILES = ("dbt_project.yml", "profiles.yml")
INPUT_FOLDERS = ("models", "snapshots", "macros", "tests")
INPUT_SUFFIXES = (".sql", ".yml", ".md")


class DbtProjectError(PipelineError):
    """dbt cannot read its project."""


def update_manifest(settings: Settings) -> Path:
    """Parse the dbt project if its manifest is older than its files; returns the path of the manifest.

    dagster-dbt's own preparation parses in every run worker.

    Raises:
        DbtProjectError: dbt cannot parse the project; the message contains dbt's.
        UnwritableFolderError: the manifest cannot be written.
    """
    settings.export()
    manifest = settings.dbt_target_dir / "manifest.json"
    if is_stale(manifest, DBT_PROJECT_DIR):
        try:
            settings.dbt_target_dir.mkdir(parents=True, exist_ok=True)
            with FileLock(settings.dbt_target_dir / "parse.lock"):
                # The previous holder of the lock may have parsed it.
                if is_stale(manifest, DBT_PROJECT_DIR):
                    _parse(settings)
        except OSError as error:
            raise UnwritableFolderError(settings.dbt_target_dir, error) from error
    return manifest


def dbt_executable() -> str:
    """The program `dvd-rental-dbt` of this environment, which need not be on PATH."""
    name = "dvd-rental-dbt"
    return shutil.which(name, path=str(Path(sys.executable).parent)) or name


def is_input(path: Path) -> bool:
    """Whether dbt reads the file `path` of the project."""
    parts = path.relative_to(DBT_PROJECT_DIR).parts
    return parts in {(name,) for name in INPUT_FILES} or (
        parts[0] in INPUT_FOLDERS and path.suffix in INPUT_SUFFIXES
    )


def is_stale(manifest: Path, project_dir: Path) -> bool:
    """Whether a file of the project in `project_dir` was saved after `manifest` was made, or there is none."""
    if not manifest.exists():
        return True
    made = manifest.stat().st_mtime
    return any(path.stat().st_mtime > made for path in _inputs(project_dir))


def _inputs(project_dir: Path) -> Iterator[Path]:
    """The files that dbt reads, and their folders, which change when a file is added or deleted.

    Not what dbt, people and editors leave beside them, such as `target/` or a link that marks an open file.
    """
    yield from (project_dir / name for name in INPUT_FILES)
    for top in INPUT_FOLDERS:
        for folder, _, names in os.walk(project_dir / top):
            yield Path(folder)
            files = (Path(folder, name) for name in names if name.endswith(INPUT_SUFFIXES))
            yield from (file for file in files if file.is_file())


def _parse(settings: Settings) -> None:
    # The names that dagster-dbt uses: with others, dbt would parse the project from scratch each time.
    command = [dbt_executable(), "parse", "--quiet", "--target", settings.dbt_target]
    environment = {
        **os.environ,
        "DBT_PROJECT_DIR": str(DBT_PROJECT_DIR),
        "DBT_PROFILES_DIR": str(DBT_PROJECT_DIR),
        "DBT_LOG_PATH": str(settings.dbt_target_dir),
    }
    try:
        parsed = subprocess.run(
            command, cwd=DBT_PROJECT_DIR, env=environment, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise DbtProjectError(f"The program {command[0]} does not exist: install the project again.") from None
    if parsed.returncode != 0:
        # After an unexpected error, dbt's message is followed by a traceback.
        message, _, _ = (parsed.stdout + parsed.stderr).partition("Traceback")
        raise DbtProjectError(f"dbt cannot parse the project in {DBT_PROJECT_DIR}:\n{message.strip()}")


if __name__ == "__main__":
    # While an image is built: parsing needs no credentials, and the code server starts faster.
    update_manifest(Settings.load())
