"""Errors of boto3 and botocore become `AwsError`, with the error code."""

import boto3
import pytest
from botocore.exceptions import NoCredentialsError

from dvd_rental_pipeline.core.aws import AwsError, aws_client, translate_aws_errors
from dvd_rental_pipeline_tests.stand_ins.aws import AwsStandIn


def test_a_refusal_carries_the_code_of_the_service(aws: AwsStandIn) -> None:
    with pytest.raises(AwsError, match="NoSuchBucket") as caught, translate_aws_errors():
        boto3.client("s3").list_objects_v2(Bucket="missing")
    assert caught.value.code == "NoSuchBucket"


def test_an_error_without_an_answer_carries_its_own_name() -> None:
    with pytest.raises(AwsError, match="credentials") as caught, translate_aws_errors():
        raise NoCredentialsError
    assert caught.value.code == "NoCredentialsError"


def test_other_errors_pass_through() -> None:
    with pytest.raises(ZeroDivisionError), translate_aws_errors():
        raise ZeroDivisionError


def test_a_missing_region_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(AwsError, match="Set AWS_DEFAULT_REGION") as caught:
        aws_client("sns")
    assert caught.value.code == "NoRegionError"
