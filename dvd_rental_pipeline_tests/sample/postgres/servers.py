"""What tests of the embedded server use: servers, processes that hold leases, and queries."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg

from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres

GRACE = 0.5
PROJECT = Path(__file__).resolve().parents[3]

# Prints the URL, and holds the lease until standard input is closed.
LEASE_PROGRAM = """
import sys
from pathlib import Path
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres
try:
    with EmbeddedPostgres(Path(sys.argv[1]), grace_seconds=float(sys.argv[2])).lease() as url:
        print(url, flush=True)
        sys.stdin.read()
except PipelineError as error:
    sys.exit(f"PipelineError: {error}")
"""


def server_in(folder: Path, port: int | None = None) -> EmbeddedPostgres:
    return EmbeddedPostgres(folder, port=port, grace_seconds=GRACE)


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(0.02)


def has_ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def running_pid(server: EmbeddedPostgres) -> int:
    pid = server.status().pid
    assert pid is not None
    return pid


def watchdog_pid(server: EmbeddedPostgres) -> int:
    return psutil.Process(running_pid(server)).ppid()


def create_film_table(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("create table film ()")


def query(url: str, statement: str) -> object:
    with psycopg.connect(url, connect_timeout=10) as connection:
        row = connection.execute(statement).fetchone()
    assert row is not None
    return row[0]


def start_lease_process(
    data_dir: Path, before: tuple[str, ...] = (), grace: float = GRACE, **options: object
) -> subprocess.Popen[str]:
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
        [*before, sys.executable, "-c", LEASE_PROGRAM, str(data_dir), str(grace)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        **options,
    )


@contextlib.contextmanager
def lease_in_another_process(
    data_dir: Path, before: tuple[str, ...] = ()
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Yield another process that holds a lease, and the URL it got."""
    with start_lease_process(data_dir, before) as holder:
        try:
            assert holder.stdout is not None
            url = holder.stdout.readline().strip()
            if not url:
                raise AssertionError(holder.communicate()[1])
            yield holder, url
        finally:
            holder.kill()
