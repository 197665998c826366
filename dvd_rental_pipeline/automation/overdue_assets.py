"""Assets that miss the promise of their freshness policy are told to people."""

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

# What was late only because nobody ran it, as on a laptop in the morning, is there again before anyone is told.
ALERT_POLICY = AlertPolicy(open_after=timedelta(minutes=10), close_after=timedelta(minutes=10))


def _collect_findings(context: dg.SensorEvaluationContext, alerts: Alerts) -> Iterator[Finding]:
    graph = context.repository_def.asset_graph if context.repository_def else None
    nodes = [node for node in graph.asset_nodes if node.freshness_policy] if graph else []
    states = context.instance.get_freshness_state_records([node.key for node in nodes])
    late = [key for key, record in states.items() if record.freshness_state is FreshnessState.FAIL]
    built = {key: context.instance.get_latest_materialization_event(key) for key in late}
    for node in nodes:
        if node.key in states:
            event = built.get(node.key)
            policy = node.freshness_policy
            yield Finding(
                subject=node.key.to_user_string(),
                owner=", ".join(node.owners),
                problem=_describe_problem(policy, event) if node.key in late else None,
                link=alerts.asset_link(node.key),
            )


def _describe_problem(policy: dg.FreshnessPolicy | None, event: dg.EventLogEntry | None) -> str:
    last = (
        f"was last built {datetime.fromtimestamp(event.timestamp, UTC):%Y-%m-%d %H:%M} UTC"
        if event
        else "was never built"
    )
    return f"Overdue: {last}, and should be built {_promise(policy)}."


def _promise(policy: dg.FreshnessPolicy | None) -> str:
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
    description="Tells people when assets are late for ten minutes, and when they are up to date again.",
    runbook="docs/runbook.md#overdue",
    resolved_text="It is up to date again.",
)
