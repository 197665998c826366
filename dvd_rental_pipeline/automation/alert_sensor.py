"""A sensor that evaluates many subjects and sends one notification per change, grouped by owner.

The cursor keeps the state of each subject that fails or has an open alert. An alert that could not be sent is
sent at the next evaluation; if the daemon stops between sending and storing the cursor, it is sent again: at
least once.
"""

import json
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import TypeAlias

import dagster as dg

from dvd_rental_pipeline.automation.alert_policy import AlertPolicy, AlertState, Notification
from dvd_rental_pipeline.automation.alerts import Alert, Alerts, Severity

MAX_LISTED = 20


@dataclass(frozen=True)
class Finding:
    """The condition of a subject. `problem` describes what is wrong; None when nothing is."""

    subject: str
    owner: str
    problem: str | None = None
    severity: Severity = Severity.ERROR
    link: str | None = None


@dataclass(frozen=True)
class Inconclusive:
    """A subject that cannot be evaluated now and keeps its state. The tick shows `reason`, which says what to
    do.
    """

    reason: str


CollectFindings: TypeAlias = Callable[[dg.SensorEvaluationContext, Alerts], Iterable[Finding | Inconclusive]]
"""Evaluates all subjects. A subject that is left out keeps its state."""


def build_alert_sensor(
    name: str,
    collect_findings: CollectFindings,
    policy: AlertPolicy,
    *,
    description: str,
    runbook: str,
    resolved_text: str,
    interval_seconds: int = 60,
    resources: Collection[str] = (),
) -> dg.SensorDefinition:
    """A sensor that notifies about what `collect_findings` returns.

    Subjects of one owner that change in the same evaluation share an alert. `runbook` is where to read what to
    do, `resolved_text` the text of a resolved alert. `resources` are keys of resources that `collect_findings`
    uses.
    """

    @dg.sensor(
        name=name,
        description=description,
        minimum_interval_seconds=interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        required_resource_keys={"alerts", *resources},
    )
    def alert_sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        alerts: Alerts = context.resources.alerts
        now = _now()
        states = read_cursor(context.cursor)
        due: defaultdict[tuple[str, Notification], list[Finding]] = defaultdict(list)
        collected = list(collect_findings(context, alerts))
        findings = [found for found in collected if isinstance(found, Finding)]
        for finding in sorted(findings, key=lambda found: found.subject):
            state = states.get(finding.subject, AlertState()).observed(finding.problem is not None, now)
            states[finding.subject] = state
            notification = state.due(policy, now)
            if notification is not None:
                due[finding.owner, notification].append(finding)
        sent: list[Alert] = []
        for (_, notification), changed in due.items():
            alert = _alert(changed, notification, runbook, resolved_text)
            if not alerts.send(alert, context.log):
                # The others would fail too, each after a timeout: the next evaluation retries them.
                break
            sent.append(alert)
            for finding in changed:
                states[finding.subject] = states[finding.subject].after_notification()
        context.update_cursor(_write_cursor(states))
        summary = f"{len(sent)} of {len(due)} alerts sent." if due else "Nothing has changed."
        inconclusive = [found.reason for found in collected if isinstance(found, Inconclusive)]
        return dg.SkipReason(" ".join([summary, *inconclusive]))

    return alert_sensor


def _now() -> float:
    return time.time()


def read_cursor(cursor: str | None) -> dict[str, AlertState]:
    """The states in a cursor, by subject; a subject without one passes and has no open alert.

    States in the format of another version are dropped: their open alerts are sent once more.
    """
    names = {field.name for field in fields(AlertState)}
    states: dict[str, dict[str, float]] = json.loads(cursor or "{}")
    return {
        subject: AlertState(bool(state["notified"]), bool(state["failing"]), state["since"])
        for subject, state in states.items()
        if state.keys() == names
    }


def _write_cursor(states: Mapping[str, AlertState]) -> str:
    return json.dumps({subject: asdict(state) for subject, state in states.items() if state.is_worth_keeping})


def _alert(findings: list[Finding], notification: Notification, runbook: str, resolved_text: str) -> Alert:
    first = findings[0]
    resolved = notification is Notification.RESOLVED
    is_error = any(finding.severity is Severity.ERROR for finding in findings)
    more = len(findings) - 1
    lines = [_line(finding, resolved_text, alone=not more) for finding in findings[:MAX_LISTED]]
    if len(findings) > MAX_LISTED:
        lines.append(f"and {len(findings) - MAX_LISTED} more")
    if not resolved:
        lines.append(f"What to do: {runbook}")
    return Alert(
        subject=f"{first.subject} and {more} more" if more else first.subject,
        happened="\n".join(lines),
        owner=first.owner,
        severity=Severity.ERROR if is_error else Severity.WARNING,
        link=first.link,
        resolved=resolved,
    )


def _line(finding: Finding, resolved_text: str, *, alone: bool) -> str:
    text = finding.problem or resolved_text
    return text if alone else f"{finding.subject}: {text}"
