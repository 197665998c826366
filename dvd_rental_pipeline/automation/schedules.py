"""Jobs, and when they run."""

import dagster as dg

from dvd_rental_pipeline.catalog.dvd_rental import DVD_RENTAL

dvd_rental_job = dg.define_asset_job(
    "dvd_rental",
    # The report on the checks is downstream of nothing, so that nothing that fails can skip it.
    selection=dg.AssetSelection.key_prefixes(DVD_RENTAL.name).downstream().materializable()
    | dg.AssetSelection.assets(["site", "checks"]),
    description="Replicate the DVD rental database, then build every model, report and check on it.",
)

daily_schedule = dg.ScheduleDefinition(
    name="dvd_rental_daily",
    job=dvd_rental_job,
    cron_schedule="0 5 * * *",
    execution_timezone="UTC",
    description="Every day at 05:00 UTC, so that the reports are there before the stores open.",
)
