"""Alerts when a replication slot retains so much log that the source's disk may fill.

A source with a URL is queried. The embedded one is stopped between syncs, when its log does not grow: its slot
is evaluated by what the last sync recorded.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import dagster as dg

from dvd_rental_pipeline.automation.alert_policy import AlertPolicy
from dvd_rental_pipeline.automation.alert_sensor import Finding, Inconclusive, build_alert_sensor
from dvd_rental_pipeline.automation.alerts import Alerts, Severity
from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.ingestion.asset_keys import leader_key
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.slot import ReplicationSlot, allowed_bytes
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.source_facts import fetch_slot
from dvd_rental_pipeline.ingestion.resource import Ingestion

ALERT_POLICY = AlertPolicy(open_after=timedelta(0), close_after=timedelta(minutes=45))


@dataclass(frozen=True)
class MonitoredSlot:
    """The replication slot of `domain`, which the resource `ingestion_key` knows."""

    domain: Domain
    ingestion_key: str


def build_slot_lag_alerts(slots: Sequence[MonitoredSlot]) -> dg.SensorDefinition:
    """One sensor for all `slots`."""

    def collect_findings(
        context: dg.SensorEvaluationContext, alerts: Alerts
    ) -> Iterator[Finding | Inconclusive]:
        for slot in slots:
            ingestion: Ingestion = getattr(context.resources, slot.ingestion_key)
            problem = _find_problem(context.instance, slot.domain, ingestion)
            if isinstance(problem, Inconclusive):
                yield problem
            else:
                yield Finding(
                    subject=f"replication slot of {slot.domain.name}",
                    owner=slot.domain.owner,
                    problem=problem,
                    severity=Severity.WARNING,
                    link=alerts.asset_link(leader_key(slot.domain)),
                )

    return build_alert_sensor(
        "slot_lag_alerts",
        collect_findings,
        ALERT_POLICY,
        description="Warns when a replication slot retains over half of the log that it may, or is lost.",
        runbook="docs/runbook.md#replication-slot",
        resolved_text="Syncs keep up with the slot again.",
        interval_seconds=300,
        resources={slot.ingestion_key for slot in slots},
    )


def _find_problem(
    instance: dg.DagsterInstance, domain: Domain, ingestion: Ingestion
) -> str | Inconclusive | None:
    watched = ingestion.watched_slot()
    if watched is None:
        return _problem_of_last_sync(instance, domain)
    try:
        return _problem_of_slot(watched.name, fetch_slot(watched.url, watched.name))
    except PipelineError as error:
        return Inconclusive(f"The slot {watched.name} could not be queried. {error}")


def _problem_of_slot(name: str, slot: ReplicationSlot | None) -> str | Inconclusive | None:
    if slot is None:
        return Inconclusive(f"The source has no slot {name}: the first sync creates it.")
    if slot.status == "lost":
        return "The slot is lost: the source retained no more log for it, and the next sync copies every table."
    return _problem_of_size(slot.retained_bytes, slot.limit_bytes, "The slot makes the source retain")


def _problem_of_last_sync(instance: dg.DagsterInstance, domain: Domain) -> str | Inconclusive | None:
    event = instance.get_latest_materialization_event(leader_key(domain))
    materialization = event.asset_materialization if event else None
    if materialization is None:
        return Inconclusive(f"{domain.name} was never synced: there is no slot yet.")
    lag = materialization.metadata.get("slot_lag_bytes")
    if not isinstance(lag, dg.IntMetadataValue) or lag.value is None:
        return Inconclusive(
            f"The slot of {domain.name} cannot be evaluated: its syncs do not report how much log it retains, "
            "and the source is not known. Set DVD_RENTAL_SOURCE_URL to a role that may read it."
        )
    return _problem_of_size(lag.value, None, "After the last sync the slot still makes the source retain")


def _problem_of_size(retained: int, limit: int | None, prefix: str) -> str | None:
    allowed = allowed_bytes(limit)
    if retained <= allowed:
        return None
    return (
        f"{prefix} {retained / 1e6:,.0f} MB of log; more than {allowed / 1e6:,.0f} MB means that syncs do not "
        "keep up, and fills its disk."
    )
