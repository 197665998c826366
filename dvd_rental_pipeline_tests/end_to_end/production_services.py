"""Production on stand-ins, set up by the pipeline's own commands in the order of the guide."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import boto3
import psycopg
import pyarrow as pa
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from psycopg.conninfo import conninfo_to_dict

from dvd_rental_pipeline_tests.end_to_end.command_line import CommandLine
from dvd_rental_pipeline_tests.ingestion.postgres_cdc.password_logins import password_logins
from dvd_rental_pipeline_tests.stand_ins.airbyte.destinations import SnowflakeDestination
from dvd_rental_pipeline_tests.stand_ins.airbyte.final_tables import FinalTable
from dvd_rental_pipeline_tests.stand_ins.airbyte.server import AirbyteStandIn
from dvd_rental_pipeline_tests.stand_ins.airbyte.workspace import Workspace
from dvd_rental_pipeline_tests.stand_ins.aws import REGION, AwsStandIn, running_aws
from dvd_rental_pipeline_tests.stand_ins.snowflake.stand_in import (
    ACCOUNT,
    SnowflakeStandIn,
    new_private_key,
    write_private_key,
)

SETTINGS_SECRET = "dvd-rental/settings"
SITE_BUCKET, LOG_BUCKET, LOG_GROUP = "dvd-rental-site", "dvd-rental-logs", "/dvd-rental/runs"
SCALE = "0.1"

# Secrets that must not appear in any output.
PLANTED = {
    "source password": "planted-source-password",
    "password of the owner": "planted-admin-password",
    "Airbyte client secret": "planted-client-secret",
    "passphrase": "planted-passphrase",
    "AWS secret key": "planted-aws-secret-key",
}

INSTANCE = """
compute_logs:
  module: dagster_aws.s3.compute_log_manager
  class: S3ComputeLogManager
  config:
    bucket: {bucket}
    prefix: compute-logs
    local_dir: {folder}
python_logs:
  dagster_handler_config:
    handlers:
      run_log:
        (): dvd_rental_pipeline.runs.log.build_run_log
telemetry:
  enabled: false
