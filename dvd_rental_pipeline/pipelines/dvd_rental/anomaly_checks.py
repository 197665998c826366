"""The metrics of the DVD rental marts whose changes from run to run are checked."""

import dagster as dg

from dvd_rental_pipeline.ingestion.asset_keys import leader_key
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.quality.anomaly_bounds import TrackedMetric, build_anomaly_checks

TRACKED_METRICS = (
    *(
        TrackedMetric(
            dg.AssetKey(["marts", table]), "rows", f"select count(*) from marts.{table}", "The number of rows"
        )
        for table in ("fct_rental", "fct_payment", "dim_customer", "dim_film")
    ),
    TrackedMetric(
        dg.AssetKey(["marts", "fct_payment"]),
        "revenue",
        "select coalesce(sum(amount), 0) from marts.fct_payment",
        "Revenue, in dollars,",
    ),
    TrackedMetric(
        dg.AssetKey(["marts", "fct_rental"]),
        "revenue",
        "select coalesce(sum(revenue), 0) from marts.fct_rental",
        "Revenue, in dollars,",
    ),
)


def build_dvd_rental_anomaly_checks() -> dg.AssetChecksDefinition:
    """One step with a check for each of `TRACKED_METRICS`."""
    return build_anomaly_checks(TRACKED_METRICS, copied_asset=leader_key(DVD_RENTAL))
