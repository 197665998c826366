"""Who looks at the conditions, every half a minute: a sensor each for the source, the models and the reports.

Each can be turned off by itself, and says in the tags of its runs why they were started.
"""

from collections.abc import Sequence

import dagster as dg

from dvd_rental_pipeline.automation.run_tags import CAUSE, INCIDENT_KEY
from dvd_rental_pipeline.automation.schedules import SYNC_JOB

CHECKS_PAGE = dg.AssetSelection.key_prefixes(["site", "checks"])

CONDITION_SENSORS: Sequence[dg.AutomationConditionSensorDefinition] = [
    dg.AutomationConditionSensorDefinition(
        name="source_catch_up",
        target=dg.AssetSelection.groups("raw"),
        run_tags={CAUSE: "the source was late", INCIDENT_KEY: SYNC_JOB},
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts one more sync when the replicated tables are late, whatever the schedule did.",
    ),
    dg.AutomationConditionSensorDefinition(
        name="models_follow_source",
        target=dg.AssetSelection.groups("staging", "snapshots", "marts") | CHECKS_PAGE,
        run_tags={CAUSE: "inputs were updated", INCIDENT_KEY: "models"},
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Builds staging, snapshots and marts after each sync, unless a blocking check failed, "
        "and tells of the checks.",
    ),
    dg.AutomationConditionSensorDefinition(
        name="reports_every_morning",
        target=dg.AssetSelection.groups("reports", "site") - CHECKS_PAGE,
        run_tags={CAUSE: "morning", INCIDENT_KEY: "reports"},
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Builds the reports once a day, from 05:00 UTC on, after the marts, and then the site.",
    ),
]
