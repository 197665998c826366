"""The declaration of the DVD rental pipeline."""

from datetime import timedelta

import dagster as dg

from dvd_rental_pipeline.automation.freshness import TierFreshness
from dvd_rental_pipeline.core.catalog import FreshnessTier
from dvd_rental_pipeline.pipelines.declaration import CapturePipeline
from dvd_rental_pipeline.pipelines.dvd_rental.anomaly_checks import build_dvd_rental_anomaly_checks
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL

DVD_RENTAL_PIPELINE = CapturePipeline(
    domain=DVD_RENTAL,
    ingestion_key="ingestion",
    sync_cron="*/15 * * * *",
    tiers={
        # A sync that takes longer than 15 minutes skips one turn: two intervals are not a delay yet.
        FreshnessTier.TRANSACTIONS: TierFreshness(
            policy=dg.FreshnessPolicy.time_window(
                warn_window=timedelta(minutes=35), fail_window=timedelta(minutes=45)
            ),
            commit_lag=timedelta(minutes=45),
        ),
        FreshnessTier.REFERENCE: TierFreshness(
            policy=dg.FreshnessPolicy.time_window(
                warn_window=timedelta(hours=2), fail_window=timedelta(hours=3)
            ),
            commit_lag=timedelta(hours=3),
        ),
    },
    raw_group="raw",
    build_checks=lambda: [build_dvd_rental_anomaly_checks()],
)
