"""The asset, its checks and its schedule, on the embedded PostgreSQL and the local server of the API."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import dagster as dg
import psycopg
import pytest

from dvd_rental_pipeline.core.run_tags import CAUSE
from dvd_rental_pipeline.core.runbook import FAILED_ROWS, SAMPLE
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
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def stored_instance() -> Iterator[dg.DagsterInstance]:
    """An instance that the context of a schedule can open again."""
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


def test_a_check_names_what_is_wrong_without_personal_data(database_url: str) -> None:
    child = change(record(1), "dob.date", "2025-01-01T00:00:00Z")
    same_email = change(record(2), "email", record(1)["email"].upper())
    abroad = change(record(3), "location.country", "Elsewhere")
    users, rejections = validate([child, same_email, abroad, {}])
    with open_store(database_url) as store:
        store.load(NOON, users, rejections)
        with psycopg.connect(database_url) as connection:
            connection.execute("update signups.loaded_batches set minute = now()")
            connection.execute("update signups.rejected_records set minute = now()")
        problems = {check.name: check.find_problem(store) for check in STORE_CHECKS}
        with psycopg.connect(database_url) as connection:
            connection.execute("update signups.loaded_batches set rejected = received")
        (minutes,) = [check for check in STORE_CHECKS if check.name == "minutes_without_users"]
        empty = minutes.find_problem(store)
    assert empty is not None
    assert empty.text == "1 minutes of the last day were loaded without a valid user."
    assert [(row["received"], row["rejected"]) for row in empty.sample] == [(4, 4)]
    assert problems.pop("minutes_without_users") is None
    found = {name: problem for name, problem in problems.items() if problem is not None}
    assert {name: problem.text for name, problem in found.items()} == {
        "rejected_share": "25.0 % of the records of the last day were rejected, for the reasons in "
        "`signups.rejected_records`.",
        "one_country_per_nationality": "1 nationalities have new users in several countries.",
        "plausible_age": "1 new users are younger than 13 or older than 110.",
        "email_used_once": "1 e-mail addresses of new users belong to several users.",
    }
    assert {problem.rows for problem in found.values()} == {1}
    (reason,) = found["rejected_share"].sample
    assert (reason["path"], reason["records"]) == ("$", 1)
    assert found["one_country_per_nationality"].sample == [
        {"nationality": "DE", "countries": "Elsewhere, Germany"}
    ]
    assert [row["user_uuid"] for row in found["plausible_age"].sample] == [UUID(child["login"]["uuid"])]
    (shared,) = found["email_used_once"].sample
    assert shared["user_uuids"] == ", ".join(sorted(each["login"]["uuid"] for each in (child, same_email)))
    shown = str([problem.sample for problem in found.values()]).lower()
    assert not [
        value
        for each in (child, same_email, abroad)
        for value in (each["email"], each["login"]["username"], each["name"]["last"], "2025-01-01")
        if value.lower() in shown
    ]


def test_the_checks_read_the_last_day_alone(database_url: str) -> None:
    """With every minute, reading all users would take longer."""
    child = change(record(1), "dob.date", "2025-01-01T00:00:00Z")
    users, _ = validate([child, change(record(2), "location.country", "Elsewhere"), record(3)])
    with open_store(database_url) as store:
        store.load(NOON, users, [])
        with psycopg.connect(database_url) as connection:
            connection.execute("update signups.users set updated_at = now() - interval '25 hours'")
        assert {check.name: check.find_problem(store) for check in STORE_CHECKS} == dict.fromkeys(
            check.name for check in STORE_CHECKS
        )
        same_email = change(record(4), "email", child["email"])
        store.load(NOON + timedelta(minutes=1), validate([same_email])[0], [])
        problems = {check.name: check.find_problem(store) for check in STORE_CHECKS}
    assert [name for name, problem in problems.items() if problem] == ["email_used_once"], "of an older user"


def test_a_run_with_a_warning_shows_rows_of_what_is_wrong(
    database_url: str, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    job = _job(_settings(database_url, home=tmp_path))
    assert job.execute_in_process(instance=instance).success
    with psycopg.connect(database_url) as connection:
        connection.execute("update signups.users set date_of_birth = current_date")
    result = job.execute_in_process(instance=instance)
    assert result.success
    (warning,) = [check for check in result.get_asset_check_evaluations() if not check.passed]
    assert warning.check_name == "plausible_age"
    assert warning.metadata[FAILED_ROWS].value == 3
    sample = warning.metadata[SAMPLE]
    assert isinstance(sample, dg.TableMetadataValue)
    assert {name for row in sample.records for name in row.data} == {"user_uuid", "first_seen_at"}


def _tick(instance: dg.DagsterInstance) -> object:
    with dg.build_schedule_context(instance=instance) as context:
        return signups_load_schedule(context)


def test_the_schedule_waits_for_the_first_load(stored_instance: dg.DagsterInstance) -> None:
    assert isinstance(_tick(stored_instance), dg.SkipReason)
    stored_instance.report_runless_asset_event(dg.AssetMaterialization(USERS))
    assert isinstance(_tick(stored_instance), dg.RunRequest)


def test_the_schedule_never_loads_twice_at_once(stored_instance: dg.DagsterInstance) -> None:
    stored_instance.report_runless_asset_event(dg.AssetMaterialization(USERS))
    stored_instance.add_run(dg.DagsterRun(job_name=JOB, status=dg.DagsterRunStatus.STARTED))
    assert isinstance(_tick(stored_instance), dg.SkipReason)


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


@pytest.mark.parametrize("storage", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def test_deleting_runs_keeps_only_the_last_result_of_the_asset_and_its_checks(
    storage: str, database_url: str, tmp_path: Path
) -> None:
    job = _job(_settings(database_url, home=tmp_path))
    # As in deploy/: with psycopg 3, Dagster's NOTIFY does not work.
    url = database_url.replace("postgresql:", "postgresql+psycopg2:")
    postgres = {"storage": {"postgres": {"postgres_url": url}}}
    with dg.instance_for_test(overrides=postgres if storage == "postgresql" else None) as instance:
        for _ in range(3):
            assert job.execute_in_process(instance=instance, tags={CAUSE: "schedule"}).success
        delete_old_runs(instance, keep=1)
        (run,) = instance.get_runs()
        materialization = instance.get_latest_materialization_event(USERS)
        assert materialization is not None
        assert materialization.run_id == run.run_id
        for check in STORE_CHECKS:
            key = dg.AssetCheckKey(USERS, check.name)
            results = instance.event_log_storage.get_asset_check_execution_history(key, limit=10)
            assert [result.run_id for result in results] == [run.run_id]
        delete_old_runs(instance, keep=0)
        assert instance.get_runs_count() == 0
        for check in STORE_CHECKS:
            key = dg.AssetCheckKey(USERS, check.name)
            results = instance.event_log_storage.get_asset_check_execution_history(key, limit=10)
            assert [result.run_id for result in results] == [run.run_id]
