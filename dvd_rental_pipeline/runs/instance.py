"""The Dagster instance of the command line, and the runs in it whose process has died."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import psutil

from dvd_rental_pipeline.core.errors import UnwritableFolderError
from dvd_rental_pipeline.core.run_tags import PROCESS
from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.runs.history import RunHistory


@contextmanager
def open_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """The Dagster instance of DAGSTER_HOME, or the one in the home folder.

    Runs whose process has died are marked as failed, so that they do not count as running for ever.

    Raises:
        PipelineError: the folder cannot be written.
    """
    if settings.dagster_home is not None:
        instance = dg.DagsterInstance.get()
    else:
        try:
            settings.dagster_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UnwritableFolderError(settings.dagster_dir, error) from error
        instance = dg.DagsterInstance.local_temp(
            str(settings.dagster_dir),
            overrides={
                "telemetry": {"enabled": False},
                "storage": {
                    "custom": {
                        "module": RunHistory.__module__,
                        "class": RunHistory.__name__,
                        "config": {"base_dir": str(settings.dagster_dir)},
                    }
                },
            },
        )
    with instance:
        _fail_dead_runs(instance)
        yield instance


def process_tag() -> str:
    """The value of `PROCESS` for this process."""
    process = psutil.Process()
    return f"{process.pid}@{process.create_time()}"


def _fail_dead_runs(instance: dg.DagsterInstance) -> None:
    unfinished = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
    for run in instance.get_runs(dg.RunsFilter(statuses=unfinished)):
        process = run.tags.get(PROCESS)
        if process is not None and not _is_alive(process):
            instance.report_run_failed(run, "The process of this run has died.")


def _is_alive(tag: str) -> bool:
    """Process ids are reused; together with the start time they are unique."""
    pid, _, created = tag.partition("@")
    try:
        return str(psutil.Process(int(pid)).create_time()) == created
    except psutil.NoSuchProcess:
        return False
