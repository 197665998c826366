"""All four pipelines in this process, on real sources: what each loads is its own code, the models do nothing.

The rental tables are three of fifteen, so that a day of syncs takes minutes.
"""

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import dagster as dg
import psycopg
import pytest
from dagster._core.test_utils import freeze_time
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from dvd_rental_pipeline.assembly.change_capture import build_capture_definitions
from dvd_rental_pipeline.assembly.resources import resource_factories
from dvd_rental_pipeline.assembly.shared import ALWAYS_BUILT, build_alert_sensors
from dvd_rental_pipeline.automation import alert_sensor
from dvd_rental_pipeline.automation.condition_sensors import MODEL_SENSORS
from dvd_rental_pipeline.automation.schedules import sync_job_name
from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.definitions import build_definitions
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.pipelines.dvd_rental.pipeline import DVD_RENTAL_PIPELINE
from dvd_rental_pipeline.pipelines.registry import ASSET_PIPELINES
from dvd_rental_pipeline.pipelines.signups.pipeline import SIGNUPS_CAPTURE
from dvd_rental_pipeline.quality import durations, evaluations
from dvd_rental_pipeline.sample.dvd_rental import simulator as rentals
from dvd_rental_pipeline.sample.dvd_rental.generator.generate import generate as generate_rentals
from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres
from dvd_rental_pipeline.sample.sales.generator import generate_sales
from dvd_rental_pipeline.sample.signups_api.server import SignupsApi, running_signups_api
from dvd_rental_pipeline.sample.totesys import traffic as totesys
from dvd_rental_pipeline.sample.totesys.generate import generate as generate_totesys
from dvd_rental_pipeline.transform.project import load_dbt_project
from dvd_rental_pipeline_tests.automation.graph_subset import build_idle_steps
from dvd_rental_pipeline_tests.end_to_end.daemon_harness import OWN_PROCESSES, DaemonHarness, running_daemons
from dvd_rental_pipeline_tests.end_to_end.forked_runs import ForkedRunLauncher
from dvd_rental_pipeline_tests.end_to_end.run_result import assert_succeeded
from dvd_rental_pipeline_tests.parsed_project import ParsedProject
from dvd_rental_pipeline_tests.stand_ins.recorded_alerts import SENT, RecordedAlerts

DATABASES = ("rentals", "totesys", "signups")
BATCH_SIZE = 5
STEP = timedelta(minutes=10)
"""No schedule but that of new users is due twice in a step."""
START = datetime(2026, 3, 2, 4, 50, tzinfo=UTC)
"""Before the reports of the morning."""
OPEN, CLOSED = 6, 10

RENTAL_TABLES = {"film", "payment", "rental"}
SMALL = replace(DVD_RENTAL, tables=tuple(table for table in DVD_RENTAL.tables if table.name in RENTAL_TABLES))
PIPELINES = (replace(DVD_RENTAL_PIPELINE, domain=SMALL, build_checks=tuple), SIGNUPS_CAPTURE)
MODELS = [
    dg.AssetKey(path)
    for path in (
        ["staging", "stg_dvd_rental__film"],
        ["staging", "stg_dvd_rental__payment"],
        ["staging", "stg_dvd_rental__rental"],
        ["staging", "stg_sales__order_lines"],
        ["staging", "stg_signups__users"],
        ["staging", "stg_totesys__payment"],
        ["staging", "stg_totesys__sales_order"],
        ["marts", "fct_payment"],
        ["marts", "fct_rental"],
        ["marts", "fct_signup"],
        ["marts", "fct_sales"],
        ["marts", "totesys_payments"],
        ["marts", "totesys_sales_orders"],
        ["reports", "revenue_by_day"],
        ["reports", "signup_demographics"],
        ["reports", "product_line_sales"],
        ["reports", "totesys_top_staff"],
        ["site", "product_sales"],
        ["site", "checks"],
        ["site", "costs"],
    )
]


