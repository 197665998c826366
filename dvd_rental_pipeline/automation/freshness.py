"""Freshness of each layer of models: how often it must be rebuilt, and how soon it must show new data.

A freshness policy measures when an asset was materialized, not the age of the data in it. Data lag is a check
of its own: an asset may be rebuilt on time from data that no longer change.
"""

from collections.abc import Mapping
from datetime import timedelta

import dagster as dg

REPORTS_CRON = "0 5 * * *"
CONFIRMATION_CRON = "*/30 * * * *"
"""When models are confirmed whose inputs were synced without a change, so that they stay fresh."""

_MODELS = dg.FreshnessPolicy.time_window(warn_window=timedelta(minutes=45), fail_window=timedelta(hours=1))


LAYER_FRESHNESS: Mapping[str, dg.FreshnessPolicy] = {
    "staging": _MODELS,
    "snapshots": _MODELS,
    "marts": _MODELS,
    "checks": _MODELS,
    # Started at 05:00, complete by 06:00, when the first readers come; the pages half an hour later.
    "reports": dg.FreshnessPolicy.cron(deadline_cron="0 6 * * *", lower_bound_delta=timedelta(hours=1)),
    "site": dg.FreshnessPolicy.cron(
        deadline_cron="30 6 * * *", lower_bound_delta=timedelta(hours=1, minutes=30)
    ),
}
"""By layer of what is built from raw tables. Times are UTC."""

LAYER_DATA_LAG: Mapping[str, timedelta] = {
    "snapshots": timedelta(hours=1),
    "marts": timedelta(hours=1),
    # What is synced just after a morning's reports have started is in those of the next morning, by 06:00.
    "reports": timedelta(hours=26),
}
"""By layer: how long a synced change may wait until the table shows it. Staging is views, which show it at
once.
"""
