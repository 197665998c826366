"""The log of runs as lines of JSON, in CloudWatch Logs: what `python_logs` of a Dagster instance plugs in.

The daemon, the web server and the code server write to stdout, which ECS sends to CloudWatch by itself. The
output of a step does not go there, as Dagster captures it: hence a handler for what runs log.
"""

import atexit
import json
import logging
from datetime import UTC, datetime
from functools import cache
from typing import Any

from dagster import DagsterEvent, DagsterEventType
from watchtower import CloudWatchLogHandler

from dvd_rental_pipeline.core.aws import AwsError, aws_client
from dvd_rental_pipeline.core.settings import Settings

SEND_EVERY_SECONDS = 5


class JsonLine(logging.Formatter):
    """One record as one line of JSON: time, level, message; of a run also job, step, event, asset, check."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps({key: value for key, value in _fields(record).items() if value is not None})


class PatientHandler(CloudWatchLogHandler):
    """watchtower's handler, which outlives that Dagster configures its logging anew for each step.

    That flushes and closes every handler of the process, and a closed one drops what it is given. It also
    holds a lock meanwhile that sending needs, so that to wait there is to wait for ever.
    """

    FLUSH_TIMEOUT = 10

    def flush(self) -> None:
        """Nothing: a thread sends what is waiting every few seconds."""

    def close(self) -> None:
        """Nothing, for the same reason."""

    def send_waiting(self) -> None:
        """Send what is waiting, now, and wait until it is sent, ten seconds at most."""
        super().flush()  # type: ignore[no-untyped-call]


@cache
def build_run_log() -> logging.Handler:
    """The handler of this process: to the log group of the settings, or without one to stderr.

    A log group that cannot be written to is told on stderr, and stops nothing.
    """
    group = Settings.load().log_group
    handler = logging.StreamHandler() if group is None else _to_cloudwatch(group)
    handler.setFormatter(JsonLine())
    return handler


def _to_cloudwatch(group: str) -> logging.Handler:
    try:
        client = aws_client("logs", connect_seconds=3, read_seconds=5, attempts=2)
    except AwsError as error:
        logging.getLogger(__name__).warning(f"Runs are logged to stderr instead of CloudWatch: {error}")
        return logging.StreamHandler()
    handler = PatientHandler(
        log_group_name=group,
        log_stream_name="{machine_name}/{process_id}",
        boto3_client=client,
        # Terraform makes the group, with its retention; a run may only write to it.
        create_log_group=False,
        send_interval=SEND_EVERY_SECONDS,
    )
    atexit.register(handler.send_waiting)
    return handler


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    # What Dagster adds to the records of a run.
    meta: dict[str, Any] = getattr(record, "dagster_meta", {})
    event: DagsterEvent | None = meta.get("dagster_event")
    happened = evaluated = failure = asset = None
    if event is not None:
        happened, asset = event.event_type, event.asset_key
        if happened is DagsterEventType.ASSET_CHECK_EVALUATION:
            evaluated = event.asset_check_evaluation_data
            asset = evaluated.asset_key
        elif happened is DagsterEventType.STEP_FAILURE:
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
        # Events of runs still bear the name that runs once had.
        "event": happened.value.replace("PIPELINE_", "RUN_") if happened else None,
        "asset": asset.to_user_string() if asset else None,
        "check": evaluated.check_name if evaluated else None,
        "passed": evaluated.passed if evaluated else None,
        "error": failure.error_display_string if failure else error,
    }
