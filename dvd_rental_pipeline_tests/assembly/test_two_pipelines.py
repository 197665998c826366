"""Two pipelines side by side on one server: each has its own slot, job, schedule and checks."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import dagster as dg
import duckdb
import psycopg
import pytest

from dvd_rental_pipeline.assembly.declaration import CapturePipeline, TierFreshness
from dvd_rental_pipeline.core.catalog import Column, Domain, FreshnessTier, Privacy, Table
from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.definitions import build_definitions
from dvd_rental_pipeline.ingestion.asset_keys import raw_keys
from dvd_rental_pipeline.pipelines.dvd_rental.pipeline import DVD_RENTAL_PIPELINE

# Tables named as those of the rental pipeline: a bare name would confuse them.
CLUB = Domain(
    name="club",
    source_schema="club",
    description="A video club.",
    owner="team:club",
    tables=(
        Table(
            "film",
            "one row per film",
            ("film_id",),
            (Column("film_id", "integer", "Key"), Column("title", "text", "Title")),
        ),
        Table(
            "staff",
            "one row per member of staff",
            ("staff_id",),
            (
                Column("staff_id", "integer", "Key"),
                Column("password", "text", "Password hash", privacy=Privacy.SECRET),
            ),
        ),
    ),
)
SMALL_RENTAL = replace(
    DVD_RENTAL_PIPELINE.domain,
    tables=tuple(table for table in DVD_RENTAL_PIPELINE.domain.tables if table.name in {"language", "actor"}),
)
FRESHNESS = TierFreshness(timedelta(minutes=30), timedelta(hours=1), timedelta(hours=1))
CLUB_PIPELINE = CapturePipeline(
    domain=CLUB,
    ingestion_key="club_ingestion",
    sync_cron="0 * * * *",
    tiers={FreshnessTier.REFERENCE: FRESHNESS},
    raw_group="club",
    kinds={"postgresql"},
    slot_suffix="_club",
)
RENTAL_PIPELINE = replace(DVD_RENTAL_PIPELINE, domain=SMALL_RENTAL, build_checks=lambda: [])


@pytest.fixture
def source(database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            """
            create table language (
                language_id int primary key, name char(20) not null, last_update timestamp not null
            );
            create table actor (
                actor_id int primary key, first_name varchar(45) not null, last_name varchar(45) not null,
                last_update timestamp not null
            );
            insert into language values (1, 'English', now());
            insert into actor values (1, 'Uma', 'Wood', now());
            create schema club;
            create table club.film (film_id int primary key, title text not null);
            create table club.staff (staff_id int primary key, password text not null);
            insert into club.film values (1, 'Alien');
            insert into club.staff values (1, 'planted-hash');
            """
        )
        yield connection


@pytest.fixture
def settings(source: psycopg.Connection, database_url: str, parsed_home: Path) -> Iterator[Settings]:
    with mock.patch.dict(os.environ):
        yield Settings(
            home=parsed_home,
            source_url=database_url,  # type: ignore[arg-type]
            replication_slot=f"two_{source.info.dbname[-12:]}",
        )


@pytest.fixture
def definitions(settings: Settings) -> dg.Definitions:
    return build_definitions(settings, pipelines=[RENTAL_PIPELINE, CLUB_PIPELINE], asset_pipelines=[])


def sync(definitions: dg.Definitions, instance: dg.DagsterInstance, domain: Domain) -> Mapping[str, str]:
    """Sync and check the raw tables of `domain`; the mode of each table's sync."""
    keys = set(raw_keys(domain))
    job = definitions.resolve_implicit_global_asset_job_def().get_subset(asset_selection=keys)
    result = job.execute_in_process(instance=instance, raise_on_error=False)
    assert result.success, [event.message for event in result.all_events if event.is_step_failure]
    failed = [check for check in result.get_asset_check_evaluations() if not check.passed]
    assert failed == []
    return {
        event.materialization.asset_key.to_user_string(): str(event.materialization.metadata["sync_mode"].value)
        for event in result.get_asset_materialization_events()
    }


