"""Settings that stand in AWS instead of the environment: a secret, or a `.env` file on S3."""

import io
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from dotenv.parser import parse_stream

from dvd_rental_pipeline.core.aws import aws_client, aws_error_code, aws_failures
from dvd_rental_pipeline.core.errors import PipelineError

FORMS = "secretsmanager://NAME or s3://BUCKET/KEY"
REMEDIES = {
    "ResourceNotFoundException": "There is none of that name in this account and region.",
    "NoSuchKey": "There is no such object.",
    "NoSuchBucket": "There is no such bucket.",
    "AccessDenied": "Allow it in the role of this task or user.",
    "AccessDeniedException": "Allow it in the role of this task or user.",
}


class SecretStoreError(PipelineError):
    """The place that DVD_RENTAL_SECRETS names cannot be read. The message never holds what stands there."""


@cache
def read_secrets(location: str) -> Mapping[str, str]:
    """The variables that stand at `location`, read once a process.

    A secret of Secrets Manager is a JSON object of strings, or lines NAME=value; an object on S3 is such lines.

    Raises:
        SecretStoreError: `location` is of neither form, cannot be reached, or holds something else.
    """
    scheme, _, place = location.partition("://")
    bucket, _, key = place.partition("/")
    try:
        if scheme == "secretsmanager" and place:
            text = _client("secretsmanager").get_secret_value(SecretId=place).get("SecretString", "")
        elif scheme == "s3" and bucket and key:
            text = _client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode("utf-8")
        else:
            raise SecretStoreError(f"DVD_RENTAL_SECRETS={location}: write {FORMS}.")
    except aws_failures() as error:
        code = aws_error_code(error)
        remedy = REMEDIES.get(code, "Mend the credentials, the region or the network.")
        raise SecretStoreError(
            f"Cannot read DVD_RENTAL_SECRETS={location} ({code or type(error).__name__}). {remedy}"
        ) from None
    except UnicodeDecodeError:
        raise SecretStoreError(f"DVD_RENTAL_SECRETS={location} is not text.") from None
    return _variables(text, location)


def _client(service: str) -> Any:
    # Half a second is usual. Whoever waits for the settings shows nothing yet.
    return aws_client(service, connect_seconds=2, read_seconds=5, attempts=3)


def _variables(text: str, location: str) -> Mapping[str, str]:
    if text.lstrip().startswith("{"):
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise SecretStoreError(
                f"DVD_RENTAL_SECRETS={location} is not valid JSON (line {error.lineno}, column {error.colno})."
            ) from None
        wrong = [name for name, value in values.items() if not isinstance(value, str | int | float)]
        if wrong:
            raise SecretStoreError(
                f"DVD_RENTAL_SECRETS={location}: {', '.join(wrong)} must be text, not nested."
            )
        return {name: str(value) for name, value in values.items()}
    bindings = list(parse_stream(io.StringIO(text)))
    malformed = [
        str(line.original.line) for line in bindings if line.error or (line.key and line.value is None)
    ]
    if malformed:
        raise SecretStoreError(f"DVD_RENTAL_SECRETS={location}: line {', '.join(malformed)} is not NAME=value.")
    return {line.key: line.value for line in bindings if line.key and line.value is not None}
