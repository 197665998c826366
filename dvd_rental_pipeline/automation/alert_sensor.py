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

from dvd_rental_pipeline.automation.alert_policy import Damping, Subject, Tell
from dvd_rental_pipeline.automation.alerts import Alert, Alerts, Severity

MANY = 20


@dataclass(frozen=True)
class Finding:
    """How a subject is. `trouble` says in words what is wrong; None: all is well."""

    subject: str
    owner: str
    trouble: str | None = None
    severity: Severity = Severity.ERROR
    link: str | None = None


@dataclass(frozen=True)
class Unjudged:
    """A subject that cannot be judged now, and stays as it was. The tick says `why`, and what to do."""

    why: str


Look: TypeAlias = Callable[[dg.SensorEvaluationContext, Alerts], Iterable[Finding | Unjudged]]
"""Finds out how all subjects are now. One that is left out stays as it was."""


def build_alert_sensor(
    name: str,
    look: Look,
    damping: Damping,
    *,
    description: str,
    runbook: str,
    well_again: str,
    interval_seconds: int = 60,
    resources: Collection[str] = (),
) -> dg.SensorDefinition:
    """A sensor that tells what `look` finds, one alert a change.

    Subjects of one owner that change at the same look share an alert. `runbook` is where people read what
    to do, `well_again` what a resolved alert says. `look` finds `resources` in its context.
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
        due: defaultdict[tuple[str, Tell], list[Finding]] = defaultdict(list)
        looked = list(look(context, alerts))
        findings = [found for found in looked if isinstance(found, Finding)]
        for finding in sorted(findings, key=lambda found: found.subject):
            subject = subjects.get(finding.subject, Subject()).observed(finding.trouble is not None, now)
            subjects[finding.subject] = subject
            tell = subject.due(damping, now)
            if tell is not None:
                due[finding.owner, tell].append(finding)
        told = 0
        for (_, tell), changed in due.items():
            if not alerts.send(_alert(changed, tell, runbook, well_again), context.log):
                # The others would fail as well, each after a while: the next look tries them.
                break
            told += 1
            for finding in changed:
                subjects[finding.subject] = subjects[finding.subject].after_telling()
        context.update_cursor(_write_cursor(subjects))
        said = f"{told} of {len(due)} alerts sent." if due else "Nothing has changed."
        unjudged = [found.why for found in looked if isinstance(found, Unjudged)]
        return dg.SkipReason(" ".join([said, *unjudged]))

    return alert_sensor


def _now() -> float:
    return time.time()


def read_cursor(cursor: str | None) -> dict[str, Subject]:
    """What a cursor says of the subjects in it; all others are well."""
    return {name: Subject(**state) for name, state in json.loads(cursor or "{}").items()}


def _write_cursor(subjects: Mapping[str, Subject]) -> str:
    return json.dumps({name: asdict(state) for name, state in subjects.items() if state.is_worth_keeping})


def _alert(findings: list[Finding], tell: Tell, runbook: str, well_again: str) -> Alert:
    first = findings[0]
    resolved = tell is Tell.RESOLVED
    severe = any(finding.severity is Severity.ERROR for finding in findings)
    more = len(findings) - 1
    told = [_line(finding, well_again, alone=not more) for finding in findings[:MANY]]
    if len(findings) > MANY:
        told.append(f"and {len(findings) - MANY} more")
    if not resolved:
        told.append(f"What to do: {runbook}")
    return Alert(
        subject=f"{first.subject} and {more} more" if more else first.subject,
        happened="\n".join(told),
        owner=first.owner,
        severity=Severity.ERROR if severe else Severity.WARNING,
        link=first.link,
        resolved=resolved,
    )


def _line(finding: Finding, well_again: str, *, alone: bool) -> str:
    said = finding.trouble or well_again
    return said if alone else f"{finding.subject}: {said}"
