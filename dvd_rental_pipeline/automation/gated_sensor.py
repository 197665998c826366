"""A sensor of automation conditions that evaluates them only after something has happened."""

import threading
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
from dagster_shared.record import replace

from dvd_rental_pipeline.automation.recorded_evaluations import purge_evaluations, select_recorded
from dvd_rental_pipeline.core.private_api.dagster import SensorExecutionData, get_current_datetime

LONGEST_PAUSE = timedelta(minutes=15)
"""Conditions are evaluated at every multiple of it: a deadline of a cron schedule is no event."""


@dataclass(frozen=True)
class Activity:
    """What has happened on an instance: while it is equal, conditions give the same result.

    Attributes:
        latest_event: id of the latest event of an asset or a check.
        latest_run_update: when a run last changed.
        window: number of the time window of `LONGEST_PAUSE`.
    """

    latest_event: int
    latest_run_update: datetime | None
    window: int


def read_activity(instance: dg.DagsterInstance, now: datetime) -> Activity:
    """The activity on `instance` until now, in two small queries."""
    runs = instance.get_run_records(limit=1, order_by="update_timestamp")
    return Activity(
        latest_event=instance.event_log_storage.get_maximum_record_id() or 0,
        latest_run_update=runs[0].update_timestamp if runs else None,
        window=int(now.timestamp() // LONGEST_PAUSE.total_seconds()),
    )


class GatedConditionSensor(dg.AutomationConditionSensorDefinition):
    """Evaluates the conditions of `target` if the instance was active since their last evaluation.

    Evaluating the whole graph costs a second of processor time, also when nothing has happened.
    """

    def __init__(
        self, name: str, *, target: dg.AssetSelection, run_tags: Mapping[str, str], description: str
    ) -> None:
        with warnings.catch_warnings():
            # The parameter is in beta; the version of Dagster is pinned.
            warnings.simplefilter("ignore", dg.BetaWarning)
            super().__init__(
                name,
                target=target,
                run_tags=run_tags,
                description=description,
                default_status=dg.DefaultSensorStatus.RUNNING,
                # Conditions of this project's own are unknown to the daemon.
                use_user_code_server=True,
            )
        self._lock = threading.Lock()
        # The activity at the last evaluation, and the cursor that it returned.
        self._evaluated: tuple[Activity, str | None] | None = None

    def evaluate_tick(self, context: dg.SensorEvaluationContext) -> Any:
        """Evaluate the conditions, or return their last cursor."""
        with self._lock:
            # Read before the evaluation: what happens meanwhile is seen by the next one.
            activity = read_activity(context.instance, get_current_datetime())
            if self._evaluated == (activity, context.cursor):
                return SensorExecutionData(
                    skip_message="Nothing has happened since the last evaluation.", cursor=context.cursor
                )
            data = super().evaluate_tick(context)
            self._evaluated = (activity, data.cursor)
            purge_evaluations(context.instance)
            return replace(
                data,
                automation_condition_evaluations=select_recorded(data.automation_condition_evaluations),
            )
