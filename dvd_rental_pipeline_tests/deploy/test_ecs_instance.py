"""The Dagster instances of deploy/: they load, and on ECS the daemon executes queued runs as tasks."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import pytest
import yaml
from dagster._core.instance.ref import InstanceRef
from dagster._core.workspace.load import location_origins_from_yaml_paths

from dvd_rental_pipeline.core.settings import PROJECT_ROOT
from dvd_rental_pipeline_tests.deploy.conftest import COMPUTE_LOGS, LOG_GROUP
from dvd_rental_pipeline_tests.stand_ins.aws import AwsStandIn
from dvd_rental_pipeline_tests.stand_ins.ecs import EcsStandIn, process_environment

DEPLOY = PROJECT_ROOT / "deploy"
BIN = Path(sys.executable).parent
LOCATION = "dvd_rental_pipeline_tests.deploy.two_job_location"


def test_the_ecs_instance_uses_postgres_s3_and_the_ecs_launcher(ecs: EcsStandIn) -> None:
    with dg.DagsterInstance.get() as instance:
        assert type(instance.run_storage).__name__ == "PostgresRunStorage"
        assert type(instance.event_log_storage).__name__ == "PostgresEventLogStorage"
        assert type(instance.compute_log_manager).__name__ == "S3ComputeLogManager"
        assert type(instance.run_launcher).__name__ == "EcsRunLauncher"
        assert type(instance.run_coordinator).__name__ == "QueuedRunCoordinator"
        assert instance.run_monitoring_enabled
        assert instance.run_retries_enabled
        # Only a lost task is retried: a sync that Airbyte gave up would fail again.
        assert instance.run_retries_max_retries == 2
        assert not instance.get_settings("run_retries")["retry_on_asset_or_op_failure"]
        assert not instance.telemetry_enabled
        assert instance.get_concurrency_config().pool_config.default_pool_limit == 1


@pytest.mark.parametrize("folder", ["ecs", "compose"])
def test_every_workspace_gives_the_code_location_the_same_name(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_CODE_LOCATION_HOST", "code-location")
    origins = location_origins_from_yaml_paths([str(DEPLOY / folder / "workspace.yaml")])
    local = location_origins_from_yaml_paths([str(PROJECT_ROOT / "workspace.yaml")])
    names = [{origin.location_name for origin in found} for found in (origins, local)]
    assert names == [{"dvd_rental_pipeline"}, {"dvd_rental_pipeline"}]


def test_the_compose_instance_uses_the_postgres_of_compose(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DAGSTER_PG_PASSWORD", "anything")
    shutil.copy(DEPLOY / "compose" / "dagster.yaml", tmp_path)
    ref = InstanceRef.from_dir(str(tmp_path))
    assert ref.run_launcher_data is not None
    assert ref.run_launcher_data.class_name == "DefaultRunLauncher"
    config = yaml.safe_load((DEPLOY / "compose" / "dagster.yaml").read_text())
    compose = yaml.safe_load((PROJECT_ROOT / "docker-compose.yml").read_text())
    postgres = config["storage"]["postgres"]["postgres_db"]
    assert postgres["hostname"] in compose["services"]
    assert postgres["username"] == compose["services"]["postgres"]["environment"]["POSTGRES_USER"]


def test_the_scheduled_task_needs_no_database_and_logs_to_cloudwatch(
    aws: AwsStandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    boto3.client("logs").create_log_group(logGroupName=LOG_GROUP)
    task = (
        "import dagster as dg\n"
        "@dg.asset\n"
        "def film(): pass\n"
        "with dg.DagsterInstance.get() as instance: assert dg.materialize([film], instance=instance).success"
    )
    environment = {
        "DAGSTER_HOME": str(DEPLOY / "scheduled"),
        "DVD_RENTAL_HOME": str(tmp_path),
        "DVD_RENTAL_LOG_GROUP": LOG_GROUP,
    }
    subprocess.run([sys.executable, "-c", task], env={**os.environ, **environment}, check=True)
    events = boto3.client("logs").filter_log_events(logGroupName=LOG_GROUP)["events"]
    assert "RUN_SUCCESS" in {json.loads(event["message"]).get("event") for event in events}


@contextmanager
def child(*command: str | Path, log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Dagster command until the context ends."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(BIN / command[0]), *map(str, command[1:])],
            env={**os.environ, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=PROJECT_ROOT,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Path]:
    """The workspace file of a running code server."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    file = tmp_path / "workspace.yaml"
    server = {"host": "localhost", "port": port, "location_name": "dvd_rental_pipeline"}
    file.write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}))
    with child("dagster", "api", "grpc", "-p", str(port), "-m", LOCATION, log=tmp_path / "code.log") as process:
        deadline = time.monotonic() + 120
        while subprocess.run(
            [BIN / "dagster", "api", "grpc-health-check", "-p", str(port)], check=False, capture_output=True
        ).returncode:
            assert process.poll() is None, (tmp_path / "code.log").read_text()
            assert time.monotonic() < deadline
        yield file


