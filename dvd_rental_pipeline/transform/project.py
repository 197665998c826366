"""The dbt project and the program that runs it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

from dagster import InitResourceContext
from dagster_dbt import DbtCliInvocation, DbtCliResource, DbtProject
from filelock import FileLock
from packaging.version import Version
from pydantic import PrivateAttr

from dvd_rental_pipeline.core.errors import PipelineError, UnwritableFolderError
from dvd_rental_pipeline.core.settings import DBT_PROJECT_DIR, Deployment, Settings
from dvd_rental_pipeline.transform.dbt_output import end


class DbtProjectError(PipelineError):
    """dbt cannot read its project."""


def load_dbt_project(settings: Settings) -> DbtProject:
    """The dbt project, with a manifest that is as new as the files it is made of.

    dagster-dbt's own preparation parses again in every run worker; this one only when a file has changed.

    Raises:
        DbtProjectError: dbt cannot parse the project; its own words are in the message.
        UnwritableFolderError: the manifest cannot be written.
    """
    settings.export()
    project = DbtProject(
        project_dir=DBT_PROJECT_DIR,
        target_path=settings.dbt_target_dir,
        profiles_dir=DBT_PROJECT_DIR,
        target=settings.deployment.value,
    )
    if _manifest_is_stale(project):
        try:
            settings.dbt_target_dir.mkdir(parents=True, exist_ok=True)
            with FileLock(settings.dbt_target_dir / "parse.lock"):
                # Whoever had the lock may have parsed it already.
                if _manifest_is_stale(project):
                    _parse(project)
        except OSError as error:
            raise UnwritableFolderError(settings.dbt_target_dir, error) from error
    return project


class InstalledDbt(DbtCliResource):
    """dagster-dbt's resource for the dbt that is installed beside it."""

    _started: list[DbtCliInvocation] = PrivateAttr(default_factory=list)

    @property
    def _cli_version(self) -> Version:
        """The version of the installed package: to ask the program itself takes three seconds of each run."""
        return Version(version("dbt-core"))

    def cli(self, args: Sequence[str], **options: Any) -> DbtCliInvocation:
        """Start dbt; it writes the run's id into the tags of its statements."""
        if (context := options.get("context")) is not None:
            os.environ["DAGSTER_DBT_RUN_ID"] = context.run.run_id
        invocation = super().cli(args, **options)
        self._started.append(invocation)
        return invocation

    @contextmanager
    def yield_for_execution(self, context: InitResourceContext) -> Iterator[Self]:
        """Whatever ends the step, no dbt outlives it: an interrupt may come while Dagster stores an event."""
        try:
            with super().yield_for_execution(context) as resource:
                yield resource
        finally:
            for invocation in self._started:
                end(invocation)

    def _initialize_dbt_core_adapter(self, args: Sequence[str]) -> None:  # type: ignore[override]
        """No adapter in this process: only `fetch_row_counts` and its like need one.

        They query from threads, among which an interrupt ends in a deadlock; and making the adapter takes
        seconds and swallows interrupts meanwhile.
        """


def build_dbt_resource(project: DbtProject) -> DbtCliResource:
    """dagster-dbt's resource for `project`."""
    return InstalledDbt(project_dir=project, dbt_executable=_dbt_executable(project))  # type: ignore[arg-type]


def _dbt_executable(project: DbtProject) -> str:
    """The dbt of this very environment, which need not be on PATH; for Snowflake, the one with time limits."""
    name = "dbt" if project.target == Deployment.LOCAL else "dvd-rental-dbt"
    return shutil.which(name, path=str(Path(sys.executable).parent)) or name


def _manifest_is_stale(project: DbtProject) -> bool:
    manifest = project.manifest_path
    if not manifest.exists():
        return True
    made = manifest.stat().st_mtime
    return any(
        Path(folder, name).stat().st_mtime > made
        for folder, _, names in os.walk(project.project_dir)
        for name in names
        if name.endswith((".sql", ".yml", ".csv", ".md"))
    )


def _parse(project: DbtProject) -> None:
    # Named as dagster-dbt names them when it builds: other names would make dbt parse anew each time.
    command = [_dbt_executable(project), "parse", "--quiet", "--target", project.target or ""]
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
        raise DbtProjectError(f"There is no program {command[0]}: install the project again.") from None
    if parsed.returncode != 0:
        # What dbt says comes before the traceback of a failure that it did not expect.
        told, _, _ = (parsed.stdout + parsed.stderr).partition("Traceback")
        raise DbtProjectError(f"dbt cannot parse the project in {project.project_dir}:\n{told.strip()}")


if __name__ == "__main__":
    # While an image is built: parsing needs no credentials, and the server starts sooner.
    load_dbt_project(Settings.load())
