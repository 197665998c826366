"""How pytest runs the tests of this project."""

import gc
import os
import signal
from pathlib import Path

import pytest

from dvd_rental_pipeline_tests.session_folder import session_folder


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--postgres",
        type=Path,
        metavar="FOLDER",
        help="run every test on the PostgreSQL whose programs are in FOLDER, not on that of the wheel",
    )


def pytest_configure(config: pytest.Config) -> None:
    session_folder()
    # With xdist the workers run the tests, and start when this process has imported its plugins.
    if "PYTEST_XDIST_WORKER" in os.environ or not config.getoption("numprocesses", None):
        config.pluginmanager.import_plugin("dvd_rental_pipeline_tests.fixtures")
    # Dagster and dbt stay in memory: to look for garbage among them as often as Python does by default takes a
    # tenth of the time.
    gc.set_threshold(50_000)
    # The commands under test are started hundreds of times: let Python cache their bytecode.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    # A shell starts background processes with SIGINT ignored, which the commands under test would inherit.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    # What has been imported by now is never garbage.
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    # DuckDB prints what it takes for leaks if Python ends without freeing it.
    gc.unfreeze()
