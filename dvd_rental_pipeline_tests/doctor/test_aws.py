"""The doctor examines the AWS resources that the settings name."""

from pathlib import Path

import boto3
import pytest

from dvd_rental_pipeline.doctor.diagnosis import Diagnosis, Health
from dvd_rental_pipeline.doctor.examination import examine
from dvd_rental_pipeline_tests.stand_ins.aws import REGION, AwsStandIn

SUBJECTS = {"site", "alerts", "run log"}


@pytest.fixture(autouse=True)
def named(aws: AwsStandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DVD_RENTAL_HOME", str(tmp_path))
    monkeypatch.setenv("DVD_RENTAL_SITE_BUCKET", "pages")
    monkeypatch.setenv("DVD_RENTAL_ALERTS_TOPIC", f"arn:aws:sns:{REGION}:123456789012:alerts")
    monkeypatch.setenv("DVD_RENTAL_LOG_GROUP", "/dvd-rental/doctor")


def findings() -> dict[str, Diagnosis]:
    return {finding.subject: finding for finding in examine() if finding.subject in SUBJECTS}


def test_existing_resources_are_good() -> None:
    boto3.client("s3").create_bucket(Bucket="pages", CreateBucketConfiguration={"LocationConstraint": REGION})
    boto3.client("sns").create_topic(Name="alerts")
    boto3.client("logs").create_log_group(logGroupName="/dvd-rental/doctor")
    assert {name: finding.health for name, finding in findings().items()} == dict.fromkeys(
        SUBJECTS, Health.GOOD
    )


def test_missing_resources_are_reported_with_their_setting() -> None:
    found = findings()
    assert {name: finding.health for name, finding in found.items()} == dict.fromkeys(SUBJECTS, Health.BAD)
    assert "DVD_RENTAL_SITE_BUCKET" in str(found["site"].remedy)
    assert "DVD_RENTAL_LOG_GROUP" in str(found["run log"].remedy)


def test_missing_credentials_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", "/nonexistent")
    # It remembers credentials for as long as the process lives.
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    found = findings()
    assert set(found) == SUBJECTS
    assert "credentials" in found["site"].found