"""


class ConfiguredDestination:
    """Logs in to Snowflake with the configuration in the Airbyte workspace, and nothing else."""

    def __init__(self, server: SnowflakeStandIn) -> None:
        self._server = server
        self.workspace: Workspace | None = None

    def write(self, schema: str, table: FinalTable, rows: pa.Table, *, replace: bool) -> None:
        assert self.workspace is not None
        (configuration,) = [
            destination.configuration
            for destination in self.workspace.destinations.values()
            if destination.configuration["schema"] == schema
        ]
        credentials = configuration["credentials"]
        key = serialization.load_pem_private_key(
            credentials["private_key"].encode(), credentials["private_key_password"].encode()
        )
        arguments = {
            "account": configuration["host"].removesuffix(".snowflakecomputing.com"),
            "user": configuration["username"],
            "role": configuration["role"],
            "warehouse": configuration["warehouse"],
            "database": configuration["database"],
            "private_key": key.private_bytes(
                serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
            # In place of the configured host: the stand-in.
            "host": "127.0.0.1",
            "port": self._server.port,
            "protocol": "http",
            "network_timeout": 60,
        }
        SnowflakeDestination(arguments, configuration["database"]).write(schema, table, rows, replace=replace)


@dataclass
class ProductionServices:
    """The stand-ins, a local deployment on the same source, and the commands of both deployments.

    `environment` has the variables of a task definition; secret settings are in Secrets Manager. `owner_url` is
    the source database as its owner. `output` has what all commands printed.
    """

    folder: Path
    local: CommandLine
    airbyte: AirbyteStandIn
    snowflake: SnowflakeStandIn
    aws: AwsStandIn
    environment: dict[str, str]
    planted: dict[str, str]
    alerts_queue: str
    owner_url: str
    output: list[str] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return self.folder / "production"

    def run(self, *arguments: str, **environment: str) -> Any:
        """Run a command in production, whatever its exit code."""
        done = CommandLine(self.home, seconds=900).run(*arguments, **{**self.environment, **environment})
        self.output += [done.stdout, done.stderr]
        return done

    def ok(self, *arguments: str, **environment: str) -> str:
        """Run a command in production, which must succeed; returns what it printed to stdout."""
        done = self.run(*arguments, **environment)
        assert done.returncode == 0, f"{arguments} failed:\n{done.stdout}\n{done.stderr}"
        return str(done.stdout)

    def client(self, service: str) -> Any:
        return boto3.client(service, endpoint_url=self.aws.endpoint, region_name=REGION)

    def settings(self) -> dict[str, str]:
        secret = self.client("secretsmanager").get_secret_value(SecretId=SETTINGS_SECRET)["SecretString"]
        stored: dict[str, str] = json.loads(secret)
        return stored

    def add_settings(self, **settings: str) -> None:
        """Add settings to the secret."""
        self.client("secretsmanager").put_secret_value(
            SecretId=SETTINGS_SECRET, SecretString=json.dumps({**self.settings(), **settings})
        )

    @contextmanager
    def only_allowed(self, *actions: str) -> Iterator[dict[str, str]]:
        """Credentials that allow only these actions of AWS, until the context ends."""
        iam = self.client("iam")
        iam.create_user(UserName="limited")
        policy = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}],
        }
        iam.put_user_policy(UserName="limited", PolicyName="p", PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName="limited")["AccessKey"]
        # From now on the stand-in checks permissions.
        requests.post(f"{self.aws.endpoint}/moto-api/reset-auth", data=b"0", timeout=10).raise_for_status()
        try:
            yield {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
        finally:
            requests.post(f"{self.aws.endpoint}/moto-api/reset-auth", data=b"inf", timeout=10)

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts published since the last call."""
        sqs = self.client("sqs")
        found = []
        while messages := sqs.receive_message(QueueUrl=self.alerts_queue, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            for message in messages:
                found.append(json.loads(json.loads(message["Body"])["Message"]))
                sqs.delete_message(QueueUrl=self.alerts_queue, ReceiptHandle=message["ReceiptHandle"])
        return found

    def log_lines(self) -> list[dict[str, Any]]:
        """All lines in the log group of runs."""
        pages = self.client("logs").get_paginator("filter_log_events").paginate(logGroupName=LOG_GROUP)
        return [json.loads(event["message"]) for page in pages for event in page["events"]]

    def objects(self, bucket: str) -> dict[str, bytes]:
        """All objects of a bucket, by key."""
        s3 = self.client("s3")
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        return {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


@contextmanager
def running_production(folder: Path) -> Iterator[ProductionServices]:
    """All services, set up by the pipeline's commands, with sample data in the source, before any sync."""
    local = CommandLine(folder / "local", seconds=900)
    aws_environment = {"AWS_SECRET_ACCESS_KEY": PLANTED["AWS secret key"]}
    with ExitStack() as stack:
        aws = stack.enter_context(running_aws())
        stack.enter_context(mock.patch.dict(os.environ, {**aws.environment(), **aws_environment}))
        snowflake = stack.enter_context(SnowflakeStandIn(folder / "snowflake", users=["ADMIN"]))
        destination = ConfiguredDestination(snowflake)
        airbyte = stack.enter_context(
            AirbyteStandIn(destination, client=("client", PLANTED["Airbyte client secret"])).running()
        )
        destination.workspace = airbyte.workspace

        local.ok("source", "start")
        stack.callback(local.run, "source", "stop")
        local.ok("source", "generate", "--scale", SCALE)
        admin_url = local.json("source", "status")["url"]
        stack.enter_context(password_logins(stack.enter_context(psycopg.connect(admin_url, autocommit=True))))

        keys = {name: _key_pair(folder, name) for name in ("LOADER", "TRANSFORMER")}
        services = ProductionServices(
            folder,
            local,
            airbyte,
            snowflake,
            aws,
            environment={},
            planted=dict(PLANTED),
            alerts_queue=_make_aws_resources(aws),
            owner_url=admin_url,
        )
        services.environment.update(_environment(services, admin_url, keys))
        services.planted |= {f"key of {name}": _middle_line(path) for name, path in keys.items()}
        services.client("secretsmanager").create_secret(
            Name=SETTINGS_SECRET, SecretString=json.dumps(_secret_settings(admin_url, keys))
        )
        _set_up(services, admin_url, keys)
        yield services


def _environment(services: ProductionServices, admin_url: str, keys: Mapping[str, Path]) -> dict[str, str]:
    instance = services.folder / "instance"
    instance.mkdir()
    (instance / "dagster.yaml").write_text(
        INSTANCE.format(bucket=LOG_BUCKET, folder=services.folder / "compute_logs")
    )
    topic = services.client("sns").list_topics()["Topics"][0]["TopicArn"]
    return {
        "DAGSTER_HOME": str(instance),
        "DVD_RENTAL_DEPLOYMENT": "production",
        "DVD_RENTAL_SECRETS": f"secretsmanager://{SETTINGS_SECRET}",
        "DVD_RENTAL_REPLICATION_SLOT": "production",
        "DVD_RENTAL_SITE_BUCKET": SITE_BUCKET,
        "DVD_RENTAL_ALERTS_TOPIC": topic,
        "DVD_RENTAL_LOG_GROUP": LOG_GROUP,
        "DVD_RENTAL_AIRBYTE_URL": services.airbyte.url,
        "DVD_RENTAL_AIRBYTE_WORKSPACE_ID": services.airbyte.workspace.id,
        "DVD_RENTAL_AIRBYTE_CLIENT_ID": "client",
        "DVD_RENTAL_AIRBYTE_POLL_INTERVAL": "0.2",
        "DVD_RENTAL_AIRBYTE_REQUEST_RETRY_DELAY": "0.5",
        "DVD_RENTAL_AIRBYTE_DESTINATION_HOST": f"{ACCOUNT}.snowflakecomputing.com",
        "DVD_RENTAL_AIRBYTE_DESTINATION_KEY_PATH": str(keys["LOADER"]),
        "DVD_RENTAL_SNOWFLAKE_ACCOUNT": ACCOUNT,
        "DVD_RENTAL_SNOWFLAKE_USER": "DVD_RENTAL_TRANSFORMER",
        "DVD_RENTAL_SNOWFLAKE_HOST": "127.0.0.1",
        "DVD_RENTAL_SNOWFLAKE_PORT": str(services.snowflake.port),
        "DVD_RENTAL_SNOWFLAKE_PROTOCOL": "http",
    }


def _secret_settings(admin_url: str, keys: Mapping[str, Path]) -> dict[str, str]:
    server = conninfo_to_dict(admin_url)
    address = f"{server['host']}:{server['port']}/{server['dbname']}"
    return {
        "DVD_RENTAL_SOURCE_URL": f"postgresql://airbyte:{PLANTED['source password']}@{address}?sslmode=disable",
        "DVD_RENTAL_AIRBYTE_CLIENT_SECRET": PLANTED["Airbyte client secret"],
        "DVD_RENTAL_AIRBYTE_DESTINATION_KEY_PASSPHRASE": PLANTED["passphrase"],
        "DVD_RENTAL_SNOWFLAKE_PRIVATE_KEY": keys["TRANSFORMER"].read_text(),
        "DVD_RENTAL_SNOWFLAKE_PRIVATE_KEY_PASSPHRASE": PLANTED["passphrase"],
    }


def _set_up(services: ProductionServices, admin_url: str, keys: Mapping[str, Path]) -> None:
    """The steps that the guide has an administrator do once."""
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(f"create role owner superuser login password '{PLANTED['password of the owner']}'")
    server = conninfo_to_dict(admin_url)
    address = f"{server['host']}:{server['port']}/{server['dbname']}"
    owner_url = f"postgresql://owner:{PLANTED['password of the owner']}@{address}"
    services.ok("source", "setup", "apply", DVD_RENTAL_SOURCE_ADMIN_URL=owner_url)
    public = [f"--public-key={role}={path.with_suffix('.pub')}" for role, path in keys.items()]
    admin_key = f"--private-key={services.snowflake.private_key_path}"
    services.ok("snowflake", "apply", *public, "--user=ADMIN", admin_key)
    assignment = services.ok("airbyte", "apply").splitlines()[-1]
    name, _, connection_id = assignment.partition("=")
    services.environment[name] = connection_id


def _make_aws_resources(aws: AwsStandIn) -> str:
    """Create buckets, log group, topic, and a queue subscribed to the topic; returns the queue's URL."""

    def client(service: str) -> Any:
        return boto3.client(service, endpoint_url=aws.endpoint, region_name=REGION)

    for bucket in (SITE_BUCKET, LOG_BUCKET):
        client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    client("logs").create_log_group(logGroupName=LOG_GROUP)
    topic = client("sns").create_topic(Name="dvd-rental-alerts")["TopicArn"]
    queue = str(client("sqs").create_queue(QueueName="alerts")["QueueUrl"])
    arn = client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]
    client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    return queue


def _key_pair(folder: Path, name: str) -> Path:
    """The path of a new private key with a passphrase; its public key is next to it."""
    path = folder / f"{name.lower()}.p8"
    key: rsa.RSAPrivateKey = new_private_key(path)
    write_private_key(key, path, PLANTED["passphrase"])
    path.with_suffix(".pub").write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return path


def _middle_line(key: Path) -> str:
    """A line from the middle of a private key, which identifies it."""
    return key.read_text().splitlines()[5]
