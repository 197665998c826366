"""Alerts reach people and programs; a failure to send one never stops the pipeline."""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import boto3
import pytest

from dvd_rental_pipeline.automation.alerts import Alert, ConsoleAlerts, Severity, SnsAlerts
from dvd_rental_pipeline_tests.stand_ins.aws import AwsStandIn

LOG = logging.getLogger("test_alerts")
ALERT = Alert(
    subject="marts/fct_rental",
    happened="The check `primary_key` found 3 rows twice.",
    owner="team:analytics_engineering",
    severity=Severity.ERROR,
    link="https://dagster.example.com/runs/1",
)


@pytest.fixture
def topic(aws: AwsStandIn) -> str:
    return str(boto3.client("sns").create_topic(Name="alerts")["TopicArn"])


@pytest.fixture
def received(topic: str) -> Callable[[], list[dict[str, Any]]]:
    """The messages in a queue that is subscribed to the topic."""
    sqs = boto3.client("sqs")
    queue = sqs.create_queue(QueueName="alerts")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    boto3.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)

    def receive() -> list[dict[str, Any]]:
        messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(message["Body"]) for message in messages]

    return receive


def alerts_counted() -> float:
    statistics = boto3.client("cloudwatch").get_metric_statistics(
        Namespace="DvdRental",
        MetricName="Alerts",
        Dimensions=[{"Name": "Severity", "Value": "error"}],
        StartTime=time.time() - 600,
        EndTime=time.time() + 600,
        Period=3600,
        Statistics=["Sum"],
    )
    return sum(point["Sum"] for point in statistics["Datapoints"])


def test_an_alert_arrives_as_json_for_programs_and_counts(
    topic: str, received: Callable[[], list[dict[str, Any]]]
) -> None:
    assert SnsAlerts(topic=topic).send(ALERT, LOG)
    (envelope,) = received()
    assert envelope["Subject"] == "ERROR: marts/fct_rental"
    assert json.loads(envelope["Message"]) == asdict(ALERT)
    assert envelope["MessageAttributes"]["severity"]["Value"] == "error"
    assert alerts_counted() == 1


def test_a_resolved_alert_is_sent_but_not_counted(
    topic: str, received: Callable[[], list[dict[str, Any]]]
) -> None:
    assert SnsAlerts(topic=topic).send(replace(ALERT, resolved=True), LOG)
    (envelope,) = received()
    assert envelope["Subject"] == "RESOLVED: marts/fct_rental"
    assert json.loads(envelope["Message"])["resolved"] is True
    assert alerts_counted() == 0


def test_the_text_has_problem_owner_and_link() -> None:
    assert ALERT.text().splitlines() == [
        "ERROR: marts/fct_rental",
        "The check `primary_key` found 3 rows twice.",
        "Owner: team:analytics_engineering",
        "Look at https://dagster.example.com/runs/1",
    ]


def test_a_subject_that_sns_would_reject_is_adapted(
    topic: str, received: Callable[[], list[dict[str, Any]]]
) -> None:
    assert SnsAlerts(topic=topic).send(replace(ALERT, subject="Größe " * 40), LOG)
    (envelope,) = received()
    assert len(envelope["Subject"]) == 100
    assert envelope["Subject"].isascii()


def test_with_a_missing_topic_the_alert_is_logged(topic: str, caplog: pytest.LogCaptureFixture) -> None:
    assert not SnsAlerts(topic=topic + "-gone").send(ALERT, LOG)
    assert ALERT.happened in caplog.text


def test_without_an_answer_from_sns_the_pipeline_continues_soon(
    topic: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    started = time.monotonic()
    assert not SnsAlerts(topic=topic).send(ALERT, LOG)
    assert time.monotonic() - started < 20
    assert ALERT.happened in caplog.text


def test_a_failed_metric_does_not_affect_the_alert(
    topic: str,
    received: Callable[[], list[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH", "http://127.0.0.1:9")
    assert SnsAlerts(topic=topic).send(ALERT, LOG)
    assert len(received()) == 1
    assert "DvdRental/Alerts could not be written" in caplog.text


def test_locally_an_alert_is_a_log_record(caplog: pytest.LogCaptureFixture) -> None:
    assert ConsoleAlerts().send(ALERT, LOG)
    assert ALERT.text() in caplog.text