@dataclass
class Sources:
    """The sources: three databases, the API of new users, the folder of sales files with those yet to come."""

    urls: dict[str, str]
    admin_url: str
    api: SignupsApi
    drops: Path
    unsent_files: list[Path]

    def simulate_hour(self, now: datetime) -> None:
        """Add traffic at each full hour while the shops are open."""
        if OPEN <= now.hour < CLOSED and now.minute == 0:
            self.add_traffic(seed=now.hour)

    def add_traffic(self, seed: int, *, rental_shops_open: bool = True) -> None:
        """Add rentals and orders, and drop a sales file. New users come by themselves."""
        if rental_shops_open:
            rentals.simulate(self.urls["rentals"], events=20, seed=seed)
        totesys.simulate(self.urls["totesys"], events=20, seed=seed)
        self.drop_file()

    def drop_file(self) -> Path:
        """Drop the next sales file, which is complete."""
        file = self.unsent_files.pop(0)
        dropped = file.rename(self.drops / file.name)
        dropped.with_name(f"{dropped.name}.done").touch()
        return dropped

    def query(self, database: str, statement: str) -> list[tuple[Any, ...]]:
        """Execute a statement in one of the databases, and return its rows."""
        with psycopg.connect(self.urls[database], autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def set_reachable(self, database: str, reachable: bool) -> None:
        """Allow or refuse new connections to one of the databases."""
        name = conninfo_to_dict(self.urls[database])["dbname"]
        with psycopg.connect(self.admin_url, autocommit=True) as admin:
            admin.execute(f"alter database {name} with allow_connections {reachable}".encode())


@contextmanager
def running_sources(postgres: EmbeddedPostgres, folder: Path) -> Iterator[Sources]:
    """Sources with data, on the server `postgres`; the signups database is empty."""
    urls = {name: postgres.url(f"{name}_{secrets.token_hex(6)}") for name in DATABASES}
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin, running_signups_api() as api:
        names = [str(conninfo_to_dict(url)["dbname"]) for url in urls.values()]
        for name in names:
            admin.execute(f"create database {name} template template0".encode())
        try:
            generate_rentals(urls["rentals"], scale=0.02, seed=1)
            generate_totesys(urls["totesys"], scale=0.02, seed=1)
            api.limit = 1_000_000
            files = generate_sales(folder / "unsent", months=6, orders=10)
            drops = folder / "sales_files"
            drops.mkdir()
            (folder / "unsent" / "formats.json").rename(drops / "formats.json")
            yield Sources(urls, postgres.url("postgres"), api, drops, list(files))
        finally:
            for name in names:
                admin.execute(f"alter database {name} with allow_connections true".encode())
                admin.execute(
                    "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = %s",
                    [name],
                )
                admin.execute(f"drop database {name} with (force)".encode())


def load_settings(home: Path, sources: Sources) -> Settings:
    return Settings(
        home=home,
        source_url=SecretStr(sources.urls["rentals"]),
        totesys_source_url=SecretStr(sources.urls["totesys"]),
        signups_database_url=SecretStr(sources.urls["signups"]),
        signups_api_url=sources.api.url,
        signups_batch_size=BATCH_SIZE,
        sales_files=str(sources.drops),
        replication_slot="four_pipelines",
    )


def build_four_pipelines(settings: Settings) -> dg.Definitions:
    """The definitions of all pipelines with the resources of `settings`; steps of models do nothing."""
    whole = build_definitions(settings)
    schemas = [*(each.domain.name for each in PIPELINES), *(each.name for each in ASSET_PIPELINES)]
    loading = dg.Definitions.merge(
        *(
            build_capture_definitions(
                pipeline, models=[], tracked_tables=[], raw_schemas=schemas, always_built=ALWAYS_BUILT
            )
            for pipeline in PIPELINES
        ),
        *(pipeline.build_definitions(settings) for pipeline in ASSET_PIPELINES),
    )
    loaded = {
        key for each in loading.assets or () if isinstance(each, dg.AssetsDefinition) for key in each.keys
    }
    factories = resource_factories(settings, load_dbt_project(settings), PIPELINES, ASSET_PIPELINES)
    resources = {key: make() for key, make in factories.items()}
    return dg.Definitions(
        assets=[*(loading.assets or ()), *build_idle_steps(whole, MODELS, loaded)],
        asset_checks=loading.asset_checks,
        jobs=loading.jobs,
        schedules=loading.schedules,
        sensors=[*(loading.sensors or ()), *MODEL_SENSORS, *build_alert_sensors(PIPELINES)],
        resources={**resources, "alerts": RecordedAlerts()},
        executor=dg.in_process_executor,
    )


@dataclass
class FourPipelines:
    """A deployment of all pipelines, in which everything was built once."""

    definitions: dg.Definitions
    daemons: DaemonHarness
    sources: Sources
    settings: Settings
    runs: list[dg.DagsterRun]

    def tick(self, while_running: Callable[[], object] = lambda: None) -> Sequence[dg.DagsterRun]:
        """The traffic of this hour, and an iteration of the daemons; returns its runs, added to `runs`."""
        # A test begins without the variables.
        self.settings.export()
        self.sources.simulate_hour(self.daemons.now)
        launched = self.daemons.tick(STEP, while_running)
        self.runs += launched
        return launched

    def run_until(self, until: datetime) -> None:
        while self.daemons.now + STEP <= until:
            self.tick()

    def sync_users(self) -> None:
        """Replicate the new users that were loaded beside the last sync."""
        self.settings.export()
        job = self.definitions.resolve_job_def(sync_job_name(SIGNUPS_CAPTURE.domain))
        with freeze_time(self.daemons.now):
            assert_succeeded(job.execute_in_process(instance=self.daemons.instance, raise_on_error=False))

    def launcher(self) -> ForkedRunLauncher:
        launcher = self.daemons.instance.run_launcher
        assert isinstance(launcher, ForkedRunLauncher)
        return launcher


@contextmanager
def running_pipelines(
    sources: Sources, parsed_project: ParsedProject, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FourPipelines]:
    """All pipelines under daemons whose clock begins at START, after a first run of everything."""
    with ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ))
        settings = load_settings(parsed_project.prepare(folder / "home"), sources)
        settings.export()
        definitions = build_four_pipelines(settings)
        SENT.clear()
        daemons = stack.enter_context(
            running_daemons(definitions, settings.dagster_dir, START - timedelta(minutes=10), OWN_PROCESSES)
        )
        monkeypatch.setattr(alert_sensor, "_now", lambda: datetime.timestamp(daemons.now))
        monkeypatch.setattr(durations, "utc_now", lambda: daemons.now)
        parse_time = evaluations.parse_time
        monkeypatch.setattr(evaluations, "parse_time", lambda text: daemons.daemon_time(parse_time(text)))
        sources.drop_file()
        everything = definitions.resolve_implicit_global_asset_job_def()
        with freeze_time(daemons.now):
            assert_succeeded(everything.execute_in_process(instance=daemons.instance, raise_on_error=False))
        # The first evaluation of conditions and schedules only initializes them.
        daemons.tick(timedelta(minutes=1))
        daemons.now = START - STEP
        yield FourPipelines(definitions, daemons, sources, settings, [])
