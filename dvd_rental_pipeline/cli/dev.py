"""`dvd-rental dev`: the Dagster UI and its daemon, on the home folder of the other commands."""

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer
import yaml

from dvd_rental_pipeline.core.errors import PipelineError, UnwritableFolderError
from dvd_rental_pipeline.core.settings import PROJECT_ROOT, Settings
from dvd_rental_pipeline.pipelines.registry import require_settings

# Dagster recommends another command of its own, which needs a package more.
_IGNORED_WARNING = "ignore:Function `dev_command` is superseded:FutureWarning"


def dev(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 3000,
) -> None:
    """Start the Dagster UI: the graph, its checks, and the runs of the command line."""
    settings = Settings.load()
    require_settings(settings)
    program = shutil.which("dagster", path=str(Path(sys.executable).parent))
    if program is None:
        raise PipelineError("The program dagster does not exist beside this one: install the project again.")
    folder = settings.dagster_home or write_instance(settings)
    settings.export()
    os.environ["DAGSTER_HOME"] = str(folder.absolute())
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, [os.environ.get("PYTHONWARNINGS"), _IGNORED_WARNING]))
    workspace = str(PROJECT_ROOT / "workspace.yaml")
    # Dagster warns of a dagster.yaml in the working directory that it does not use.
    os.chdir(folder)
    os.execv(program, [program, "dev", "-w", workspace, "--host", host, "--port", str(port)])  # noqa: S606


def write_instance(settings: Settings) -> Path:
    """Write the instance's configuration: the project's `dagster.yaml`, on the home folder. Returns its folder.

    Raises:
        PipelineError: the folder cannot be written.
    """
    configuration = yaml.safe_load((PROJECT_ROOT / "dagster.yaml").read_text(encoding="utf-8"))
    base = settings.dagster_dir.absolute()
    configuration["storage"]["custom"]["config"]["base_dir"] = str(base)
    configuration["compute_logs"]["config"]["base_dir"] = str(base / "storage")
    configuration["local_artifact_storage"]["config"]["base_dir"] = str(base)
    folder = base / "instance"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "dagster.yaml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
    except OSError as error:
        raise UnwritableFolderError(folder, error) from error
    return folder
