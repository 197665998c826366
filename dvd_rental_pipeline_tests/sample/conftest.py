"""Sample databases, created once per session, that tests must not change."""

import secrets
from datetime import datetime
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from dvd_rental_pipeline.sample.dvd_rental.generator.generate import generate
from dvd_rental_pipeline.sample.dvd_rental.tables import DVD_RENTAL_TABLES
from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres
from dvd_rental_pipeline.sample.restore.restore import restore

UNTIL = datetime(2026, 3, 14, 15, 30)


@pytest.fixture(scope="session")
def sample_until() -> datetime:
    """The end of the sample databases' history."""
    return UNTIL


@pytest.fixture(scope="session")
def sample_url(postgres: EmbeddedPostgres) -> str:
    """Sample data at scale 1."""
    url = postgres.url(f"sample_{secrets.token_hex(4)}")
    generate(url, scale=1, until=UNTIL)
    return url


@pytest.fixture(scope="session")
def small_sample_url(postgres: EmbeddedPostgres) -> str:
    """Sample data at scale 0.05."""
    url = postgres.url(f"small_sample_{secrets.token_hex(4)}")
    generate(url, scale=0.05, until=UNTIL)
    return url


@pytest.fixture(scope="session")
def small_sample_copy_url(postgres: EmbeddedPostgres, small_sample_url: str) -> str:
    """A copy of the small sample, whose data must survive a refused restore."""
    name = f"sample_copy_{secrets.token_hex(4)}"
    source = conninfo_to_dict(small_sample_url)["dbname"]
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
        admin.execute(f"create database {name} template {source}")
    return postgres.url(name)


@pytest.fixture(scope="session")
def real_url(postgres: EmbeddedPostgres, real_dump: Path) -> str:
    """The real DVD rental database."""
    url = postgres.url(f"real_{secrets.token_hex(4)}")
    restore(url, [real_dump], DVD_RENTAL_TABLES)
    return url
