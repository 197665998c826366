"""Messages of a running dbt, read without delaying it, and ending it."""

import signal
from collections.abc import Iterator
from queue import SimpleQueue
from subprocess import TimeoutExpired
from threading import Thread

from dagster_dbt import DbtCliEventMessage, DbtCliInvocation


def messages(invocation: DbtCliInvocation) -> Iterator[DbtCliEventMessage]:
    """Every message of dbt, in order; the caller may take any time for each.

    A pipe that is not read would block dbt, and keep it from ending after an interrupt.

    Raises:
        DagsterDbtCliRuntimeError: dbt has ended with an error.
    """
    received: SimpleQueue[DbtCliEventMessage | BaseException | None] = SimpleQueue()

    def read() -> None:
        try:
            for message in invocation.stream_raw_events():
                received.put(message)
        except BaseException as error:
            received.put(error)
        else:
            received.put(None)

    # A daemon: it ends with dbt, some seconds after an interrupt.
    Thread(target=read, name="dbt output", daemon=True).start()
    while (message := received.get()) is not None:
        if isinstance(message, BaseException):
            raise message
        yield message


def end(invocation: DbtCliInvocation) -> None:
    """End dbt, if it is running: by SIGINT, and by SIGKILL after its time limit."""
    process = invocation.process
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=invocation.termination_timeout_seconds)
    except TimeoutExpired:
        process.kill()
        process.wait()
