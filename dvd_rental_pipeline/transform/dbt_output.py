"""What dbt tells while it works, read as fast as it comes."""

import signal
from collections.abc import Iterator
from queue import SimpleQueue
from subprocess import TimeoutExpired
from threading import Thread

from dagster_dbt import DbtCliEventMessage, DbtCliInvocation


def messages(invocation: DbtCliInvocation) -> Iterator[DbtCliEventMessage]:
    """Each message of dbt, however long the caller takes for one.

    A pipe that nobody empties would hold dbt up, and keep it from ending when it is interrupted.

    Raises:
        DagsterDbtCliRuntimeError: dbt has ended with an error.
    """
    told: SimpleQueue[DbtCliEventMessage | BaseException | None] = SimpleQueue()

    def read() -> None:
        try:
            for message in invocation.stream_raw_events():
                told.put(message)
        except BaseException as error:
            told.put(error)
        else:
            told.put(None)

    # A daemon: it ends with dbt, which may outlast an interrupt for some seconds.
    Thread(target=read, name="dbt output", daemon=True).start()
    while (message := told.get()) is not None:
        if isinstance(message, BaseException):
            raise message
        yield message


def end(invocation: DbtCliInvocation) -> None:
    """See that dbt has ended: if it is still at work by an interrupt, and by force where that fails."""
    process = invocation.process
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=invocation.termination_timeout_seconds)
    except TimeoutExpired:
        process.kill()
        process.wait()
