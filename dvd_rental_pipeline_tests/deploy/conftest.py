"""The Dagster instance of deploy/ecs on the session's PostgreSQL and a stand-in of AWS."""

import os
from collections.abc import Iterator

import boto3
import psycopg
import pytest

from dvd_rental_pipeline.core.settings import PROJECT_ROOT
from dvd_rental_pipeline_tests.stand_ins.aws import REGION, AwsStandIn
from dvd_rental_pipeline_tests.stand_ins.ecs import RUN_FAMILY, EcsStandIn, running_ecs

LOG_GROUP = "/dvd-rental/runs"
COMPUTE_LOGS = "compute-logs"


@pytest.fixture
def alerts_topic(aws: AwsStandIn) -> str:
    return str(boto3.client("sns").create_topic(Name="alerts")["TopicArn"])


@pytest.fixture
def ecs(aws: AwsStandIn, database_url: str, alerts_topic: str) -> Iterator[EcsStandIn]:
    """A cluster, with the variables of the daemon's task definition in the environment of this process."""
    boto3.client("s3").create_bucket(
        Bucket=COMPUTE_LOGS, CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    boto3.client("logs").create_log_group(logGroupName=LOG_GROUP)
    with psycopg.connect(database_url) as connection:
        database = {
            "DAGSTER_PG_HOST": connection.info.host,
            "DAGSTER_PG_PORT": str(connection.info.port),
            "DAGSTER_PG_USER": connection.info.user,
            "DAGSTER_PG_PASSWORD": connection.info.password,
            "DAGSTER_PG_DB": connection.info.dbname,
        }
    shared = {
        **database,
        "DAGSTER_HOME": str(PROJECT_ROOT / "deploy" / "ecs"),
        "DAGSTER_COMPUTE_LOGS_BUCKET": COMPUTE_LOGS,
        "DAGSTER_RUN_TASK_DEFINITION": RUN_FAMILY,
        "DAGSTER_CODE_LOCATION_HOST": "localhost",
        "DVD_RENTAL_LOG_GROUP": LOG_GROUP,
        "DVD_RENTAL_ALERTS_TOPIC": alerts_topic,
    }
    with running_ecs(shared) as cluster:
        os.environ.update(shared, ECS_CONTAINER_METADATA_URI_V4=cluster.metadata_uri)
        yield cluster
