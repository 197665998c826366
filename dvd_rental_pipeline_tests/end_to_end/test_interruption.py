"""Ctrl-C at any moment of a run: one message, nothing half applied, and the next run works."""

import signal
import subprocess
import time

import pytest

from dvd_rental_pipeline_tests.end_to_end.command_line import CommandLine

pytestmark = pytest.mark.slow

MOMENTS = {
    "while the graph loads": "dbt/*/parse.lock",
    "while the source is replicated": "warehouse.duckdb",
    "while dbt builds": "dbt/*/*/run",
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_can_be_interrupted_at_any_moment(dvd_rental: CommandLine, moment: str) -> None:
    home = dvd_rental.home
    process = subprocess.Popen(
        dvd_rental.command("run"), env=dvd_rental.environment(), stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not any(home.glob(MOMENTS[moment])):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, f"no file {MOMENTS[moment]} appeared"
        time.sleep(0.05)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, messages = process.communicate(timeout=60)
    assert process.returncode == 130, messages
    assert "Interrupted" in messages
    assert "Traceback" not in messages


def test_the_next_run_works(dvd_rental: CommandLine) -> None:
    dvd_rental.ok("run")
    (row,) = dvd_rental.json("query", "select sum(rentals) as rentals from reports.genre_performance")
    assert row["rentals"] > 10_000
