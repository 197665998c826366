"""Stand-ins for Airbyte and Snowflake with the settings of production, for tests of raw tables without dbt."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import boto3

from dvd_rental_pipeline.core.secret_store import read_secrets
from dvd_rental_pipeline_tests.end_to_end.production_services import ConfiguredDestination
from dvd_rental_pipeline_tests.stand_ins.airbyte.server import AirbyteStandIn
from dvd_rental_pipeline_tests.stand_ins.aws import REGION, AwsStandIn
from dvd_rental_pipeline_tests.stand_ins.snowflake.stand_in import SnowflakeStandIn

SECRET = "dvd-rental/settings"
PASSPHRASE = "planted-passphrase"


@dataclass(frozen=True)
class IngestionServices:
    """The stand-ins, and the environment of a task; secrets are in Secrets Manager alone."""

    airbyte: AirbyteStandIn
    snowflake: SnowflakeStandIn
    environment: dict[str, str]


@contextmanager
def running_ingestion_services(
    folder: Path, aws: AwsStandIn, *, schemas: Iterable[str], source_urls: Mapping[str, str], slot: str
) -> Iterator[IngestionServices]:
    """Run the services for raw tables in `schemas`; `source_urls` are the URLs of sources by setting."""
    with ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ, aws.environment()))
        snowflake = stack.enter_context(
            SnowflakeStandIn(folder / "snowflake", users=["ADMIN", "AIRBYTE", "DVD_RENTAL_TRANSFORMER"])
        )
        # The minimum of an account: setting up all of it takes longer than these tests.
        with snowflake.connect(database=None) as admin, admin.cursor() as cursor:
            cursor.execute("create database dvd_rentals")
            for schema in schemas:
                cursor.execute(f"create schema dvd_rentals.{schema}")
        key = folder / "key.p8"
        snowflake.write_key(key, PASSPHRASE)
        destination = ConfiguredDestination(snowflake)
        airbyte = stack.enter_context(AirbyteStandIn(destination).running())
        destination.workspace = airbyte.workspace
        secrets = {
            **source_urls,
            "DVD_RENTAL_AIRBYTE_CLIENT_SECRET": "client-secret",
            "DVD_RENTAL_AIRBYTE_DESTINATION_KEY_PASSPHRASE": PASSPHRASE,
            "DVD_RENTAL_SNOWFLAKE_PRIVATE_KEY": key.read_text(),
            "DVD_RENTAL_SNOWFLAKE_PRIVATE_KEY_PASSPHRASE": PASSPHRASE,
        }
        boto3.client("secretsmanager", endpoint_url=aws.endpoint, region_name=REGION).create_secret(
            Name=SECRET, SecretString=json.dumps(secrets)
        )
        # A process keeps what it has read: that of the services before, if a worker runs several.
        read_secrets.cache_clear()
        environment = {
            **aws.environment(),
            **snowflake.environment("DVD_RENTAL_TRANSFORMER"),
            "DVD_RENTAL_HOME": str(folder / "home"),
            "DVD_RENTAL_DEPLOYMENT": "production",
            "DVD_RENTAL_SECRETS": f"secretsmanager://{SECRET}",
            "DVD_RENTAL_REPLICATION_SLOT": slot,
            "DVD_RENTAL_AIRBYTE_URL": airbyte.url,
            "DVD_RENTAL_AIRBYTE_WORKSPACE_ID": airbyte.workspace.id,
            "DVD_RENTAL_AIRBYTE_CLIENT_ID": "client",
            "DVD_RENTAL_AIRBYTE_POLL_INTERVAL": "0.1",
            "DVD_RENTAL_AIRBYTE_DESTINATION_HOST": f"{snowflake.environment()['DVD_RENTAL_SNOWFLAKE_ACCOUNT']}"
            ".snowflakecomputing.com",
            "DVD_RENTAL_AIRBYTE_DESTINATION_KEY_PATH": str(key),
        }
        del environment["DVD_RENTAL_SNOWFLAKE_PRIVATE_KEY_PATH"]
        yield IngestionServices(airbyte, snowflake, environment)
