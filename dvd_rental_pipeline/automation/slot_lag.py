"""A replication slot that makes the source keep too much log is told to people before the disk is full.

The lag is what the last sync of the source noted; a source that is no longer synced at all is overdue.
"""

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg

from dvd_rental_pipeline.automation.alert_sensor import Finding, build_alert_sensor
from dvd_rental_pipeline.automation.damping import Damping
from dvd_rental_pipeline.catalog.dvd_rental import DVD_RENTAL
from dvd_rental_pipeline.resources.alerts import Alerts, Severity

WARN_BYTES = 1_000_000_000
"""A quarter of what the embedded source keeps (`max_slot_wal_keep_size`), a tenth of what RDS is set to."""

DAMPING = Damping(patience=timedelta(0), calm=timedelta(minutes=45))


def _look(context: dg.SensorEvaluationContext, alerts: Alerts) -> Iterator[Finding]:
    leader = dg.AssetKey([DVD_RENTAL.name, DVD_RENTAL.leader.name])
    event = context.instance.get_latest_materialization_event(leader)
    materialization = event.asset_materialization if event else None
    lag = materialization.metadata.get("slot_lag_bytes") if materialization else None
    if not isinstance(lag, dg.IntMetadataValue) or lag.value is None:
        return
    yield Finding(
        subject=f"replication slot of {DVD_RENTAL.name}",
        owner=DVD_RENTAL.owner,
        trouble=f"After the last sync the slot still makes the source keep {lag.value / 1e6:,.0f} MB of log; "
        f"more than {WARN_BYTES / 1e6:,.0f} MB means that syncs do not keep up, and fills its disk."
        if lag.value > WARN_BYTES
        else None,
        severity=Severity.WARNING,
        link=alerts.asset_link(leader),
    )


slot_lag_alerts = build_alert_sensor(
    "slot_lag_alerts",
    _look,
    DAMPING,
    description="Warns when the replication slot makes the source keep more than a gigabyte of log.",
    runbook="docs/runbook.md#replication-slot",
    well_again="The slot keeps up again.",
)
