"""A running `dagster dev` or `dvd-rental dev`, over the home of a command line."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import requests
from dagster_graphql import DagsterGraphQLClient

from dvd_rental_pipeline.core.settings import PROJECT_ROOT


@contextmanager
def running_dev_server(
    command: Sequence[str], environment: Mapping[str, str], log: Path
) -> Iterator[DagsterGraphQLClient]:
    """Run `command` with the option for a free port, and yield a client once the server answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    process = subprocess.Popen(
        [*command, "--port", str(port)],
        cwd=PROJECT_ROOT,
        env=dict(environment),
        stdout=log.open("wb"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 300
        while not _answers(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, f"the server did not start:\n{log.read_text()}"
            time.sleep(1)
        yield DagsterGraphQLClient("127.0.0.1", port_number=port)
    finally:
        # An interrupt stops the child processes too; a kill would leave them running.
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=60)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def _answers(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/server_info", timeout=10).ok
    except requests.RequestException:
        return False
