"""Syncs in a separate process that is killed (after some time, or at a step) or has resource limits.

The processes are forked from a server that has imported everything: they start within milliseconds, and the
kill hits the sync, not Python's imports.
"""

import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from dvd_rental_pipeline.ingestion.postgres_cdc.outcome import Step
from dvd_rental_pipeline.ingestion.postgres_cdc.replicator import Replicator
from dvd_rental_pipeline.ingestion.postgres_cdc.stream import change_stream

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["dvd_rental_pipeline_tests.ingestion.postgres_cdc.sync_imports"])
_LONGEST_SECONDS = 60.0


@dataclass(frozen=True)
class SyncTask:
    """One sync: the replicator's arguments, the size of a batch, and the limits of the process.

    `limits` is by the constants of the module `resource`.
    """

    source_url: str
    warehouse: Path
    tables: dict[str, tuple[str, ...]]
    slot: str
    history: dict[str, tuple[str, ...]]
    full_refresh: bool = False
    batch_changes: int = 100
    limits: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class SyncExit:
    """Whether a sync's process was killed, and how long the sync ran."""

    killed: bool
    seconds: float


def run(task: SyncTask) -> SyncExit:
    """Run a sync to its end."""
    return _run_process(task, None, None)


def killed_after(task: SyncTask, seconds: float) -> SyncExit:
    """Run a sync that gets SIGKILL `seconds` after its start, unless it has ended by then."""
    return _run_process(task, seconds, None)


def killed_at(task: SyncTask, step: Step, occurrence: int = 1) -> SyncExit:
    """Run a sync that gets SIGKILL at the given occurrence of a step, if it reaches it."""
    return _run_process(task, None, (step, occurrence))


def failure_of(task: SyncTask) -> str | None:
    """The type and the message of the error with which a sync ends; None without an error."""
    receiver, sender = _PROCESSES.Pipe()
    process = _PROCESSES.Process(target=_fail, args=(task, sender), daemon=True)
    process.start()
    sender.close()
    if not receiver.poll(_LONGEST_SECONDS):
        process.kill()
        raise AssertionError("the sync did not end")
    message: str | None = receiver.recv()
    process.join(_LONGEST_SECONDS)
    return message


def _run_process(task: SyncTask, seconds: float | None, at: tuple[Step, int] | None) -> SyncExit:
    receiver, sender = _PROCESSES.Pipe()
    process = _PROCESSES.Process(target=_sync, args=(task, at, sender), daemon=True)
    process.start()
    sender.close()
    if not receiver.poll(_LONGEST_SECONDS):
        raise AssertionError("the process of the sync did not start")
    started = receiver.recv()
    if seconds is not None:
        process.join(max(0.0, started + seconds - time.monotonic()))
        process.kill()
    process.join(_LONGEST_SECONDS)
    elapsed = time.monotonic() - started
    if process.exitcode not in {0, -signal.SIGKILL}:
        raise AssertionError(f"the sync did not end, or failed: exit code {process.exitcode}")
    return SyncExit(process.exitcode == -signal.SIGKILL, elapsed)


def _fail(task: SyncTask, sender: Connection) -> None:
    try:
        _replicator(task, lambda step: None).sync()
    except Exception as error:
        sender.send(f"{type(error).__name__}: {error}")
    else:
        sender.send(None)


def _sync(task: SyncTask, at: tuple[Step, int] | None, sender: Connection) -> None:
    seen: list[Step] = []

    def on_step(step: Step) -> None:
        seen.append(step)
        if at is not None and at[0] is step and seen.count(step) == at[1]:
            os.kill(os.getpid(), signal.SIGKILL)

    replicator = _replicator(task, on_step)
    sender.send(time.monotonic())
    replicator.sync(full_refresh=task.full_refresh)


def _replicator(task: SyncTask, on_step: Callable[[Step], None]) -> Replicator:
    change_stream.MAX_BATCH_CHANGES = task.batch_changes
    for limit, value in task.limits.items():
        resource.setrlimit(limit, (value, value))
    return Replicator(
        task.source_url,
        task.warehouse,
        task.tables,
        history=task.history,
        slot=task.slot,
        wait_seconds=20.0,
        on_step=on_step,
    )
