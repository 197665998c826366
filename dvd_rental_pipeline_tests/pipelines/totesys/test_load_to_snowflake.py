"""The star in Snowflake equals the one in DuckDB: loaded through a real connector into the stand-in."""

import json
from dataclasses import replace
from pathlib import Path

import boto3
import pytest

from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.ingestion.files.object_store import open_store
from dvd_rental_pipeline.pipelines.totesys.load import row_counts
from dvd_rental_pipeline.pipelines.totesys.star import STAR
from dvd_rental_pipeline.sample.totesys.traffic import simulate
from dvd_rental_pipeline.warehouse.deployment import open_warehouse
from dvd_rental_pipeline.warehouse.errors import WarehouseError
from dvd_rental_pipeline.warehouse.snowflake_account.design import Account
from dvd_rental_pipeline.warehouse.snowflake_account.difference import apply, compare, storage_identity
from dvd_rental_pipeline.warehouse.snowflake_login import SnowflakeLogin
from dvd_rental_pipeline.warehouse.snowflake_session import open_snowflake
from dvd_rental_pipeline.warehouse.snowflake_warehouse import SnowflakeWarehouse
from dvd_rental_pipeline_tests.pipelines.totesys.conftest import Steps, steps_in
from dvd_rental_pipeline_tests.stand_ins.aws import REGION, AwsStandIn
from dvd_rental_pipeline_tests.stand_ins.snowflake.stand_in import SnowflakeStandIn, set_up

ROLE_ARN = "arn:aws:iam::123456789012:role/dvd-rental-snowflake"


@pytest.mark.slow
def test_snowflake_gets_the_same_star_as_duckdb(
    loaded_steps: Steps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = loaded_steps
    with SnowflakeStandIn(tmp_path / "snowflake") as server:
        set_up(server)
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        login = SnowflakeLogin.from_settings(Settings.load(Path("/none")))
        snowflake = replace(steps, warehouse=SnowflakeWarehouse(login, {"test": "totesys"}))
        with pytest.raises(WarehouseError, match="lacks the schema"):
            snowflake.load()
        set_up(server, loaded_schemas=["totesys", "totesys_lake"])
        snowflake.load()
        simulate(steps.url, events=30, seed=6)
        steps.run(complete=True)
        snowflake.load()

        assert row_counts(snowflake.warehouse) == row_counts(steps.warehouse)
        stars = snowflake.star(), steps.star()
        for table in STAR:
            in_snowflake, in_duckdb = ([tuple(map(str, row)) for row in star[table.name]] for star in stars)
            assert in_snowflake == in_duckdb, table.name


def trust(user_arn: str, external_id: str) -> None:
    """Create the AWS role of Snowflake as deploy/terraform/snowflake.tf does."""
    statement = {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"AWS": user_arn},
        "Condition": {"StringEquals": {"sts:ExternalId": external_id}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    boto3.client("iam").create_role(RoleName="dvd-rental-snowflake", AssumeRolePolicyDocument=policy)


@pytest.mark.slow
def test_loads_go_through_an_external_stage(
    loaded_steps: Steps, tmp_path: Path, aws: AwsStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("landing", "processed"):
        boto3.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    on_s3 = steps_in(
        tmp_path / "s3",
        loaded_steps.url,
        landing=open_store("s3://landing/lake"),
        processed=open_store("s3://processed/lake"),
    )
    account = Account(
        [],
        loaded_schemas=["totesys", "totesys_lake"],
        storage_role=ROLE_ARN,
        buckets={"LANDING": "s3://landing/lake", "PROCESSED": "s3://processed/lake"},
    )
    with SnowflakeStandIn(tmp_path / "snowflake") as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("DVD_RENTAL_DEPLOYMENT", "production")
        monkeypatch.setenv("DVD_RENTAL_SNOWFLAKE_STORAGE_ROLE", ROLE_ARN)
        monkeypatch.setenv("DVD_RENTAL_PROCESSED", "s3://processed/lake")
        settings = Settings.load(Path("/none"))
        login = SnowflakeLogin.from_settings(settings)
        administrator = replace(login, user="ADMIN", role="ACCOUNTADMIN", database=None)
        with open_snowflake(administrator, {}) as session:
            apply(account, session, lambda _: None)
            assert compare(account, session).missing == []
            identity = storage_identity(session)
        on_s3.ingest()
        on_s3.transform()
        snowflake = replace(on_s3, warehouse=open_warehouse(settings, {}))
        with pytest.raises(WarehouseError, match="not authorized to perform: sts:AssumeRole"):
            snowflake.load()
        trust(identity.user_arn, identity.external_id)
        snowflake.load()

        statements = [each["sql"] for each in server.statements()]
        assert [sql for sql in statements if sql.startswith("put ")] == []
        assert row_counts(snowflake.warehouse) == row_counts(loaded_steps.warehouse)
        # A processed file is read from where it is, too.
        (run,) = on_s3.processed.runs()
        file = run.file("dim_staff")
        assert file is not None
        with open_snowflake(login, {}) as session:
            session.execute("create temporary table totesys.copied like totesys.dim_staff")
            session.execute(
                f"copy into totesys.copied from @LAKE.PROCESSED/ files = ('{file.key}') file_format = (type ="
                " parquet use_logical_type = true) match_by_column_name = case_insensitive"
            )
            ((copied,),) = session.execute("select count(*) from totesys.copied").values
        assert copied == 20
    assert open_store("s3://processed/lake").keys("_loads/") == []
