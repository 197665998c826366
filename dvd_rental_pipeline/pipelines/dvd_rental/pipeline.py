"""The declaration of the DVD rental pipeline."""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from dvd_rental_pipeline.assembly.declaration import CapturePipeline, TierFreshness
from dvd_rental_pipeline.core.catalog import FreshnessTier
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL

if TYPE_CHECKING:
    import dagster as dg


def _build_checks() -> Sequence["dg.AssetChecksDefinition"]:
    # Dagster takes seconds to import, and not every reader of the declaration needs it.
    from dvd_rental_pipeline.pipelines.dvd_rental.anomaly_checks import (  # noqa: PLC0415
        build_dvd_rental_anomaly_checks,
    )

    return [build_dvd_rental_anomaly_checks()]


DVD_RENTAL_PIPELINE = CapturePipeline(
    domain=DVD_RENTAL,
    ingestion_key="ingestion",
    sync_cron="*/15 * * * *",
    tiers={
        # A sync that takes longer than 15 minutes skips one turn: two intervals are not a delay yet.
        FreshnessTier.TRANSACTIONS: TierFreshness(
            warn_after=timedelta(minutes=35), fail_after=timedelta(minutes=45), commit_lag=timedelta(minutes=45)
        ),
        FreshnessTier.REFERENCE: TierFreshness(
            warn_after=timedelta(hours=2), fail_after=timedelta(hours=3), commit_lag=timedelta(hours=3)
        ),
    },
    raw_group="raw",
    built_table=("marts", "fct_payment"),
    build_checks=_build_checks,
)