@pytest.fixture
def received(alerts_topic: str, ecs: EcsStandIn) -> Callable[[], list[dict[str, Any]]]:
    """A function that returns all alerts published to the topic so far."""
    sqs = boto3.client("sqs")
    queue = sqs.create_queue(QueueName="alerts")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    boto3.client("sns").subscribe(TopicArn=alerts_topic, Protocol="sqs", Endpoint=arn)
    arrived: list[dict[str, Any]] = []

    def receive() -> list[dict[str, Any]]:
        messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        arrived.extend(json.loads(json.loads(message["Body"])["Message"]) for message in messages)
        return arrived

    return receive


def launch(job: str, workspace: Path) -> str:
    """Queue a run of `job`, as the UI does, and return its id."""
    command = [BIN / "dagster", "job", "launch", "-w", workspace, "-j", job]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with dg.DagsterInstance.get() as instance:
        (run,) = instance.get_runs(dg.RunsFilter(job_name=job))
    assert run.status is dg.DagsterRunStatus.QUEUED
    return run.run_id


def logged(run_id: str) -> list[dict[str, Any]]:
    logs = boto3.client("logs")
    events = logs.filter_log_events(logGroupName=LOG_GROUP)["events"]
    return [line for line in (json.loads(event["message"]) for event in events) if line.get("run_id") == run_id]


@pytest.mark.heavy
def test_queued_runs_are_executed_as_tasks_logged_and_alerted(
    ecs: EcsStandIn,
    workspace: Path,
    received: Callable[[], list[dict[str, Any]]],
    tmp_path: Path,
) -> None:
    environment = process_environment()
    good, bad = launch("good", workspace), launch("bad", workspace)
    with (
        child("dagster-daemon", "run", "-w", workspace, log=tmp_path / "daemon.log"),
        dg.DagsterInstance.get() as instance,
    ):

        def run(run_id: str) -> dg.DagsterRun:
            found = instance.get_run_by_id(run_id)
            assert found is not None
            return found

        try:
            ecs.wait(environment, lambda: run(good).is_finished and run(bad).is_finished, seconds=150)
            ecs.wait(environment, lambda: bool(received()), seconds=100)
        except AssertionError:
            print((tmp_path / "daemon.log").read_text()[-5000:])
            raise
        assert run(good).status is dg.DagsterRunStatus.SUCCESS
        assert run(bad).status is dg.DagsterRunStatus.FAILURE
        assert run(good).tags["ecs/cluster"].endswith("/dvd-rental")
        # Each run once: a failed step is not retried.
        assert len(instance.get_runs()) == 2

    tags = [{tag["key"]: tag["value"] for tag in task["tags"]} for task in ecs.run_tasks()]
    assert {tag["dagster/run_id"] for tag in tags} == {good, bad}
    assert {tag["project"] for tag in tags} == {"dvd-rental"}

    lines = logged(good)
    assert "a line of the run" in {line["message"] for line in lines}
    assert {"RUN_SUCCESS", "ASSET_MATERIALIZATION"} <= {line.get("event") for line in lines}
    (materialized,) = [line for line in lines if line.get("event") == "ASSET_MATERIALIZATION"]
    assert (materialized["asset"], materialized["job"], materialized["level"]) == ("film", "good", "DEBUG")
    (checked,) = [line for line in lines if line.get("event") == "ASSET_CHECK_EVALUATION"]
    assert (checked["check"], checked["passed"]) == ("film_is_fine", True)
    (failed,) = [line for line in logged(bad) if line.get("event") == "STEP_FAILURE"]
    assert (failed["step"], failed["level"]) == ("rental", "ERROR")
    assert "The bucket is closed." in failed["error"]

    printed = [
        boto3.client("s3").get_object(Bucket=COMPUTE_LOGS, Key=item["Key"])["Body"].read().decode()
        for item in boto3.client("s3").list_objects_v2(Bucket=COMPUTE_LOGS, Prefix="compute-logs")["Contents"]
    ]
    assert any("a line that the step prints" in text for text in printed)

    (alert,) = received()
    assert alert["subject"] == "runs of bad"
    assert alert["happened"].startswith(f"Run {bad[:8]} failed.")
    assert "PipelineError: The bucket is closed." in alert["happened"]
