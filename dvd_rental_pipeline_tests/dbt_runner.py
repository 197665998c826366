"""dbt in the process of the tests, which saves its import, and with a parsed project its parse."""

import contextlib
import gc
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.adapters.factory import reset_adapters
from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import Manifest

from dvd_rental_pipeline.core.settings import DBT_PROJECT_DIR


@dataclass(frozen=True)
class Completed:
    """The end of a dbt command."""

    succeeded: bool
    stdout: str


def run_dbt(
    *arguments: str,
    target_path: Path,
    environment: Mapping[str, str],
    manifest: Manifest | None = None,
    project_dir: Path = DBT_PROJECT_DIR,
) -> Completed:
    """Run a dbt command in this process; without `manifest`, dbt parses the project in `project_dir`.

    The environment is that of this process, changed by `environment`. dbt changes the manifest.
    """
    variables = {
        "DBT_PROFILES_DIR": str(project_dir),
        "DBT_TARGET_PATH": str(target_path),
        "DBT_LOG_PATH": str(target_path),
        "DBT_LOG_LEVEL_FILE": "none",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "NO_COLOR": "1",
        **environment,
    }
    printed = io.StringIO()
    reset_adapters()
    with (
        mock.patch.dict(os.environ, variables),
        contextlib.chdir(project_dir),
        contextlib.redirect_stdout(printed),
    ):
        done = dbtRunner(manifest).invoke(list(arguments))
    reset_adapters()
    # dbt-duckdb keeps its environment until the process ends, and with it a connection that holds the file.
    DuckDBConnectionManager.close_all_connections()
    gc.collect()
    if done.exception is not None:
        printed.write(f"\n{done.exception}")
    return Completed(done.success, printed.getvalue())
