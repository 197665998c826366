"""Alerts when an asset check fails or recovers."""

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
from dagster import AssetCheckEvaluation, AssetCheckSeverity

from dvd_rental_pipeline.automation.alert_policy import AlertPolicy
from dvd_rental_pipeline.automation.alert_sensor import Finding, build_alert_sensor
from dvd_rental_pipeline.automation.alerts import Alerts, Severity
from dvd_rental_pipeline.quality.findings import describe_failure

# The first failure is sent at once. A check that flaps is one incident: it ends when the check has passed for a
# while.
ALERT_POLICY = AlertPolicy(open_after=timedelta(0), close_after=timedelta(minutes=45))


def _collect_findings(context: dg.SensorEvaluationContext, alerts: Alerts) -> Iterator[Finding]:
    graph = context.repository_def.asset_graph if context.repository_def else None
    nodes = list(graph.asset_check_nodes) if graph else []
    storage = context.instance.event_log_storage
    latest = storage.get_latest_asset_check_execution_by_key([node.key for node in nodes])
    for node in nodes:
        record = latest.get(node.key)
        evaluation = record.evaluation if record else None
        # A planned check has no result yet.
        if graph is None or not isinstance(evaluation, AssetCheckEvaluation):
            continue
        asset = graph.get(node.key.asset_key)
        problem = None if evaluation.passed else _describe_problem(node.description, evaluation, node.blocking)
        yield Finding(
            subject=f"check {node.key.name} of {node.key.asset_key.to_user_string()}",
            owner=", ".join(asset.owners),
            problem=problem,
            severity=Severity.ERROR if evaluation.severity is AssetCheckSeverity.ERROR else Severity.WARNING,
            link=alerts.asset_link(node.key.asset_key, node.key.name),
        )


def _describe_problem(expectation: str | None, evaluation: AssetCheckEvaluation, blocking: bool) -> str:
    sentences = [describe_failure(evaluation).rstrip(".")]
    if expectation and expectation != evaluation.description:
        sentences.append(f"Expected: {expectation.rstrip('.')}")
    if blocking and evaluation.severity is AssetCheckSeverity.ERROR:
        sentences.append("Nothing downstream is built until it passes")
    return ". ".join(sentences) + "."


failed_check_alerts = build_alert_sensor(
    "failed_check_alerts",
    _collect_findings,
    ALERT_POLICY,
    description="Alerts when an asset check fails, and when it has passed again for 45 minutes.",
    runbook="docs/runbook.md",
    resolved_text="It passes again.",
)
