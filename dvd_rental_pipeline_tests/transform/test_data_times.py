"""A table is as stale as its stalest input."""

from datetime import UTC, datetime, timedelta

from dvd_rental_pipeline.transform.data_times import DataTimes
from dvd_rental_pipeline_tests.transform.small_manifests import manifest_of, model, source

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
EARLIER = NOON - timedelta(hours=1)
FILMS, USERS = source("shop.film"), source("signups.user")
VIEW, MART, OTHER, REPORT, UNKNOWN, BELOW_UNKNOWN = (
    f"model.small.{name}" for name in ("view", "mart", "other", "report", "unknown", "below_unknown")
)
MANIFEST = manifest_of(
    FILMS,
    USERS,
    model("staging.view", [FILMS["unique_id"]], materialized="view"),
    model("marts.mart", [VIEW]),
    model("marts.other", [VIEW]),
    model("marts.unknown", [VIEW]),
    model("reports.report", [MART, OTHER, VIEW]),
    model("reports.below_unknown", [UNKNOWN, MART]),
    model("reports.both_domains", [VIEW, USERS["unique_id"]]),
)


def test_a_table_is_as_stale_as_its_stalest_input() -> None:
    times = DataTimes(MANIFEST, newest={"shop": NOON}, stored={OTHER: EARLIER})
    built = [MART, REPORT, BELOW_UNKNOWN]
    assert times.of(built, built) == {MART: NOON, REPORT: EARLIER}, "below an unknown input it is unknown"
    assert DataTimes(MANIFEST, {"shop": NOON}, {}).of([REPORT], [MART, OTHER, REPORT]) == {REPORT: NOON}


def test_a_table_of_two_domains_is_as_stale_as_the_staler_one() -> None:
    both = "model.small.both_domains"
    times = DataTimes(MANIFEST, newest={"shop": NOON, "signups": EARLIER}, stored={})
    assert times.of([both], [both]) == {both: EARLIER}
    assert DataTimes(MANIFEST, newest={"shop": NOON}, stored={}).of([both], [both]) == {}


def test_nothing_is_known_without_commits() -> None:
    assert DataTimes(MANIFEST, newest={}, stored={OTHER: NOON}).of([OTHER, VIEW], []) == {}
