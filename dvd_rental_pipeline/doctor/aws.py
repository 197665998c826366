"""Whether what the settings name in AWS exists and can be accessed."""

from collections.abc import Callable, Iterator
from typing import Any

from dvd_rental_pipeline.core.aws import AwsError, aws_client, translate_aws_errors
from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.doctor.diagnosis import Diagnosis, Health

SETTING_OF = {"site": "SITE_BUCKET", "alerts": "ALERTS_TOPIC", "run log": "LOG_GROUP"}
DENIED = {"AccessDenied", "AccessDeniedException", "AuthorizationError", "403"}


def examine_aws(settings: Settings) -> Iterator[Diagnosis]:
    """The secret store, the site's bucket, the topic of alerts and the log group, as far as they are set."""
    if settings.secrets:
        # Loading the settings has read it.
        yield Diagnosis(Health.GOOD, "secrets", settings.secrets)
    if settings.site_bucket:
        yield _examine(
            "site", f"s3://{settings.site_bucket}", "s3", lambda s3: s3.head_bucket(Bucket=settings.site_bucket)
        )
    if settings.alerts_topic:
        yield _examine(
            "alerts",
            settings.alerts_topic,
            "sns",
            lambda sns: sns.get_topic_attributes(TopicArn=settings.alerts_topic),
        )
    if settings.log_group:
        yield _examine(
            "run log",
            settings.log_group,
            "logs",
            lambda logs: logs.describe_log_streams(logGroupName=settings.log_group, limit=1),
        )


def _examine(subject: str, name: str, service: str, request: Callable[[Any], object]) -> Diagnosis:
    try:
        with translate_aws_errors():
            request(aws_client(service, connect_seconds=3, read_seconds=5, attempts=2))
    except AwsError as error:
        if error.code in DENIED:
            # A task may be allowed to write there without being allowed to read.
            return Diagnosis(Health.NOTE, subject, f"{name}: this role may not read it")
        remedy = (
            f"create it (deploy/terraform does), or fix DVD_RENTAL_{SETTING_OF[subject]} or the credentials"
        )
        return Diagnosis(Health.BAD, subject, f"{name}: {error}", remedy)
    return Diagnosis(Health.GOOD, subject, f"{name} exists")
