"""The dbt project: its manifest, and the program that reads it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from dagster_dbt import DbtProject
from filelock import FileLock

from dvd_rental_pipeline.core.errors import PipelineError, UnwritableFolderError
from dvd_rental_pipeline.core.settings import DBT_PROJECT_DIR, Deployment, Settings

INPUT_FILES = ("dbt_project.yml", "profiles.yml")
INPUT_FOLDERS = ("models", "snapshots", "macros", "tests")
INPUT_SUFFIXES = (".sql", ".yml", ".md")


class DbtProjectError(PipelineError):
    """dbt cannot read its project."""


def load_dbt_project(settings: Settings) -> DbtProject:
    """The dbt project, with a manifest that is as new as the project's files.

    dagster-dbt's own preparation parses in every run worker; this one only after a file has changed.

    Raises:
        DbtProjectError: dbt cannot parse the project; the message contains dbt's.
        UnwritableFolderError: the manifest cannot be written.
    """
    settings.export()
    project = DbtProject(
        project_dir=DBT_PROJECT_DIR,
        target_path=settings.dbt_target_dir,
        profiles_dir=DBT_PROJECT_DIR,
        target=settings.dbt_target,
    )
    if _manifest_is_stale(project):
        try:
            settings.dbt_target_dir.mkdir(parents=True, exist_ok=True)
            with FileLock(settings.dbt_target_dir / "parse.lock"):
                # The previous holder of the lock may have parsed it.
                if _manifest_is_stale(project):
                    _parse(project)
        except OSError as error:
            raise UnwritableFolderError(settings.dbt_target_dir, error) from error
    return project


def dbt_executable(project: DbtProject) -> str:
    """The dbt of this environment, which need not be on PATH; for Snowflake, `dvd-rental-dbt`."""
    name = "dvd-rental-dbt" if project.target in (Deployment.BRANCH, Deployment.PRODUCTION) else "dbt"
    return shutil.which(name, path=str(Path(sys.executable).parent)) or name


def is_input(project_dir: Path, path: Path) -> bool:
    """Whether dbt reads the file `path` of the project."""
    parts = path.relative_to(project_dir).parts
    return parts in {(name,) for name in INPUT_FILES} or (
        parts[0] in INPUT_FOLDERS and path.suffix in INPUT_SUFFIXES
    )


def _manifest_is_stale(project: DbtProject) -> bool:
    manifest = project.manifest_path
    if not manifest.exists():
        return True
    made = manifest.stat().st_mtime
    return any(path.stat().st_mtime > made for path in _inputs(project.project_dir))


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


def _parse(project: DbtProject) -> None:
    # The names that dagster-dbt uses: with others, dbt would parse the project from scratch each time.
    command = [dbt_executable(project), "parse", "--quiet", "--target", project.target or ""]
    environment = {
        **os.environ,
        "DBT_PROJECT_DIR": str(project.project_dir),
        "DBT_PROFILES_DIR": str(project.profiles_dir),
        "DBT_LOG_PATH": str(project.target_path),
    }
    try:
        parsed = subprocess.run(
            command, cwd=project.project_dir, env=environment, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise DbtProjectError(f"The program {command[0]} does not exist: install the project again.") from None
    if parsed.returncode != 0:
        # After an unexpected error, dbt's message is followed by a traceback.
        message, _, _ = (parsed.stdout + parsed.stderr).partition("Traceback")
        raise DbtProjectError(f"dbt cannot parse the project in {project.project_dir}:\n{message.strip()}")


if __name__ == "__main__":
    # While an image is built: parsing needs no credentials, and the code server starts faster.
    load_dbt_project(Settings.load())
