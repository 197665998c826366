"""Settings stored in AWS instead of the environment: a secret in Secrets Manager, or a `.env` file on S3."""

import json
from collections.abc import Mapping
from functools import cache, partial
from typing import Any

from dvd_rental_pipeline.core.aws import AwsError, aws_client, translate_aws_errors
from dvd_rental_pipeline.core.env_file import EnvSyntaxError, parse_env
from dvd_rental_pipeline.core.errors import PipelineError

FORMS = "secretsmanager://NAME or s3://BUCKET/KEY"
REMEDIES = {
    "ResourceNotFoundException": "No secret of that name exists in this account and region.",
    "NoSuchKey": "The object does not exist.",
    "NoSuchBucket": "The bucket does not exist.",
    "AccessDenied": "Allow it in the role of this task or user.",
    "AccessDeniedException": "Allow it in the role of this task or user.",
}


class SecretStoreError(PipelineError):
    """The location in DVD_RENTAL_SECRETS cannot be read. The message never contains what is stored there."""


@cache
def read_secrets(location: str) -> Mapping[str, str]:
    """The variables stored at `location`, by name; read once per process.

    A secret of Secrets Manager is a JSON object of strings, or lines NAME=value; an object on S3 is such lines.

    Raises:
        SecretStoreError: `location` is of neither form, cannot be read, or contains something else.
        AwsError: AWS is not configured.
    """
    scheme, _, path = location.partition("://")
    bucket, _, key = path.partition("/")
    if scheme == "secretsmanager" and path:
        fetch = partial(_fetch_secret, _client("secretsmanager"), path)
    elif scheme == "s3" and bucket and key:
        fetch = partial(_fetch_object, _client("s3"), bucket, key)
    else:
        raise SecretStoreError(f"DVD_RENTAL_SECRETS={location}: write {FORMS}.")
    try:
        with translate_aws_errors():
            text = fetch()
    except AwsError as error:
        remedy = REMEDIES.get(error.code, "Fix the credentials, the region or the network.")
        raise SecretStoreError(f"Cannot read DVD_RENTAL_SECRETS={location} ({error.code}). {remedy}") from None
    except UnicodeDecodeError:
        raise SecretStoreError(f"DVD_RENTAL_SECRETS={location} is not text.") from None
    return _parse_variables(text, location)


def _client(service: str) -> Any:
    # Settings are read before a command can show any output; an answer usually takes half a second.
    return aws_client(service, connect_seconds=2, read_seconds=5, attempts=3)


def _fetch_secret(secrets_manager: Any, name: str) -> str:
    return str(secrets_manager.get_secret_value(SecretId=name).get("SecretString", ""))


def _fetch_object(s3: Any, bucket: str, key: str) -> str:
    return str(s3.get_object(Bucket=bucket, Key=key)["Body"].read(), "utf-8")


def _parse_variables(text: str, location: str) -> Mapping[str, str]:
    if text.lstrip().startswith("{"):
        return _parse_json(text, location)
    try:
        return parse_env(text)
    except EnvSyntaxError as error:
        raise SecretStoreError(f"DVD_RENTAL_SECRETS={location}: {error}.") from None


def _parse_json(text: str, location: str) -> Mapping[str, str]:
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise SecretStoreError(
            f"DVD_RENTAL_SECRETS={location} is not valid JSON (line {error.lineno}, column {error.colno})."
        ) from None
    nested = [name for name, value in values.items() if not isinstance(value, str | int | float)]
    if nested:
        raise SecretStoreError(f"DVD_RENTAL_SECRETS={location}: {', '.join(nested)} must be text, not nested.")
    return {name: str(value) for name, value in values.items()}
