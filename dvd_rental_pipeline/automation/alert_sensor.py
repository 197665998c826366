"""A sensor that looks at the state of many subjects and tells people of its changes, damped and bundled.

Its cursor keeps what people know. What could not be sent is tried again at the next look, so nothing is lost;
should the daemon die between sending and noting that, the same is told again: at least once.
"""

import json
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TypeAlias

import dagster as dg

from dvd_rental_pipeline.automation.alert_policy import AlertPolicy, Notification, Subject
from dvd_rental_pipeline.automation.alerts import Alert, Alerts, Severity

MANY = 20


@dataclass(frozen=True)
class Finding:
    """How a subject is. `trouble` says in words what is wrong; None: all is well."""

    subject: str
    owner: str
    problem: str | None = None
    severity: Severity = Severity.ERROR
    link: str | None = None


@dataclass(frozen=True)
class Inconclusive:
    """A subject that cannot be judged now, and stays as it was. The tick says `why`, and what to do."""

    why: str


CollectFindings: TypeAlias = Callable[[dg.SensorEvaluationContext, Alerts], Iterable[Finding | Inconclusive]]
"""Finds out how all subjects are now. One that is left out stays as it was."""


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
    """A sensor that tells what `look` finds, one alert a change.

    Subjects of one owner that change at the same look share an alert. `runbook` is where people read what
    to do, `resolved_text` what a resolved alert says. `look` finds `resources` in its context.
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
        subjects = read_cursor(context.cursor)
        due: defaultdict[tuple[str, Notification], list[Finding]] = defaultdict(list)
        looked = list(collect_findings(context, alerts))
        findings = [found for found in looked if isinstance(found, Finding)]
        for finding in sorted(findings, key=lambda found: found.subject):
            subject = subjects.get(finding.subject, Subject()).observed(finding.problem is not None, now)
            subjects[finding.subject] = subject
            tell = subject.due(policy, now)
            if tell is not None:
                due[finding.owner, tell].append(finding)
        notified = 0
        for (_, tell), changed in due.items():
            if not alerts.send(_alert(changed, tell, runbook, resolved_text), context.log):
                # The others would fail as well, each after a while: the next look tries them.
                break
            notified += 1
            for finding in changed:
                subjects[finding.subject] = subjects[finding.subject].after_notification()
        context.update_cursor(_write_cursor(subjects))
        said = f"{notified} of {len(due)} alerts sent." if due else "Nothing has changed."
        unjudged = [found.why for found in looked if isinstance(found, Inconclusive)]
        return dg.SkipReason(" ".join([said, *unjudged]))

    return alert_sensor


def _now() -> float:
    return time.time()


def read_cursor(cursor: str | None) -> dict[str, Subject]:
    """What a cursor says of the subjects in it; all others are well."""
    return {name: Subject(**state) for name, state in json.loads(cursor or "{}").items()}


def _write_cursor(subjects: Mapping[str, Subject]) -> str:
    return json.dumps({name: asdict(state) for name, state in subjects.items() if state.is_worth_keeping})


def _alert(findings: list[Finding], tell: Notification, runbook: str, resolved_text: str) -> Alert:
    first = findings[0]
    resolved = tell is Notification.RESOLVED
    severe = any(finding.severity is Severity.ERROR for finding in findings)
    more = len(findings) - 1
    notified = [_line(finding, resolved_text, alone=not more) for finding in findings[:MANY]]
    if len(findings) > MANY:
        notified.append(f"and {len(findings) - MANY} more")
    if not resolved:
        notified.append(f"What to do: {runbook}")
    return Alert(
        subject=f"{first.subject} and {more} more" if more else first.subject,
        happened="\n".join(notified),
        owner=first.owner,
        severity=Severity.ERROR if severe else Severity.WARNING,
        link=first.link,
        resolved=resolved,
    )


def _line(finding: Finding, resolved_text: str, *, alone: bool) -> str:
    said = finding.problem or resolved_text
    return said if alone else f"{finding.subject}: {said}"
