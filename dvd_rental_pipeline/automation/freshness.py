"""How soon each tier of assets must be rebuilt: one table of promises.

A freshness policy looks at when an asset was materialized, not at how old the data in it are.
"""

from datetime import timedelta

import dagster as dg

from dvd_rental_pipeline.catalog.tables import FreshnessTier

FRESHNESS_POLICIES = {
    FreshnessTier.TRANSACTIONS: dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=26), warn_window=timedelta(hours=25)
    ),
    FreshnessTier.REFERENCE: dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=50), warn_window=timedelta(hours=49)
    ),
}
"""Windows that the daily schedule keeps, with an hour or two to spare."""
