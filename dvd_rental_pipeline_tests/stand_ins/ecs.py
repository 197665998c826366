"""ECS on the stand-in of AWS: a cluster, the task of a daemon with its metadata, and an agent that runs tasks.

moto records tasks but runs none. As ECS does, the agent starts the command of a task as a process, with the
environment of its definition, and stops the task when the process ends.
"""

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3

RUN_FAMILY = "dvd-rental-run"
IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/dvd-rental:1"
ROLE = "arn:aws:iam::123456789012:role/dvd-rental"


@dataclass
class EcsStandIn:
    """A cluster with the task of a daemon. `metadata_uri` is the metadata endpoint of that task."""

    cluster: str
    metadata_uri: str
    started: list[str] = field(default_factory=list)

    def run_tasks(self) -> list[dict[str, Any]]:
        """All tasks with the task definition of runs."""
        ecs = boto3.client("ecs")
        arns = [
            arn
            for status in ("RUNNING", "STOPPED")
            for arn in ecs.list_tasks(cluster=self.cluster, desiredStatus=status)["taskArns"]
        ]
        if not arns:
            return []
        tasks = ecs.describe_tasks(cluster=self.cluster, tasks=sorted(set(arns)), include=["TAGS"])["tasks"]
        return [task for task in tasks if f"/{RUN_FAMILY}:" in task["taskDefinitionArn"]]

    def execute_new_tasks(self, environment: Mapping[str, str]) -> None:
        """Execute each task of a run that was not executed before, and stop it."""
        ecs = boto3.client("ecs")
        for task in self.run_tasks():
            arn = task["taskArn"]
            if arn in self.started:
                continue
            self.started.append(arn)
            override = task["overrides"]["containerOverrides"][0]
            definition = ecs.describe_task_definition(taskDefinition=task["taskDefinitionArn"])[
                "taskDefinition"
            ]
            (container,) = [c for c in definition["containerDefinitions"] if c["name"] == override["name"]]
            variables = {
                item["name"]: item["value"]
                for item in [*container["environment"], *override.get("environment", [])]
            }
            subprocess.run(override["command"], env={**environment, **variables}, timeout=200, check=False)
            ecs.stop_task(cluster=self.cluster, task=arn, reason="Essential container in task exited")

    def wait(self, environment: Mapping[str, str], done: Callable[[], bool], seconds: float) -> None:
        """Execute new tasks until `done` returns true, at most `seconds`."""
        deadline = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < deadline, f"not done after {seconds} s"
            self.execute_new_tasks(environment)
            time.sleep(0.5)


@contextmanager
def running_ecs(run_environment: Mapping[str, str]) -> Iterator[EcsStandIn]:
    """A cluster in the stand-in of AWS, which the environment must name, with a task definition for runs."""
    ecs = boto3.client("ecs")
    cluster = ecs.create_cluster(clusterName="dvd-rental")["cluster"]["clusterName"]
    _register(ecs, "dvd-rental-daemon", "daemon", {})
    _register(ecs, RUN_FAMILY, "run", run_environment)
    ec2 = boto3.client("ec2")
    network = {
        "subnets": [ec2.describe_subnets()["Subnets"][0]["SubnetId"]],
        "securityGroups": [ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]],
    }
    task = ecs.run_task(
        cluster=cluster,
        taskDefinition="dvd-rental-daemon",
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": network},
    )["tasks"][0]
    server = ThreadingHTTPServer(("127.0.0.1", 0), _metadata_of(cluster, task["taskArn"]))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield EcsStandIn(cluster, f"http://127.0.0.1:{server.server_port}/v4")
    finally:
        server.shutdown()
        server.server_close()


def _register(ecs: Any, family: str, container: str, environment: Mapping[str, str]) -> None:
    ecs.register_task_definition(
        family=family,
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="512",
        memory="1024",
        executionRoleArn=ROLE,
        taskRoleArn=ROLE,
        containerDefinitions=[
            {
                "name": container,
                "image": IMAGE,
                "essential": True,
                "memory": 1024,
                "environment": [{"name": name, "value": value} for name, value in environment.items()],
            }
        ],
    )


def _metadata_of(cluster: str, task_arn: str) -> type[BaseHTTPRequestHandler]:
    class Metadata(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            task = {"Cluster": cluster, "TaskARN": task_arn}
            body = json.dumps(task if self.path.endswith("/task") else {"Name": "daemon"}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Log no requests."""

    return Metadata


def process_environment() -> dict[str, str]:
    """The environment of a task besides its own variables: that of this process, without settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("ECS_", "DVD_RENTAL_"))}
