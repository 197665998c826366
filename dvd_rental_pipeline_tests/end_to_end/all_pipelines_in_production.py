"""The sources of the other three pipelines beside the rental one, for production and for the local deployment.

Both deployments read the same databases and the same sales files, production those in a bucket.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict

from dvd_rental_pipeline_tests.end_to_end.production_services import PLANTED, ProductionServices
from dvd_rental_pipeline_tests.stand_ins.aws import REGION

BUCKETS = {
    "DVD_RENTAL_LANDING": "s3://dvd-rental-landing/lake",
    "DVD_RENTAL_PROCESSED": "s3://dvd-rental-processed/lake",
    "DVD_RENTAL_SALES_FILES": "s3://dvd-rental-sales/files",
}
PASSWORD = PLANTED["source password"]
USERS_PER_MINUTE = "40"


@contextmanager
def connected_to(services: ProductionServices, database: str) -> Iterator[psycopg.Connection]:
    """A connection of the administrator to `database` of the source's server."""
    with psycopg.connect(services.owner_url, dbname=database, autocommit=True) as connection:
        yield connection


def add_pipelines(services: ProductionServices, api_url: str) -> None:
    """Make sources with data, and set up production for them in the order of the guides."""
    services.local.ok("source", "generate", "--database", "totesys", "--scale", "0.02")
    services.local.ok("sales", "generate", "--months", "3")
    for address in BUCKETS.values():
        services.client("s3").create_bucket(
            Bucket=urlsplit(address).netloc, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
    upload_sales_files(services)
    with connected_to(services, "totesys") as admin:
        for statement in services.ok("source", "setup", "reader").splitlines():
            admin.execute(statement.encode())
        admin.execute(f"alter role totesys_reader password '{PASSWORD}'".encode())
        admin.execute(f"create role signups_writer login password '{PASSWORD}'".encode())
        admin.execute("create database signups template template0")
        admin.execute("grant create on database signups to signups_writer")
    services.add_settings(
        DVD_RENTAL_TOTESYS_SOURCE_URL=_url(services, "totesys_reader", PASSWORD, "totesys"),
        DVD_RENTAL_SIGNUPS_DATABASE_URL=_url(services, "signups_writer", PASSWORD, "signups"),
    )
    services.environment.update(
        BUCKETS, DVD_RENTAL_SIGNUPS_API_URL=api_url, DVD_RENTAL_SIGNUPS_BATCH_SIZE=USERS_PER_MINUTE
    )
    # The table of new users must exist before it can be captured.
    load_new_users(services)
    owner_url = _url(services, "owner", PLANTED["password of the owner"], "signups")
    services.ok("source", "setup", "apply", "--pipeline", "signups", DVD_RENTAL_SOURCE_ADMIN_URL=owner_url)
    administrator = ("--user=ADMIN", f"--private-key={services.snowflake.private_key_path}")
    services.ok("snowflake", "apply", *administrator)
    assigned = [line for line in services.ok("airbyte", "apply").splitlines() if line.startswith("DVD_RENTAL_")]
    services.environment.update(line.split("=", 1) for line in assigned)


def load_new_users(services: ProductionServices) -> None:
    """Load the minutes of new users that are due into the database that both deployments replicate."""
    services.ok("run", "--select", 'key:"signups_postgres/users"')


def upload_sales_files(services: ProductionServices) -> None:
    """Drop the local sales files into the bucket."""
    address = urlsplit(BUCKETS["DVD_RENTAL_SALES_FILES"])
    for file in sorted((services.local.home / "sales_files").iterdir()):
        services.client("s3").put_object(
            Bucket=address.netloc, Key=f"{address.path[1:]}/{file.name}", Body=file.read_bytes()
        )


def _url(services: ProductionServices, user: str, password: str, database: str) -> str:
    server = conninfo_to_dict(services.owner_url)
    return f"postgresql://{user}:{password}@{server['host']}:{server['port']}/{database}?sslmode=disable"
