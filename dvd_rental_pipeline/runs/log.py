"""The log of runs as lines of JSON, in CloudWatch Logs: the handler for `python_logs` of a Dagster instance.

The daemon, the web server and the code server write to stdout, which ECS sends to CloudWatch. Dagster captures
the output of a step, which therefore does not go there: runs need a handler of their own.
"""

import atexit
import json
import logging
import threading
from datetime import UTC, datetime
from functools import cache
from typing import Any

from dagster import DagsterEvent, DagsterEventType
from watchtower import CloudWatchLogHandler

from dvd_rental_pipeline.core.aws import AwsError, aws_client
from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.core.step_log import FIELDS

SEND_EVERY_SECONDS = 5


class JsonFormatter(logging.Formatter):
    """One record as one line of JSON: time, level, message; in a run also job, step, event, asset, check,
    and the figures that a step logs."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps({key: value for key, value in _fields(record).items() if value is not None})


class PersistentCloudWatchHandler(CloudWatchLogHandler):
    """watchtower's handler, kept open when Dagster configures logging again for each step.

    That flushes and closes every handler of the process, and a closed handler drops records. It also holds a
    lock that sending needs, so that waiting there would be a deadlock.
    """

    FLUSH_TIMEOUT = 10
    _sender = threading.local()

    @property
    def creating_log_stream(self) -> bool:
        """Whether this thread is creating the log stream, so that its own records are dropped.

        watchtower would drop those of all threads meanwhile: lines of the run.
        """
        return getattr(self._sender, "creating_log_stream", False)

    @creating_log_stream.setter
    def creating_log_stream(self, value: bool) -> None:
        self._sender.creating_log_stream = value

    def flush(self) -> None:
        """Do nothing: a thread sends queued records every few seconds."""

    def close(self) -> None:
        """Do nothing, for the same reason."""

    def send_queued(self) -> None:
        """Send queued records now, and wait until they are sent, at most ten seconds."""
        super().flush()  # type: ignore[no-untyped-call]


@cache
def build_run_log() -> logging.Handler:
    """The handler of this process: to the log group of the settings, or without one to stderr.

    A log group that cannot be written to is reported on stderr and stops nothing.
    """
    group = Settings.load().log_group
    handler = logging.StreamHandler() if group is None else _to_cloudwatch(group)
    handler.setFormatter(JsonFormatter())
    return handler


def _to_cloudwatch(group: str) -> logging.Handler:
    try:
        client = aws_client("logs", connect_seconds=3, read_seconds=5, attempts=2)
    except AwsError as error:
        logging.getLogger(__name__).warning(f"Runs are logged to stderr instead of CloudWatch: {error}")
        return logging.StreamHandler()
    handler = PersistentCloudWatchHandler(
        log_group_name=group,
        log_stream_name="{machine_name}/{process_id}",
        boto3_client=client,
        # Terraform creates the group with its retention; a run may only write to it.
        create_log_group=False,
        send_interval=SEND_EVERY_SECONDS,
    )
    atexit.register(handler.send_queued)
    return handler


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    # Dagster adds this to the records of a run.
    meta: dict[str, Any] = getattr(record, "dagster_meta", {})
    event: DagsterEvent | None = meta.get("dagster_event")
    event_type = evaluated = failure = asset = None
    if event is not None:
        event_type, asset = event.event_type, event.asset_key
        if event_type is DagsterEventType.ASSET_CHECK_EVALUATION:
            evaluated = event.asset_check_evaluation_data
            asset = evaluated.asset_key
        elif event_type is DagsterEventType.STEP_FAILURE:
            failure = event.step_failure_data
    error = logging.Formatter().formatException(record.exc_info) if record.exc_info else None
    return {
        "time": datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname,
        "logger": record.name,
        "message": meta.get("orig_message") or record.getMessage(),
        "run_id": meta.get("run_id"),
        "job": meta.get("job_name"),
        "step": meta.get("step_key"),
        # Event types still have the former name of runs.
        "event": event_type.value.replace("PIPELINE_", "RUN_") if event_type else None,
        "asset": asset.to_user_string() if asset else None,
        "check": evaluated.check_name if evaluated else None,
        "passed": evaluated.passed if evaluated else None,
        "error": failure.error_display_string if failure else error,
        **getattr(record, FIELDS, {}),
    }
