"""The sensors that evaluate automation conditions, every half minute: one per source, one for models, one for
reports.

Each can be switched off separately and tags its runs with the reason for which they were started.
"""

from functools import reduce
from operator import or_

import dagster as dg

from dvd_rental_pipeline.automation.gated_sensor import GatedConditionSensor
from dvd_rental_pipeline.automation.schedules import raw_tables, sync_job_name
from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.core.run_tags import CAUSE, INCIDENT_KEY


def layers(*names: str) -> dg.AssetSelection:
    """The assets of these layers in all pipelines, whatever their groups."""
    return reduce(or_, (dg.AssetSelection.tag("layer", name) for name in names))


CHECKS_PAGE = dg.AssetSelection.key_prefixes(["site", "checks"])

MODEL_SENSORS = (
    GatedConditionSensor(
        name="models_follow_source",
        target=layers("staging", "snapshots", "marts") | CHECKS_PAGE,
        run_tags={CAUSE: "inputs were updated", INCIDENT_KEY: "models"},
        description="Builds staging, snapshots and marts after each sync with changes, and after others every "
        "half hour, unless a blocking check failed, and publishes the check report.",
    ),
    GatedConditionSensor(
        name="reports_every_morning",
        target=layers("reports", "site") - CHECKS_PAGE,
        run_tags={CAUSE: "morning", INCIDENT_KEY: "reports"},
        description="Builds the reports once a day, from 05:00 UTC on, after the marts, and then the site.",
    ),
)


def build_catch_up_sensor(domain: Domain) -> GatedConditionSensor:
    """The sensor that starts an extra sync of `domain` when its raw tables are late."""
    return GatedConditionSensor(
        name=f"{domain.name}_catch_up",
        target=raw_tables(domain),
        run_tags={CAUSE: "the source was late", INCIDENT_KEY: sync_job_name(domain)},
        description=f"Starts one extra sync of {domain.name} when its raw tables are late, whatever the "
        "schedule did.",
    )
