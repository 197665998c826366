"""The asset, its checks and its schedule, on the embedded PostgreSQL and the local server of the API."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest

from dvd_rental_pipeline.core.run_tags import CAUSE
from dvd_rental_pipeline.core.settings import Deployment, Settings
from dvd_rental_pipeline.pipelines.signups.assets import (
    JOB,
    USERS,
    build_definitions,
    delete_old_runs,
    signups_load_schedule,
)
from dvd_rental_pipeline.pipelines.signups.resources import resource_factories
from dvd_rental_pipeline.pipelines.signups.store import open_store
from dvd_rental_pipeline.pipelines.signups.store_checks import STORE_CHECKS
from dvd_rental_pipeline.pipelines.signups.validation import validate
from dvd_rental_pipeline.sample.signups_api.server import running_signups_api
from dvd_rental_pipeline_tests.pipelines.signups.records import NOON, change, record


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as instance:
        yield instance


def _settings(database_url: str, **given: Any) -> Settings:
    settings = Settings(signups_database_url=database_url, signups_batch_size=3, **given)
    settings.export()
    return settings


def _job(settings: Settings) -> dg.JobDefinition:
    resources = {key: make() for key, make in resource_factories(settings).items()}
    definitions = dg.Definitions.merge(build_definitions(settings), dg.Definitions(resources=resources))
    return definitions.resolve_job_def(JOB)


def test_a_run_loads_users_and_evaluates_every_check(
    database_url: str, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    result = _job(_settings(database_url, home=tmp_path)).execute_in_process(instance=instance)
    (event,) = result.get_asset_materialization_events()
    assert event.materialization.metadata["users_inserted"].value == 3
    evaluations = result.get_asset_check_evaluations()
    assert {check.check_name for check in evaluations} == {check.name for check in STORE_CHECKS}
    assert all(check.passed for check in evaluations)


def test_production_reads_the_api_and_the_database_at_their_urls(
    database_url: str, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    with running_signups_api() as api:
        settings = _settings(
            database_url, home=tmp_path, deployment=Deployment.PRODUCTION, signups_api_url=api.url
        )
        assert _job(settings).execute_in_process(instance=instance).success
        assert api.requests == 1
    with psycopg.connect(database_url) as connection:
        assert connection.execute("select count(*) from signups.users").fetchone() == (3,)


def test_production_without_the_url_of_the_api_is_a_message(
    database_url: str, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    job = _job(_settings(database_url, home=tmp_path, deployment=Deployment.PRODUCTION))
    result = job.execute_in_process(instance=instance, raise_on_error=False)
    (failure,) = result.get_step_failure_events()
    assert "DVD_RENTAL_SIGNUPS_API_URL" in str(failure.event_specific_data)


def test_a_check_names_what_is_wrong(database_url: str) -> None:
    child = change(record(1), "dob.date", "2025-01-01T00:00:00Z")
    same_email = change(record(2), "email", record(1)["email"].upper())
    abroad = change(record(3), "location.country", "Elsewhere")
    users, rejections = validate([child, same_email, abroad, {}])
    with open_store(database_url) as store:
        store.load(NOON, users, rejections)
        with psycopg.connect(database_url) as connection:
            connection.execute("update signups.loaded_batches set minute = now()")
        problems = {check.name: check.find_problem(store) for check in STORE_CHECKS}
        with psycopg.connect(database_url) as connection:
            connection.execute("update signups.loaded_batches set rejected = received")
        (minutes,) = [check for check in STORE_CHECKS if check.name == "minutes_without_users"]
        assert minutes.find_problem(store) == "1 minutes of the last day were loaded without a valid user."
    assert problems["minutes_without_users"] is None
    assert str(problems["rejected_share"]).startswith("25.0 % of the records")
    assert problems["one_country_per_nationality"] == "1 nationalities have users in several countries."
    assert problems["plausible_age"] == "1 users are younger than 13 or older than 110."
    assert problems["email_used_once"] == "1 e-mail addresses belong to several users."


def _tick(instance: dg.DagsterInstance) -> object:
    with dg.build_schedule_context(instance=instance) as context:
        return signups_load_schedule(context)


def test_the_schedule_waits_for_the_first_load(instance: dg.DagsterInstance) -> None:
    assert isinstance(_tick(instance), dg.SkipReason)
    instance.report_runless_asset_event(dg.AssetMaterialization(USERS))
    assert isinstance(_tick(instance), dg.RunRequest)


def test_the_schedule_never_loads_twice_at_once(instance: dg.DagsterInstance) -> None:
    instance.report_runless_asset_event(dg.AssetMaterialization(USERS))
    instance.add_run(dg.DagsterRun(job_name=JOB, status=dg.DagsterRunStatus.STARTED))
    assert isinstance(_tick(instance), dg.SkipReason)


def test_the_run_history_is_bounded(instance: dg.DagsterInstance) -> None:
    scheduled = {CAUSE: "schedule"}
    for _ in range(5):
        instance.add_run(dg.DagsterRun(job_name=JOB, status=dg.DagsterRunStatus.SUCCESS, tags=scheduled))
    kept = [
        dg.DagsterRun(job_name=JOB, status=dg.DagsterRunStatus.FAILURE, tags=scheduled),
        dg.DagsterRun(job_name=JOB, status=dg.DagsterRunStatus.SUCCESS),
        dg.DagsterRun(job_name="other", status=dg.DagsterRunStatus.SUCCESS, tags=scheduled),
    ]
    for run in kept:
        instance.add_run(run)
    for _ in range(2):
        delete_old_runs(instance, keep=2, at_most=2)
    remaining = {run.run_id for run in instance.get_runs()}
    assert len(remaining) == 2 + len(kept)
    assert {run.run_id for run in kept} <= remaining


def test_deleting_a_run_keeps_the_last_result_of_the_asset(
    database_url: str, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    job = _job(_settings(database_url, home=tmp_path))
    for _ in range(2):
        assert job.execute_in_process(instance=instance, tags={CAUSE: "schedule"}).success
    delete_old_runs(instance, keep=1)
    assert instance.get_runs_count() == 1
    assert instance.get_latest_materialization_event(USERS) is not None
