"""The promises of freshness are kept by the times at which things run."""

from datetime import timedelta

import pytest

from dvd_rental_pipeline.automation.conditions import MODEL_CONDITIONS
from dvd_rental_pipeline.automation.freshness import FRESHNESS_POLICIES, REPORTS_CRON, SYNC_CRON
from dvd_rental_pipeline.core.catalog import FreshnessTier
from dvd_rental_pipeline.core.private_api.dagster import CronFreshnessPolicy, TimeWindowFreshnessPolicy

EVERY = timedelta(minutes=int(SYNC_CRON.split()[0].removeprefix("*/")))
# A slow sync of a quarter of an hour makes the next turn pass; models take minutes.
SLOWEST = 2 * EVERY
MODELS = timedelta(minutes=10)


def test_every_tier_and_layer_has_a_promise() -> None:
    assert set(FRESHNESS_POLICIES) == {*FreshnessTier, *MODEL_CONDITIONS, "checks"}


@pytest.mark.parametrize("tier", list(FreshnessTier))
def test_a_slow_sync_is_not_late(tier: FreshnessTier) -> None:
    policy = FRESHNESS_POLICIES[tier]
    assert isinstance(policy, TimeWindowFreshnessPolicy)
    assert policy.warn_window is not None
    assert policy.warn_window.to_timedelta() > SLOWEST


@pytest.mark.parametrize("layer", ["staging", "snapshots", "marts"])
def test_models_after_a_slow_sync_are_not_late(layer: str) -> None:
    policy = FRESHNESS_POLICIES[layer]
    assert isinstance(policy, TimeWindowFreshnessPolicy)
    assert policy.warn_window is not None
    assert policy.warn_window.to_timedelta() > SLOWEST + MODELS


def test_reports_have_an_hour_from_the_time_they_begin_to_their_deadline() -> None:
    minute, hour, *_ = REPORTS_CRON.split()
    begin = timedelta(hours=int(hour), minutes=int(minute))
    for layer in ("reports", "site"):
        policy = FRESHNESS_POLICIES[layer]
        assert isinstance(policy, CronFreshnessPolicy)
        deadline_minute, deadline_hour, *_ = policy.deadline_cron.split()
        deadline = timedelta(hours=int(deadline_hour), minutes=int(deadline_minute))
        assert deadline - policy.lower_bound_delta == begin, "what is built when the morning begins counts"
        assert deadline - begin >= SLOWEST + 2 * MODELS
