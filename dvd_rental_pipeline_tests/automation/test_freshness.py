"""The schedules keep the freshness policies."""

from datetime import timedelta

import pytest

from dvd_rental_pipeline.automation.conditions import LAYER_CONDITIONS
from dvd_rental_pipeline.automation.freshness import LAYER_FRESHNESS, REPORTS_CRON
from dvd_rental_pipeline.core.catalog import FreshnessTier
from dvd_rental_pipeline.core.private_api.dagster import CronFreshnessPolicy, TimeWindowFreshnessPolicy
from dvd_rental_pipeline.pipelines.dvd_rental.pipeline import DVD_RENTAL_PIPELINE

EVERY = timedelta(minutes=int(DVD_RENTAL_PIPELINE.sync_cron.split()[0].removeprefix("*/")))
# A sync that takes 15 minutes makes the next tick skip; models take minutes.
SLOWEST = 2 * EVERY
MODELS = timedelta(minutes=10)


def test_every_tier_and_layer_has_a_freshness_policy() -> None:
    assert set(DVD_RENTAL_PIPELINE.tiers) == set(FreshnessTier)
    assert set(LAYER_FRESHNESS) == {*LAYER_CONDITIONS, "checks"}


@pytest.mark.parametrize("tier", list(FreshnessTier))
def test_a_slow_sync_is_not_late(tier: FreshnessTier) -> None:
    assert DVD_RENTAL_PIPELINE.tiers[tier].warn_after > SLOWEST


@pytest.mark.parametrize("layer", ["staging", "snapshots", "marts"])
def test_models_after_a_slow_sync_are_not_late(layer: str) -> None:
    policy = LAYER_FRESHNESS[layer]
    assert isinstance(policy, TimeWindowFreshnessPolicy)
    assert policy.warn_window is not None
    assert policy.warn_window.to_timedelta() > SLOWEST + MODELS


def test_reports_have_an_hour_from_start_to_deadline() -> None:
    minute, hour, *_ = REPORTS_CRON.split()
    begin = timedelta(hours=int(hour), minutes=int(minute))
    for layer in ("reports", "site"):
        policy = LAYER_FRESHNESS[layer]
        assert isinstance(policy, CronFreshnessPolicy)
        deadline_minute, deadline_hour, *_ = policy.deadline_cron.split()
        deadline = timedelta(hours=int(deadline_hour), minutes=int(deadline_minute))
        assert deadline - policy.lower_bound_delta == begin, "what is built at the start of the morning counts"
        assert deadline - begin >= SLOWEST + 2 * MODELS
