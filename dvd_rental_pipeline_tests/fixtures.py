"""Fixtures for all tests: PostgreSQL with an empty database per test, the parsed dbt project, AWS, a log."""

import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import dagster as dg
import psycopg
import pytest
from hypothesis import HealthCheck, settings

from dvd_rental_pipeline.core.settings import PROJECT_ROOT, Settings
from dvd_rental_pipeline.sample.postgres.binaries import PostgresBinaries
from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres
from dvd_rental_pipeline_tests.build_once import build_once
from dvd_rental_pipeline_tests.created_server import copy_created_server
from dvd_rental_pipeline_tests.parsed_project import ParsedProject, copy_models_of
from dvd_rental_pipeline_tests.recorded_log import RecordedLog
from dvd_rental_pipeline_tests.shared_migrations import share_migrations
from dvd_rental_pipeline_tests.stand_ins.aws import AwsStandIn, running_aws

# How long an example takes says more of the machine's load than of the code.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")
share_migrations()

# Read before the tests clear the environment.
_DUMP = Settings.load().dump or PROJECT_ROOT.parent / "shared" / "data" / "dvdrental.tar"


@pytest.fixture(scope="session")
def real_dump() -> Path:
    """The real dvdrental.tar, which the project does not ship."""
    if not _DUMP.is_file():
        pytest.skip(f"the real sample database is not at {_DUMP}: set DVD_RENTAL_DUMP")
    return _DUMP


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """Run each test without DVD_RENTAL_ variables, and restore the environment afterwards."""
    with mock.patch.dict(os.environ):
        for name in [name for name in os.environ if name.startswith("DVD_RENTAL_")]:
            del os.environ[name]
        yield


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the session, which all workers of pytest-xdist share."""
    own = tmp_path_factory.getbasetemp()
    return (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "shared"


@pytest.fixture(scope="session")
def parsed_project(shared_folder: Path) -> ParsedProject:
    """The dbt project, parsed once per session."""
    return ParsedProject(shared_folder / "parsed")


@pytest.fixture(scope="session")
def sales_project(shared_folder: Path) -> ParsedProject:
    """The part of the dbt project with the models of sales."""
    folder = build_once(shared_folder / "sales", lambda folder: copy_models_of("sales", folder))
    return ParsedProject(shared_folder / "parsed_sales", folder)


@pytest.fixture
def parsed_home(parsed_project: ParsedProject, history_folder: Path) -> Path:
    """A home folder that has only the parsed dbt project and no runs."""
    return parsed_project.prepare(history_folder.parent)


@pytest.fixture(scope="session")
def created_history(shared_folder: Path) -> Path:
    """The files of a Dagster instance without runs, whose creation takes as long as many tests."""

    def create(folder: Path) -> None:
        with dg.DagsterInstance.local_temp(str(folder)) as instance:
            assert not instance.get_runs()

    return build_once(shared_folder / "history", create)


@pytest.fixture
def history_folder(created_history: Path, tmp_path: Path) -> Path:
    """A folder for a Dagster instance, which has no runs."""
    return shutil.copytree(created_history, tmp_path / "dagster")


@pytest.fixture(scope="session")
def postgres(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, shared_folder: Path
) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL server that runs until the session (with xdist: the worker) ends.

    Its programs are in the folder with which a test parametrizes this fixture, or in that of the option
    `--postgres`; the default is the wheel.
    """
    programs = getattr(request, "param", None) or request.config.option.postgres
    binaries = PostgresBinaries.find(programs) if programs else None
    folder = copy_created_server(shared_folder, tmp_path_factory.mktemp("home") / "postgres", binaries)
    server = EmbeddedPostgres(folder, binaries=binaries)
    with server.lease():
        # No test of this server cuts the power.
        with psycopg.connect(server.url("postgres"), autocommit=True) as admin:
            for setting in ("fsync", "full_page_writes"):
                admin.execute(f"alter system set {setting} = off")
            admin.execute("select pg_reload_conf()")
        yield server
    server.stop()


@pytest.fixture
def own_server(postgres: EmbeddedPostgres, shared_folder: Path, tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A server with the programs of `postgres` that the test may stop, crash and restore."""
    folder = copy_created_server(shared_folder, tmp_path / "postgres", postgres.binaries)
    server = EmbeddedPostgres(folder, binaries=postgres.binaries)
    yield server
    server.stop()


@pytest.fixture
def database_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The URL of an empty database, which is dropped afterwards with its replication slots."""
    name = f"test_{secrets.token_hex(6)}"
    # Half the time of the default, which logs all pages.
    strategy = "strategy file_copy" if postgres.binaries.major >= 15 else ""
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
        admin.execute(f"create database {name} template template0 {strategy}")
    yield postgres.url(name)
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
        # An active slot cannot be dropped, nor a database that has a slot.
        admin.execute(
            "select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = %s", [name]
        )
        admin.execute(
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = %s", [name]
        )
        admin.execute(f"drop database {name} with (force)")


@pytest.fixture(scope="session")
def aws_server() -> Iterator[AwsStandIn]:
    """A stand-in of AWS that runs until the session (with xdist: the worker) ends."""
    with running_aws() as server:
        yield server


@pytest.fixture
def aws(aws_server: AwsStandIn, environment: None) -> Iterator[AwsStandIn]:
    """An empty stand-in of AWS, to which this process and its child processes connect."""
    os.environ.update(aws_server.environment())
    yield aws_server
    aws_server.reset()


@pytest.fixture
def log() -> RecordedLog:
    """A log that records its lines, for code that takes Dagster's log."""
    return RecordedLog()
