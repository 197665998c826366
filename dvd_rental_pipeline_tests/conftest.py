"""What tests of every part share: one real PostgreSQL a session, and an empty database on it for each test."""

import os
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import psycopg
import pytest

from dvd_rental_pipeline.core.settings import PROJECT_ROOT, Settings
from dvd_rental_pipeline.sample.postgres.binaries import PostgresBinaries
from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres
from dvd_rental_pipeline_tests.recorded_log import RecordedLog
from dvd_rental_pipeline_tests.stand_ins.aws import AwsStandIn, running_aws

# Read before the tests clear the environment.
_DUMP = Settings.load().dump or PROJECT_ROOT.parent / "shared" / "data" / "dvdrental.tar"


def pytest_configure() -> None:
    # The commands under test are started hundreds of times: they must not be compiled each time.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    # A shell ignores interrupts in what it starts in the background, and so would the commands under test.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def real_dump() -> Path:
    """The real dvdrental.tar, which the project does not ship."""
    if not _DUMP.is_file():
        pytest.skip(f"the real sample database is not at {_DUMP}: set DVD_RENTAL_DUMP to compare with it")
    return _DUMP


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """What a test puts into the environment, as settings do for dbt, ends with it."""
    with mock.patch.dict(os.environ):
        for name in [name for name in os.environ if name.startswith("DVD_RENTAL_")]:
            del os.environ[name]
        yield


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--postgres",
        type=Path,
        metavar="FOLDER",
        help="run every test on the PostgreSQL whose programs are in FOLDER, instead of the wheel's",
    )


@pytest.fixture(scope="session")
def postgres(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EmbeddedPostgres]:
    """A server that runs until the session (with xdist: the worker) ends.

    Its programs are those in the folder of the option `--postgres`, or that a test asks for by parametrising
    this fixture, or else the wheel's.
    """
    folder = getattr(request, "param", None) or request.config.option.postgres
    binaries = PostgresBinaries.find(folder) if folder else None
    server = EmbeddedPostgres(tmp_path_factory.mktemp("home") / "postgres", binaries=binaries)
    with server.lease():
        yield server
    server.stop()


@pytest.fixture
def database_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The URL of an empty database, dropped afterwards together with its replication slots."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
        admin.execute(f"create database {name} template template0")
    yield postgres.url(name)
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
        # A slot in use cannot be dropped, and its database not while the slot exists.
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
    """An empty stand-in of AWS, which this process and its children take for the real one."""
    os.environ.update(aws_server.environment())
    yield aws_server
    aws_server.reset()


@pytest.fixture
def log() -> RecordedLog:
    """Stands for Dagster's log, and keeps what was logged."""
    return RecordedLog()
