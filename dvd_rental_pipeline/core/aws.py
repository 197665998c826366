"""Clients of AWS, made alike: imported late, with bounded waiting.

Region, credentials and endpoint come from AWS's own variables, such as AWS_DEFAULT_REGION and
AWS_ENDPOINT_URL, or from the role of the machine.
"""

from typing import Any

from dvd_rental_pipeline.core.errors import PipelineError


class AwsError(PipelineError):
    """An AWS service refused, or could not be reached."""


def aws_client(
    service: str,
    *,
    connect_seconds: float = 5,
    read_seconds: float = 60,
    attempts: int = 5,
    region: str | None = None,
) -> Any:
    """A client of `service` that gives up after `attempts` tries of at most the given seconds each.

    Raises:
        AwsError: no region is configured, or the configuration is not valid.
    """
    import boto3  # noqa: PLC0415 - a third of a second that `local` never pays
    from botocore.config import Config  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415

    config = Config(
        connect_timeout=connect_seconds,
        read_timeout=read_seconds,
        retries={"mode": "standard", "total_max_attempts": attempts},
    )
    try:
        return boto3.client(service, config=config, region_name=region)
    except (BotoCoreError, ValueError) as error:
        raise AwsError(f"Cannot use AWS ({service}): {error} Set AWS_DEFAULT_REGION and credentials.") from None


def aws_failures() -> tuple[type[Exception], ...]:
    """What a call of a client raises when the service refuses or cannot be reached."""
    from boto3.exceptions import Boto3Error  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    return (Boto3Error, BotoCoreError, ClientError)


def aws_error_code(error: Exception) -> str:
    """AWS's own code of a refusal, such as `AccessDenied`; empty where the service was not reached."""
    response = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))
