"""Clients of AWS services, with bounded timeouts.

boto3 takes a third of a second to import, so only the functions import it: a deployment without AWS never does.
Region, credentials and endpoint come from AWS's own variables, such as AWS_DEFAULT_REGION and AWS_ENDPOINT_URL,
or from the role of the machine.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dvd_rental_pipeline.core.errors import PipelineError


class AwsError(PipelineError):
    """An AWS service refused a request or could not be reached.

    `code` is the error code of the service, such as `AccessDenied`; if none answered, the name of the client's
    error, such as `EndpointConnectionError`.
    """

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


def aws_client(
    service: str,
    *,
    connect_seconds: float = 5,
    read_seconds: float = 60,
    attempts: int = 5,
    region: str | None = None,
) -> Any:
    """A boto3 client of `service` that gives up after `attempts` attempts of at most the given seconds each.

    Raises:
        AwsError: no region is configured, or the configuration is not valid.
    """
    import boto3  # noqa: PLC0415 - slow to import
    from botocore.config import Config  # noqa: PLC0415 - slow to import
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - slow to import

    config = Config(
        connect_timeout=connect_seconds,
        read_timeout=read_seconds,
        retries={"mode": "standard", "total_max_attempts": attempts},
    )
    try:
        return boto3.client(service, config=config, region_name=region)
    except (BotoCoreError, ValueError) as error:
        raise AwsError(
            f"Cannot use AWS ({service}): {error} Set AWS_DEFAULT_REGION and credentials.", type(error).__name__
        ) from None


@contextmanager
def translate_aws_errors() -> Iterator[None]:
    """Raise the errors of boto3 and botocore in the block as `AwsError`, with the same text.

    Raises:
        AwsError: a service refused a request or could not be reached.
    """
    from boto3.exceptions import Boto3Error  # noqa: PLC0415 - slow to import
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - slow to import

    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        raise AwsError(str(error), code or type(error).__name__) from None
    except (Boto3Error, BotoCoreError) as error:
        raise AwsError(str(error), type(error).__name__) from None
