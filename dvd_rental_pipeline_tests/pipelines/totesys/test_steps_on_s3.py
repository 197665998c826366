"""The steps on an S3 server: the same tables as on folders, and nothing overwritten."""

from datetime import datetime
from pathlib import Path

import boto3
import pytest

from dvd_rental_pipeline.ingestion.files.object_store import ObjectExistsError, open_store
from dvd_rental_pipeline.pipelines.totesys.star import STAR
from dvd_rental_pipeline.sample.totesys.traffic import simulate
from dvd_rental_pipeline_tests.pipelines.totesys.conftest import Steps, steps_in
from dvd_rental_pipeline_tests.stand_ins.aws import REGION, AwsStandIn


@pytest.mark.slow
def test_buckets_and_folders_give_the_same_warehouse(
    loaded_steps: Steps, tmp_path: Path, aws: AwsStandIn
) -> None:
    steps, client = loaded_steps, boto3.client("s3")
    for bucket in ("landing", "processed"):
        client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    on_s3 = steps_in(
        tmp_path / "s3", steps.url, landing=open_store("s3://landing"), processed=open_store("s3://processed/x")
    )
    on_s3.run()
    before = {item["Key"]: item["LastModified"] for item in objects(client, "landing")}
    simulate(steps.url, events=40, seed=5)
    for each in (steps, on_s3):
        each.run(complete=True)

    stars = on_s3.star(), steps.star()
    for table in STAR:
        assert stars[0][table.name] == stars[1][table.name], table.name
    after = {item["Key"]: item["LastModified"] for item in objects(client, "landing")}
    assert before.items() <= after.items()
    assert len(after) > len(before)
    with pytest.raises(ObjectExistsError):
        open_store("s3://landing").put_new(next(iter(before)), Path(__file__))


def objects(client: object, bucket: str) -> list[dict[str, datetime]]:
    return client.list_objects_v2(Bucket=bucket)["Contents"]  # type: ignore[attr-defined, no-any-return]
