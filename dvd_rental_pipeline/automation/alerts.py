"""The alerts resource: notifies people of problems and of their resolution, in the log or through SNS."""

import json
import logging
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import quote

import dagster as dg
from pydantic import Field

from dvd_rental_pipeline.core.aws import AwsError, aws_client, translate_aws_errors

METRIC_NAMESPACE = "DvdRental"
SUBJECT_CHARACTERS = 100
TEXT_CHARACTERS = 4000


class Severity(StrEnum):
    """ERROR: something that people rely on is missing or wrong. WARNING: it may soon be."""

    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Alert:
    """A notification for a person.

    `subject` is the asset, job or check it concerns, `happened` a description, `owner` the team that fixes it,
    `link` an address in the Dagster UI. `resolved`: the problem of an earlier alert no longer exists.
    """

    subject: str
    happened: str
    owner: str
    severity: Severity
    link: str | None = None
    resolved: bool = False

    @property
    def title(self) -> str:
        return f"{'RESOLVED' if self.resolved else self.severity.upper()}: {self.subject}"

    def text(self) -> str:
        """The text for a person: title, description, owner, link."""
        lines = [self.title, self.happened[:TEXT_CHARACTERS], f"Owner: {self.owner}"]
        return "\n".join([*lines, f"Look at {self.link}"] if self.link else lines)


class Alerts(dg.ConfigurableResource, ABC):  # type: ignore[type-arg]
    """Where alerts are sent."""

    dagster_url: str | None = Field(None, description="Address of the Dagster UI, for links")

    @abstractmethod
    def send(self, alert: Alert, log: logging.Logger) -> bool:
        """Send `alert` and return whether it was sent.

        Never raises: an alert that cannot be sent is written to `log`.
        """

    def run_link(self, run_id: str) -> str | None:
        """Address of a run in the Dagster UI."""
        return f"{self.dagster_url.rstrip('/')}/runs/{run_id}" if self.dagster_url else None

    def asset_link(self, key: dg.AssetKey, check: str | None = None) -> str | None:
        """Address of an asset in the Dagster UI, at one of its checks if `check` is given."""
        if self.dagster_url is None:
            return None
        path = "/".join(quote(part, safe="") for part in key.path)
        query = f"?view=checks&checkDetail={quote(check, safe='')}" if check else ""
        return f"{self.dagster_url.rstrip('/')}/assets/{path}{query}"


class ConsoleAlerts(Alerts):
    """Alerts in the log alone."""

    def send(self, alert: Alert, log: logging.Logger) -> bool:
        level = logging.ERROR if alert.severity is Severity.ERROR and not alert.resolved else logging.WARNING
        log.log(level, alert.text())
        return True


class SnsAlerts(Alerts):
    """An SNS topic, and the CloudWatch metric `Alerts` by severity, for alarms.

    E-mail subscriptions get the text, programs (SQS, Lambda, HTTPS) the alert as JSON. `severity` and
    `resolved` are message attributes, for filter policies.
    """

    topic: str = Field(description="ARN of the topic")

    def send(self, alert: Alert, log: logging.Logger) -> bool:
        try:
            with translate_aws_errors():
                self._publish(alert)
        except AwsError as error:
            log.error(f"This alert could not be sent to {self.topic} ({error}):\n{alert.text()}")
            return False
        log.info(f"Alert sent: {alert.title}")
        if not alert.resolved:
            self._count(alert, log)
        return True

    def _publish(self, alert: Alert) -> None:
        payload = json.dumps(asdict(alert))
        bodies = {"default": alert.text(), **dict.fromkeys(("sqs", "lambda", "http", "https"), payload)}
        self._client("sns").publish(
            TopicArn=self.topic,
            Subject=alert.title.encode("ascii", "replace").decode()[:SUBJECT_CHARACTERS],
            MessageStructure="json",
            Message=json.dumps(bodies),
            MessageAttributes={
                "severity": {"DataType": "String", "StringValue": alert.severity.value},
                "resolved": {"DataType": "String", "StringValue": str(alert.resolved).lower()},
            },
        )

    def _count(self, alert: Alert, log: logging.Logger) -> None:
        dimensions = [{"Name": "Severity", "Value": alert.severity.value}]
        datum = {"MetricName": "Alerts", "Value": 1, "Unit": "Count", "Dimensions": dimensions}
        try:
            with translate_aws_errors():
                self._client("cloudwatch").put_metric_data(Namespace=METRIC_NAMESPACE, MetricData=[datum])
        except AwsError as error:
            log.warning(f"The metric {METRIC_NAMESPACE}/Alerts could not be written: {error}")

    def _client(self, service: str) -> Any:
        # Bounded: an alert must not delay a run by more than some 15 s when AWS does not respond.
        region = self.topic.split(":")[3]
        return aws_client(service, connect_seconds=3, read_seconds=5, attempts=2, region=region)
