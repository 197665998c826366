"""Runs log JSON with searchable fields, and a failure of CloudWatch stops nothing."""

import json
import logging
import re
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import pytest

from dvd_rental_pipeline.core.settings import PROJECT_ROOT
from dvd_rental_pipeline.runs.log import JsonFormatter, PersistentCloudWatchHandler, build_run_log
from dvd_rental_pipeline_tests.stand_ins.aws import AwsStandIn

LOG_GROUP = "/dvd-rental/runs"


@dg.asset
def film(context: dg.AssetExecutionContext) -> None:
    context.log.info("a line of the run")


@dg.asset_check(asset=film)
def film_is_fine() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False)


@dg.asset
def rental() -> None:
    raise ValueError("no rentals")


@pytest.fixture
def handler() -> Iterator[None]:
    """The handler is cached per process; each test starts without one."""
    build_run_log.cache_clear()
    yield
    build_run_log.cache_clear()


@pytest.fixture
def instance(handler: None, history_folder: Path) -> Iterator[dg.DagsterInstance]:
    """An instance whose `python_logs` are those of the deployments."""
    logs = {
        "dagster_handler_config": {
            "handlers": {"run_log": {"()": "dvd_rental_pipeline.runs.log.build_run_log"}}
        }
    }
    for place in ("ecs", "compose"):
        assert "build_run_log" in (PROJECT_ROOT / "deploy" / place / "dagster.yaml").read_text()
    with dg.DagsterInstance.local_temp(str(history_folder), overrides={"python_logs": logs}) as instance:
        yield instance


@pytest.fixture
def log_group(aws: AwsStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log group of the settings, which is empty."""
    boto3.client("logs").create_log_group(logGroupName=LOG_GROUP)
    monkeypatch.setenv("DVD_RENTAL_LOG_GROUP", LOG_GROUP)


@pytest.fixture
def cloudwatch(handler: None, log_group: None) -> PersistentCloudWatchHandler:
    """The handler that sends to the log group."""
    built = build_run_log()
    assert isinstance(built, PersistentCloudWatchHandler)
    return built


def record(message: str, *arguments: object) -> logging.LogRecord:
    return logging.LogRecord("test", logging.INFO, "", 0, message, arguments, None)


def run(instance: dg.DagsterInstance) -> str:
    result = dg.materialize([film, film_is_fine, rental], instance=instance, raise_on_error=False)
    good = dg.materialize([film], instance=instance)
    assert good.success
    assert not result.success
    handler = build_run_log()
    if isinstance(handler, PersistentCloudWatchHandler):
        handler.send_queued()
    return result.run_id


def in_cloudwatch() -> list[dict[str, Any]]:
    events = boto3.client("logs").filter_log_events(logGroupName=LOG_GROUP)["events"]
    return [json.loads(event["message"]) for event in events]


def test_a_run_is_logged_to_cloudwatch_with_searchable_fields(
    log_group: None, instance: dg.DagsterInstance
) -> None:
    run_id = run(instance)
    lines = [line for line in in_cloudwatch() if line.get("run_id") == run_id]
    (said,) = [line for line in lines if line["message"] == "a line of the run"]
    assert (said["level"], said["step"]) == ("INFO", "film")
    (failed,) = [line for line in lines if line.get("event") == "STEP_FAILURE"]
    assert (failed["level"], failed["step"]) == ("ERROR", "rental")
    assert "no rentals" in failed["error"]
    (built,) = [line for line in lines if line.get("event") == "ASSET_MATERIALIZATION"]
    assert built["asset"] == "film"
    (checked,) = [line for line in lines if line.get("event") == "ASSET_CHECK_EVALUATION"]
    assert (checked["asset"], checked["check"], checked["passed"]) == ("film", "film_is_fine", False)


def test_the_events_of_alarms_are_events_that_runs_log(log_group: None, instance: dg.DagsterInstance) -> None:
    run(instance)
    patterns = (PROJECT_ROOT / "deploy" / "terraform" / "logs.tf").read_text()
    awaited = set(re.findall(r'\$\.event = \\"(\w+)\\"', patterns))
    assert len(awaited) == 3
    assert awaited <= {line.get("event") for line in in_cloudwatch()}


def test_without_a_log_group_records_go_to_stderr(
    instance: dg.DagsterInstance, capfd: pytest.CaptureFixture[str]
) -> None:
    run_id = run(instance)
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    assert {"film", "rental"} <= {line.get("step") for line in lines if line.get("run_id") == run_id}


def test_a_missing_log_group_does_not_stop_a_run(
    aws: AwsStandIn, monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance
) -> None:
    monkeypatch.setenv("DVD_RENTAL_LOG_GROUP", "/not/there")
    with pytest.warns(match="Failed to deliver logs"):
        run(instance)


def test_the_handler_survives_a_new_logging_configuration(cloudwatch: PersistentCloudWatchHandler) -> None:
    for number in range(3):
        cloudwatch.handle(record("line %s", number))
        cloudwatch.flush()
        cloudwatch.close()
    cloudwatch.send_queued()
    assert [line["message"] for line in in_cloudwatch()] == ["line 0", "line 1", "line 2"]


def test_a_line_logged_while_the_log_stream_is_created_is_sent(
    cloudwatch: PersistentCloudWatchHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_creating, has_logged = threading.Event(), threading.Event()
    create_log_stream = cloudwatch.cwl_client.create_log_stream

    def create_slowly(**kwargs: str) -> object:
        cloudwatch.handle(record("a line of the call itself"))
        is_creating.set()
        assert has_logged.wait(10)
        return create_log_stream(**kwargs)

    monkeypatch.setattr(cloudwatch.cwl_client, "create_log_stream", create_slowly)
    cloudwatch.handle(record("first"))
    with ThreadPoolExecutor(1) as sender:
        sent = sender.submit(cloudwatch.send_queued)
        assert is_creating.wait(10)
        cloudwatch.handle(record("meanwhile"))
        has_logged.set()
        sent.result()
    cloudwatch.send_queued()
    assert [line["message"] for line in in_cloudwatch()] == ["first", "meanwhile"]


def test_an_exception_is_part_of_its_record() -> None:
    try:
        raise ValueError("over\ntwo lines")
    except ValueError:
        record = logging.LogRecord("test", logging.ERROR, "", 0, "failed", (), sys.exc_info())
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert "ValueError: over\ntwo lines" in json.loads(line)["error"]
