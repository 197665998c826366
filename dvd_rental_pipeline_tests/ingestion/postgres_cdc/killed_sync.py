"""Syncs in a process of their own, which is killed (at an instant, at a named step) or has limits.

The processes are forked from a server that has imported everything, so that one starts within milliseconds, and
what is killed is the sync and not Python's imports.
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
from dvd_rental_pipeline.ingestion.postgres_cdc.stream import change_stream as changes

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["dvd_rental_pipeline_tests.ingestion.postgres_cdc.sync_imports"])
_LONGEST_SECONDS = 60.0


@dataclass(frozen=True)
class Work:
    """One sync: the replicator's arguments, how many changes it applies at once, and its limits.

    `limits` are those of the process, by the constants of the module `resource`.
    """

    source_url: str
    warehouse: Path
    tables: dict[str, tuple[str, ...]]
    slot: str
    history: dict[str, tuple[str, ...]]
    full_refresh: bool = False
    stretch_changes: int = 100
    limits: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Ended:
    """How a sync's process ended, and how long the sync ran."""

    killed: bool
    seconds: float


def run(work: Work) -> Ended:
    """A sync that nobody disturbs."""
    return _observed(work, None, None)


def killed_after(work: Work, seconds: float) -> Ended:
    """A sync that gets SIGKILL so long after its start, unless it ended before."""
    return _observed(work, seconds, None)


def killed_at(work: Work, step: Step, occurrence: int = 1) -> Ended:
    """A sync that gets SIGKILL as it comes to a step for the given time; it may never come there."""
    return _observed(work, None, (step, occurrence))


def failure_of(work: Work) -> str | None:
    """The kind and the message of the error with which a sync ends; None when it has none."""
    ours, theirs = _PROCESSES.Pipe()
    process = _PROCESSES.Process(target=_fail, args=(work, theirs), daemon=True)
    process.start()
    theirs.close()
    if not ours.poll(_LONGEST_SECONDS):
        process.kill()
        raise AssertionError("the sync did not end")
    message: str | None = ours.recv()
    process.join(_LONGEST_SECONDS)
    return message


def _observed(work: Work, seconds: float | None, at: tuple[Step, int] | None) -> Ended:
    ours, theirs = _PROCESSES.Pipe()
    process = _PROCESSES.Process(target=_sync, args=(work, at, theirs), daemon=True)
    process.start()
    theirs.close()
    if not ours.poll(_LONGEST_SECONDS):
        raise AssertionError("the process of the sync did not start")
    started = ours.recv()
    if seconds is not None:
        process.join(max(0.0, started + seconds - time.monotonic()))
        process.kill()
    process.join(_LONGEST_SECONDS)
    took = time.monotonic() - started
    if process.exitcode not in {0, -signal.SIGKILL}:
        raise AssertionError(f"the sync did not end by itself, or failed: exit code {process.exitcode}")
    return Ended(process.exitcode == -signal.SIGKILL, took)


def _fail(work: Work, tell: Connection) -> None:
    try:
        _replicator(work, lambda step: None).sync()
    except Exception as error:
        tell.send(f"{type(error).__name__}: {error}")
    else:
        tell.send(None)


def _sync(work: Work, at: tuple[Step, int] | None, tell: Connection) -> None:
    seen: list[Step] = []

    def on_step(step: Step) -> None:
        seen.append(step)
        if at is not None and at[0] is step and seen.count(step) == at[1]:
            os.kill(os.getpid(), signal.SIGKILL)

    replicator = _replicator(work, on_step)
    tell.send(time.monotonic())
    replicator.sync(full_refresh=work.full_refresh)


def _replicator(work: Work, on_step: Callable[[Step], None]) -> Replicator:
    changes.MAX_BATCH_CHANGES = work.stretch_changes
    for limit, value in work.limits.items():
        resource.setrlimit(limit, (value, value))
    return Replicator(
        work.source_url,
        work.warehouse,
        work.tables,
        history=work.history,
        slot=work.slot,
        wait_seconds=20.0,
        on_step=on_step,
    )