def test_two_pipelines_sync_side_by_side_each_with_its_own_slot(
    definitions: dg.Definitions, settings: Settings, source: psycopg.Connection
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        for domain in (SMALL_RENTAL, CLUB):
            assert set(sync(definitions, instance, domain).values()) == {"snapshot"}
        for number in (2, 3):
            source.execute("insert into club.film values (%s, 'Brazil')", [number])
            source.execute("insert into actor values (%s, 'Ed', 'Chase', now())", [number])
            for domain in (CLUB, SMALL_RENTAL):
                assert set(sync(definitions, instance, domain).values()) == {"changes"}, (
                    "no other sync disturbs"
                )
    slots = {name for (name,) in source.execute("select slot_name from pg_replication_slots")}
    assert {settings.replication_slot, f"{settings.replication_slot}_club"} <= slots
    with duckdb.connect(settings.warehouse_path, read_only=True) as warehouse:
        assert warehouse.execute("select count(*) from club.film").fetchall() == [(3,)]
        assert warehouse.execute("select count(*) from dvd_rental.actor").fetchall() == [(3,)]


def test_each_pipeline_has_its_own_job_schedule_sensor_and_checks(definitions: dg.Definitions) -> None:
    repository = definitions.get_repository_def()
    assert {"dvd_rental_sync", "club_sync"} == {schedule.name for schedule in repository.schedule_defs}
    assert {"dvd_rental", "club", "dvd_rental_sync", "club_sync"} <= set(repository.job_names)
    assert {"dvd_rental_catch_up", "club_catch_up"} <= {sensor.name for sensor in repository.sensor_defs}
    graph = definitions.resolve_asset_graph()
    layer = definitions.resolve_job_def("club_sync").asset_layer
    assert set(layer.executable_asset_keys) == {*raw_keys(CLUB), dg.AssetKey(["site", "checks"])}
    film = dg.AssetKey(["club", "film"])
    assert graph.get(film).kinds == {"postgresql"}
    assert graph.get(film).group_name == "club"
    assert {"source_and_raw_agree", "replication_slot_is_short"} <= {
        check.name for check in graph.get_check_keys_for_assets({film})
    }


def test_a_secret_of_one_domain_is_not_confused_with_a_table_of_another(
    definitions: dg.Definitions, settings: Settings
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        sync(definitions, instance, CLUB)
        check = dg.AssetCheckKey(dg.AssetKey(["club", "staff"]), "secret_columns_stay_raw")
        assert evaluate(definitions, instance, check).passed
        with duckdb.connect(settings.warehouse_path) as warehouse:
            warehouse.execute("create schema reports; create table reports.leak as from club.staff")
        leak = evaluate(definitions, instance, check)
        assert not leak.passed
        assert "reports.leak.password" in str(leak.description)
        assert "planted-hash" not in str(leak)


def evaluate(definitions: dg.Definitions, instance: dg.DagsterInstance, check: dg.AssetCheckKey) -> Any:
    job = definitions.resolve_implicit_global_asset_job_def()
    result = job.get_subset(asset_selection=set(), asset_check_selection={check}).execute_in_process(
        instance=instance, raise_on_error=False
    )
    (evaluation,) = result.get_asset_check_evaluations()
    return evaluation


def test_a_table_that_the_source_lacks_is_named_and_the_others_are_synced(
    settings: Settings, source: psycopg.Connection
) -> None:
    missing = Table("tape", "one row per tape", ("tape_id",), (Column("tape_id", "integer", "Key"),))
    pipeline = replace(CLUB_PIPELINE, domain=replace(CLUB, tables=(*CLUB.tables, missing)))
    definitions = build_definitions(settings, pipelines=[pipeline], asset_pipelines=[])
    keys = set(raw_keys(pipeline.domain))
    job = definitions.resolve_implicit_global_asset_job_def().get_subset(asset_selection=keys)
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance, raise_on_error=False)
        (failure,) = [event for event in result.all_events if event.is_step_failure]
        reason = str(failure.step_failure_data.user_failure_data.description)
        assert "1 of 3 tables" in reason
        assert "club.tape" in reason
        synced = {event.asset_key.path[-1] for event in result.get_asset_materialization_events()}
        assert synced == {"film", "staff"}
        everything = definitions.resolve_implicit_global_asset_job_def()
        raw_checks = {
            check for check in definitions.resolve_asset_graph().asset_check_keys if check.asset_key in keys
        }
        checks = everything.get_subset(asset_selection=set(), asset_check_selection=raw_checks)
        evaluations = checks.execute_in_process(
            instance=instance, raise_on_error=False
        ).get_asset_check_evaluations()
    failed = {f"{check.asset_key.path[-1]}:{check.check_name}" for check in evaluations if not check.passed}
    assert "tape:schema_matches_catalogue" in failed
    assert {name for name in failed if not name.startswith("tape:")} == set()
