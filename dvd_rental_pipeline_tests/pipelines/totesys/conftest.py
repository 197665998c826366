"""A small totesys source, and the pipeline's three steps on folders, without Dagster."""

import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dvd_rental_pipeline.ingestion.files.folder_store import FolderStore
from dvd_rental_pipeline.ingestion.files.landing import LandingZone
from dvd_rental_pipeline.ingestion.files.object_store import ObjectStore
from dvd_rental_pipeline.ingestion.postgres_watermark.ingest import IngestionRun, ingest
from dvd_rental_pipeline.pipelines.totesys.catalog import TOTESYS
from dvd_rental_pipeline.pipelines.totesys.load import LoadedTable, load
from dvd_rental_pipeline.pipelines.totesys.processed import ProcessedRun, ProcessedZone
from dvd_rental_pipeline.pipelines.totesys.star import STAR
from dvd_rental_pipeline.pipelines.totesys.transform import transform
from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres
from dvd_rental_pipeline.sample.totesys.generate import generate
from dvd_rental_pipeline.warehouse.duckdb_warehouse import DuckDBWarehouse
from dvd_rental_pipeline.warehouse.interface import Warehouse


@dataclass(frozen=True)
class Steps:
    """The steps on one source, one lake and one warehouse."""

    url: str
    landing: LandingZone
    processed: ProcessedZone
    warehouse: Warehouse

    def ingest(self, complete: bool = False) -> IngestionRun:
        return ingest(self.url, TOTESYS, self.landing, complete=complete)

    def transform(self, days: Sequence[date] = (), everything: bool = False) -> Sequence[ProcessedRun]:
        return transform(self.landing, self.processed, days=days, everything=everything)

    def load(self, everything: bool = False) -> dict[str, LoadedTable]:
        return dict(load(self.warehouse, self.landing, self.processed, everything=everything))

    def run(self, complete: bool = False) -> None:
        self.ingest(complete)
        self.transform()
        self.load()

    def query(self, sql: str) -> Sequence[Sequence[Any]]:
        return self.warehouse.query(sql).values

    def star(self) -> Mapping[str, Sequence[tuple[Any, ...]]]:
        """The rows of each table of the star, in order; the warehouse is opened once."""
        with self.warehouse.transaction() as session:
            return {
                table.name: [
                    tuple(row)
                    for row in session.execute(
                        f"select {', '.join(column.name for column in table.warehouse_columns)}"
                        f" from totesys.{table.name} order by {table.warehouse_columns[0].name}"
                    ).values
                ]
                for table in STAR
            }

    def source(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Execute a statement in the source, and return its rows."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(sql, list(values))  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []


def steps_in(
    folder: Path, url: str, landing: ObjectStore | None = None, processed: ObjectStore | None = None
) -> Steps:
    """Steps whose lake and warehouse are in `folder`."""
    return Steps(
        url,
        LandingZone(landing or FolderStore(folder / "landing"), "totesys"),
        ProcessedZone(processed or FolderStore(folder / "processed"), "totesys"),
        DuckDBWarehouse(folder / "warehouse.duckdb"),
    )


@pytest.fixture(scope="session")
def small_source(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The URL of a totesys database with 224 sales orders, as a template: tests copy it."""
    name = f"totesys_{secrets.token_hex(6)}"
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
        admin.execute(f"create database {name}")
        generate(postgres.url(name), scale=0.02, until=datetime(2026, 7, 1))
        yield name
        admin.execute(f"drop database {name} with (force)")


@pytest.fixture
def source_url(postgres: EmbeddedPostgres, small_source: str) -> Iterator[str]:
    """The URL of a copy of the small source."""
    name = f"totesys_{secrets.token_hex(6)}"
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
        admin.execute(f"create database {name} template {small_source}")
        yield postgres.url(name)
        admin.execute(f"drop database {name} with (force)")


@pytest.fixture(scope="session")
def loaded_folder(
    postgres: EmbeddedPostgres, small_source: str, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with the lake and the warehouse after a run of all steps, as a template: tests copy it."""
    folder = tmp_path_factory.mktemp("loaded")
    steps_in(folder, postgres.url(small_source)).run()
    return folder


@pytest.fixture
def loaded_steps(source_url: str, loaded_folder: Path, tmp_path: Path) -> Steps:
    """Steps that ran once."""
    shutil.copytree(loaded_folder, tmp_path, dirs_exist_ok=True)
    return steps_in(tmp_path, source_url)


@pytest.fixture
def steps(source_url: str, tmp_path: Path) -> Steps:
    return steps_in(tmp_path, source_url)
