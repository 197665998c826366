"""Settings can be stored in Secrets Manager or on S3; no message shows a stored value."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from dvd_rental_pipeline.core.secret_store import SecretStoreError, read_secrets
from dvd_rental_pipeline.core.settings import Settings, SettingsError
from dvd_rental_pipeline_tests.stand_ins.aws import REGION, AwsStandIn

PLANTED = "planted-secret"
NO_FILE = Path("/nonexistent")


@pytest.fixture(autouse=True)
def empty_cache() -> Iterator[None]:
    """The store is read once per process: each test, here and after these, starts as a new process would."""
    read_secrets.cache_clear()
    yield
    read_secrets.cache_clear()


def secret(text: str, name: str = "dvd-rental/settings") -> str:
    boto3.client("secretsmanager").create_secret(Name=name, SecretString=text)
    return f"secretsmanager://{name}"


def env_object(text: str | bytes) -> str:
    client = boto3.client("s3")
    client.create_bucket(Bucket="settings", CreateBucketConfiguration={"LocationConstraint": REGION})
    client.put_object(Bucket="settings", Key="a/production.env", Body=text)
    return "s3://settings/a/production.env"


def load(location: str, monkeypatch: pytest.MonkeyPatch, env_file: Path = NO_FILE) -> Settings:
    monkeypatch.setenv("DVD_RENTAL_SECRETS", location)
    return Settings.load(env_file)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"DVD_RENTAL_SOURCE_URL": "postgresql://u:p$x@h/d", "SNOWFLAKE_PRIVATE_KEY": "a\nb"}),
        "# a comment\nDVD_RENTAL_SOURCE_URL='postgresql://u:p$x@h/d'\nSNOWFLAKE_PRIVATE_KEY=\"a\nb\"\n",
    ],
)
@pytest.mark.parametrize("store", [secret, env_object])
def test_both_stores_set_settings_and_other_variables_in_either_form(
    aws: AwsStandIn, monkeypatch: pytest.MonkeyPatch, store: type, text: str
) -> None:
    settings = load(store(text), monkeypatch)
    assert settings.source_url is not None
    assert settings.source_url.get_secret_value() == "postgresql://u:p$x@h/d"
    assert os.environ["SNOWFLAKE_PRIVATE_KEY"] == "a\nb"


def test_the_environment_and_the_file_win_over_the_store(
    aws: AwsStandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    location = secret(
        json.dumps(
            {
                "DVD_RENTAL_HOME": "/from_store",
                "DVD_RENTAL_REPLICATION_SLOT": "from_store",
                "DVD_RENTAL_SITE_BUCKET": "from-store",
            }
        )
    )
    env_file = tmp_path / ".env"
    env_file.write_text(f"DVD_RENTAL_SECRETS={location}\nDVD_RENTAL_REPLICATION_SLOT=from_file\n")
    monkeypatch.setenv("DVD_RENTAL_HOME", "/from_environment")
    settings = Settings.load(env_file)
    assert settings.home == Path("/from_environment")
    assert settings.replication_slot == "from_file"
    assert settings.site_bucket == "from-store"


def test_a_misspelt_setting_in_the_store_is_refused(aws: AwsStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    location = secret(json.dumps({"DVD_RENTAL_SORCE_URL": PLANTED}))
    with pytest.raises(SettingsError, match="did you mean DVD_RENTAL_SOURCE_URL") as caught:
        load(location, monkeypatch)
    assert PLANTED not in str(caught.value)


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("secretsmanager://missing", "ResourceNotFoundException"),
        ("s3://missing/key", "NoSuchBucket"),
        ("s3://only-a-bucket", "write secretsmanager://NAME or s3://BUCKET/KEY"),
        ("vault://somewhere", "write secretsmanager://NAME or s3://BUCKET/KEY"),
    ],
)
def test_a_missing_secret_object_or_scheme_is_refused_with_its_location(
    aws: AwsStandIn, monkeypatch: pytest.MonkeyPatch, location: str, message: str
) -> None:
    with pytest.raises(SecretStoreError, match=message) as caught:
        load(location, monkeypatch)
    assert location in str(caught.value)


@pytest.mark.parametrize(
    "text", [f'{{"A": "{PLANTED}"', f'{{"A": {{"B": "{PLANTED}"}}}}', f"this is {PLANTED}\n", f"{PLANTED}\n"]
)
def test_malformed_content_is_refused_without_showing_it(
    aws: AwsStandIn, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    with pytest.raises(SecretStoreError) as caught:
        load(secret(text), monkeypatch)
    assert PLANTED not in str(caught.value)
    assert caught.value.__cause__ is None


def test_binary_content_is_refused(aws: AwsStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SecretStoreError, match="is not text"):
        load(env_object(b"\xff\xfe\x00"), monkeypatch)


def test_an_unreachable_aws_fails_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", PLANTED)
    started = time.monotonic()
    with pytest.raises(SecretStoreError, match=r"network") as caught:
        load("secretsmanager://anything", monkeypatch)
    assert time.monotonic() - started < 20
    assert PLANTED not in str(caught.value)


def test_the_store_is_read_once_per_process(aws: AwsStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    location = secret(json.dumps({"DVD_RENTAL_SITE_BUCKET": "first"}))
    load(location, monkeypatch)
    aws.reset()
    assert load(location, monkeypatch).site_bucket == "first"


@pytest.mark.slow
def test_without_aws_settings_no_aws_client_is_imported() -> None:
    code = (
        "import sys; import dvd_rental_pipeline.assembly.resources as d;"
        "from dvd_rental_pipeline.core.settings import *;"
        "Settings.load(Path('/nonexistent')); d._site(Settings()); d._alerts(Settings());"
        "print([name for name in ('boto3', 'watchtower', 'dagster_aws') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
