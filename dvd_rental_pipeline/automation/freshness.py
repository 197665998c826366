"""How soon each tier of assets must be rebuilt, and must show what is new: two tables of promises.

A freshness policy looks at when an asset was materialized, not at how old the data in it are. Checks look at
that: an asset may be built in time, and again and again, from data that no longer move.
"""

from collections.abc import Mapping
from datetime import timedelta

import dagster as dg

from dvd_rental_pipeline.core.catalog import FreshnessTier

SYNC_CRON = "*/15 * * * *"
REPORTS_CRON = "0 5 * * *"

_MODELS = dg.FreshnessPolicy.time_window(warn_window=timedelta(minutes=45), fail_window=timedelta(hours=1))

FRESHNESS_POLICIES: Mapping[str, dg.FreshnessPolicy] = {
    # A sync that takes longer than its quarter of an hour lets one turn pass: two turns are no delay yet.
    FreshnessTier.TRANSACTIONS: dg.FreshnessPolicy.time_window(
        warn_window=timedelta(minutes=35), fail_window=timedelta(minutes=45)
    ),
    FreshnessTier.REFERENCE: dg.FreshnessPolicy.time_window(
        warn_window=timedelta(hours=2), fail_window=timedelta(hours=3)
    ),
    "staging": _MODELS,
    "snapshots": _MODELS,
    "marts": _MODELS,
    "checks": _MODELS,
    # Begun at 05:00, there by 06:00, when the first people look; the pages half an hour later.
    "reports": dg.FreshnessPolicy.cron(deadline_cron="0 6 * * *", lower_bound_delta=timedelta(hours=1)),
    "site": dg.FreshnessPolicy.cron(
        deadline_cron="30 6 * * *", lower_bound_delta=timedelta(hours=1, minutes=30)
    ),
}
"""By tier of a replicated table, or else by layer. Times are UTC."""

DATA_LAG: Mapping[str, timedelta] = {
    # How long a change of the source may wait for its sync.
    FreshnessTier.TRANSACTIONS: timedelta(minutes=45),
    FreshnessTier.REFERENCE: timedelta(hours=3),
    # How long a change that was synced may wait until the table shows it.
    "snapshots": timedelta(hours=1),
    "marts": timedelta(hours=1),
    # What comes just after a morning's reports were begun is in those of the next morning, by 06:00.
    "reports": timedelta(hours=26),
}
"""By tier of a replicated table, or else by layer. Staging is views, which show what there is."""
