"""How far a run has come, in one line."""

import logging
from collections.abc import Callable

import dagster as dg


class RunProgress:
    """A listener to the events of a run: reports how many of `total` tables and checks are done.

    For example `142 of 360 · reports/top_films`. What a step logs is reported as well: it may be what the run
    waits for.
    """

    def __init__(self, total: int, report: Callable[[str], None]) -> None:
        self._total = total
        self._done: set[dg.AssetKey | dg.AssetCheckKey] = set()
        self._report = report

    def __call__(self, entry: dg.EventLogEntry) -> None:
        event = entry.dagster_event
        if event is None:
            if int(entry.level) >= logging.INFO and entry.user_message:
                self._show(entry.user_message.splitlines()[0])
        elif event.is_step_start:
            self._show(f"{event.step_key}: starting")
        elif event.is_step_materialization and event.asset_key is not None:
            self._done.add(event.asset_key)
            self._show(event.asset_key.to_user_string())
        elif event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data.asset_check_key
            self._done.add(check)
            self._show(f"{check.asset_key.to_user_string()}: {check.name}")

    def _show(self, text: str) -> None:
        self._report(f"{len(self._done)} of {self._total} · {text}")
