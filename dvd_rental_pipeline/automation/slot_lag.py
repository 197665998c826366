"""A replication slot that makes the source keep too much log is told to people before the disk is full.

A source with an address is asked itself. The embedded one sleeps between syncs, and its log does not grow: it
is judged by what its last sync noted.
"""

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg

from dvd_rental_pipeline.automation.alert_policy import AlertPolicy
from dvd_rental_pipeline.automation.alert_sensor import Finding, Inconclusive, build_alert_sensor
from dvd_rental_pipeline.automation.alerts import Alerts, Severity
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.source_facts import SlotFacts, read_slot
from dvd_rental_pipeline.ingestion.resource import Ingestion
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL

WARN_BYTES = 1_000_000_000
"""A quarter of what the embedded source keeps (`max_slot_wal_keep_size`), a tenth of what RDS is set to."""

ALERT_POLICY = AlertPolicy(open_after=timedelta(0), close_after=timedelta(minutes=45))
LEADER = dg.AssetKey([DVD_RENTAL.name, DVD_RENTAL.leader.name])


def _collect_findings(context: dg.SensorEvaluationContext, alerts: Alerts) -> Iterator[Finding | Inconclusive]:
    ingestion: Ingestion = context.resources.ingestion
    watched = ingestion.watched_slot()
    if watched is None:
        problem = _noted(context.instance)
    else:
        try:
            problem = _asked(watched.name, read_slot(watched.url, watched.name))
        except PipelineError as error:
            problem = Inconclusive(f"The slot {watched.name} could not be asked for. {error}")
    if isinstance(problem, Inconclusive):
        yield problem
        return
    yield Finding(
        subject=f"replication slot of {DVD_RENTAL.name}",
        owner=DVD_RENTAL.owner,
        problem=problem,
        severity=Severity.WARNING,
        link=alerts.asset_link(LEADER),
    )


def _asked(name: str, slot: SlotFacts | None) -> str | Inconclusive | None:
    if slot is None:
        return Inconclusive(f"The source has no slot {name}: the first sync makes it.")
    if slot.status == "lost":
        return "The slot is lost: the source kept no more log for it, and the next sync copies every table."
    return _too_much(slot.retained_bytes, "The slot makes the source keep")


def _noted(instance: dg.DagsterInstance) -> str | Inconclusive | None:
    event = instance.get_latest_materialization_event(LEADER)
    materialization = event.asset_materialization if event else None
    if materialization is None:
        return Inconclusive("The source was never synced: there is no slot yet.")
    lag = materialization.metadata.get("slot_lag_bytes")
    if not isinstance(lag, dg.IntMetadataValue) or lag.value is None:
        return Inconclusive(
            "The slot cannot be judged: syncs do not tell how much log it holds back, and the source is not "
            "known. Set DVD_RENTAL_SOURCE_URL to a role that may read it."
        )
    return _too_much(lag.value, "After the last sync the slot still makes the source keep")


def _too_much(kept: int, notified: str) -> str | None:
    if kept <= WARN_BYTES:
        return None
    return (
        f"{notified} {kept / 1e6:,.0f} MB of log; more than {WARN_BYTES / 1e6:,.0f} MB means that syncs do not "
        "keep up, and fills its disk."
    )


slot_lag_alerts = build_alert_sensor(
    "slot_lag_alerts",
    _collect_findings,
    ALERT_POLICY,
    description="Warns when the replication slot makes the source keep over a gigabyte of log, or is lost.",
    runbook="docs/runbook.md#replication-slot",
    resolved_text="The slot keeps up again.",
    interval_seconds=300,
    resources={"ingestion"},
)
