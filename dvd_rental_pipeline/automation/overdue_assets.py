"""Alerts when an asset violates its freshness policy or is fresh again."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg

from dvd_rental_pipeline.automation.alert_policy import AlertPolicy
from dvd_rental_pipeline.automation.alert_sensor import Finding, build_alert_sensor
from dvd_rental_pipeline.automation.alerts import Alerts
from dvd_rental_pipeline.core.private_api.dagster import (
    CronFreshnessPolicy,
    FreshnessState,
    TimeWindowFreshnessPolicy,
)

# On a laptop in the morning, assets are overdue until the first runs have finished: no alert for that.
ALERT_POLICY = AlertPolicy(open_after=timedelta(minutes=10), close_after=timedelta(minutes=10))


def _collect_findings(context: dg.SensorEvaluationContext, alerts: Alerts) -> Iterator[Finding]:
    graph = context.repository_def.asset_graph if context.repository_def else None
    nodes = [node for node in graph.asset_nodes if node.freshness_policy] if graph else []
    states = context.instance.get_freshness_state_records([node.key for node in nodes])
    overdue = [key for key, record in states.items() if record.freshness_state is FreshnessState.FAIL]
    built = {key: context.instance.get_latest_materialization_event(key) for key in overdue}
    for node in nodes:
        if node.key in states:
            is_overdue = node.key in overdue
            yield Finding(
                subject=node.key.to_user_string(),
                owner=", ".join(node.owners),
                problem=_describe_problem(node.freshness_policy, built.get(node.key)) if is_overdue else None,
                link=alerts.asset_link(node.key),
            )


def _describe_problem(policy: dg.FreshnessPolicy | None, event: dg.EventLogEntry | None) -> str:
    last = (
        f"was last built {datetime.fromtimestamp(event.timestamp, UTC):%Y-%m-%d %H:%M} UTC"
        if event
        else "was never built"
    )
    return f"Overdue: {last}, and should be built {_expected(policy)}."


def _expected(policy: dg.FreshnessPolicy | None) -> str:
    match policy:
        case TimeWindowFreshnessPolicy():
            minutes = policy.fail_window.to_timedelta() // timedelta(minutes=1)
            return f"every {minutes} minutes at least"
        case CronFreshnessPolicy():
            minutes = policy.lower_bound_delta // timedelta(minutes=1)
            return f"in the {minutes} minutes before each `{policy.deadline_cron}` ({policy.timezone})"
        case _:
            return "sooner"


overdue_alerts = build_alert_sensor(
    "overdue_alerts",
    _collect_findings,
    ALERT_POLICY,
    description="Alerts when assets have been overdue for ten minutes, and when they are up to date again.",
    runbook="docs/runbook.md#overdue",
    resolved_text="It is up to date again.",
)
