"""Equal raw tables give equal marts and reports in Snowflake and DuckDB, to the cent.

dbt-snowflake queries the stand-in of Snowflake over HTTP; its raw tables have Airbyte's names and types.
"""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import duckdb
import psycopg
import pytest

from dvd_rental_pipeline.core.settings import DBT_PROJECT_DIR, Settings
from dvd_rental_pipeline.ingestion.files.drop_zone import DropFolder
from dvd_rental_pipeline.ingestion.postgres_cdc.replicator import Replicator
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.pipelines.registry import ASSET_PIPELINES
from dvd_rental_pipeline.pipelines.sales.loading import load_files
from dvd_rental_pipeline.pipelines.signups.catalog import SIGNUPS
from dvd_rental_pipeline.pipelines.signups.store import open_store
from dvd_rental_pipeline.pipelines.signups.validation import validate
from dvd_rental_pipeline.sample.dvd_rental.generator.generate import generate
from dvd_rental_pipeline.sample.dvd_rental.simulator import simulate
from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres
from dvd_rental_pipeline.sample.sales.generator import generate_sales
from dvd_rental_pipeline.sample.totesys.generate import generate as generate_totesys
from dvd_rental_pipeline.warehouse.duckdb_warehouse import DuckDBWarehouse
from dvd_rental_pipeline.warehouse.interface import Warehouse
from dvd_rental_pipeline.warehouse.snowflake_login import SnowflakeLogin
from dvd_rental_pipeline.warehouse.snowflake_warehouse import SnowflakeWarehouse
from dvd_rental_pipeline_tests.dbt_models.comparison import all_rows
from dvd_rental_pipeline_tests.pipelines.signups.records import change, record
from dvd_rental_pipeline_tests.pipelines.totesys.conftest import steps_in
from dvd_rental_pipeline_tests.stand_ins.snowflake import airbyte_tables
from dvd_rental_pipeline_tests.stand_ins.snowflake.stand_in import SnowflakeStandIn, set_up

# The fixture builds all models four times.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

LAYERS = ("marts", "reports")

Table = Counter[tuple[Any, ...]]


@dataclass
class Chain:
    """One source, replicated into DuckDB and copied to Snowflake; dbt builds both."""

    url: str
    home: Path
    snowflake: SnowflakeStandIn

    @property
    def duckdb_path(self) -> Path:
        return self.home / "warehouse.duckdb"

    def sync(self) -> None:
        for domain in (DVD_RENTAL, SIGNUPS):
            Replicator(
                self.url,
                self.duckdb_path,
                domain.primary_keys(),
                source_schema=domain.source_schema,
                target_schema=domain.name,
                slot=f"equal_{domain.name}",
            ).sync()
            with self.snowflake.connect() as connection:
                airbyte_tables.load(connection, domain, self.duckdb_path)

    def load_signups(self) -> None:
        """Load new users; one signed up with the e-mail address of a customer."""
        with psycopg.connect(self.url) as source:
            row = source.execute("select email from customer order by customer_id limit 1").fetchone()
        assert row
        records = [record(seed, nationality) for seed, nationality in enumerate(["DE", "FR", "FR", "US"] * 5)]
        users, rejections = validate([*records, change(record(99), "email", row[0].upper())])
        assert not rejections
        with open_store(self.url) as store:
            store.load(datetime(2026, 7, 1, tzinfo=UTC), users, [])

    def warehouses(self) -> Sequence[Warehouse]:
        """Both warehouses."""
        with mock.patch.dict(os.environ, self.snowflake.environment()):
            login = SnowflakeLogin.from_settings(Settings.load(Path("/none")))
        return DuckDBWarehouse(self.duckdb_path), SnowflakeWarehouse(login, {"test": "equality"})

    def load_sales(self, folder: Path) -> None:
        generate_sales(folder, months=3)
        for warehouse in self.warehouses():
            assert load_files(DropFolder(folder), warehouse, print)

    def load_totesys(self, url: str, folder: Path) -> None:
        """Load the star from a source at `url`, whose lake is in `folder`."""
        generate_totesys(url, scale=0.02, until=datetime(2026, 7, 1))
        steps = steps_in(folder, url)
        steps.ingest()
        steps.transform()
        for warehouse in self.warehouses():
            replace(steps, warehouse=warehouse).load()

    def build(self) -> None:
        """Build both in parallel, without tests. Any copy pays back in time: there are films to restock."""
        build = (
            "build", "--exclude-resource-type", "test", "--exclude-resource-type", "unit_test",
            "--vars", "{restock_payback_days: 1000000}",
        )  # fmt: skip
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda target: self.dbt(target, *build), ("local", "production")))

    def add_copies_to_move(self) -> None:
        """Let one store rent out its only copy of a film again and again, and give the other store many copies.

        A sample of this size has enough demand for a second copy on some days of the year only.
        """
        with psycopg.connect(self.url) as source:
            row = source.execute(
                "select film_id, store_id, min(inventory_id) from inventory"
                " group by film_id, store_id"
                " having count(*) = 1 and not exists ("
                "   select from rental where inventory_id = min(inventory.inventory_id)"
                "   and (return_date is null or return_date > localtimestamp - interval '100 days'))"
                " order by film_id, store_id limit 1"
            ).fetchone()
            assert row, "no store has one copy of a film that has not been rented lately"
            film, store, copy = row
            source.execute(
                "insert into rental (rental_date, inventory_id, customer_id, return_date, staff_id)"
                " select rented_at, %s, (select min(customer_id) from customer),"
                "   rented_at + interval '44 hours', (select min(staff_id) from staff where store_id = %s)"
                " from generate_series(localtimestamp - interval '90 days', localtimestamp - interval '2 days',"
                "   interval '2 days') as days (rented_at)",
                (copy, store),
            )
            source.execute(
                "insert into inventory (film_id, store_id)"
                " select %s, store_id from store, generate_series(1, 20) where store_id <> %s",
                (film, store),
            )

    def dbt(self, target: str, *arguments: str) -> str:
        completed = subprocess.run(
            [Path(sys.executable).parent / "dbt", *arguments, "--target", target],
            cwd=DBT_PROJECT_DIR,
            env={
                **os.environ,
                **self.snowflake.environment(),
                "DVD_RENTAL_HOME": str(self.home),
                "DBT_PROFILES_DIR": str(DBT_PROJECT_DIR),
                "DBT_TARGET_PATH": str(self.home / target),
                "DBT_LOG_PATH": str(self.home / target),
                "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
                "NO_COLOR": "1",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert completed.returncode == 0, completed.stdout[-5000:] + completed.stderr
        return completed.stdout

    def manifest(self) -> Mapping[str, Any]:
        """The manifest of the last build in Snowflake."""
        manifest: Mapping[str, Any] = json.loads((self.home / "production" / "manifest.json").read_text())
        return manifest

    def models(self) -> Mapping[str, Sequence[str]]:
        """The columns of each table of marts and reports, by `schema.table`, in the order of the contracts."""
        return {
            f"{node['schema']}.{node['name']}": list(node["columns"])
            for node in self.manifest()["nodes"].values()
            if node["resource_type"] == "model" and node["schema"] in LAYERS
        }

    def in_duckdb(self, sql: str) -> Table:
        with duckdb.connect(self.duckdb_path, read_only=True) as connection:
            return Counter(connection.execute(sql).fetchall())

    def in_snowflake(self, sql: str) -> Table:
        return Counter(self.snowflake.query(sql))


@pytest.fixture(scope="module")
def chain(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
        admin.execute("create database equal template template0")
        admin.execute("create database equal_totesys template template0")
    url = postgres.url("equal")
    generate(url, scale=0.1, seed=7)
    with SnowflakeStandIn(tmp_path_factory.mktemp("snowflake")) as snowflake:
        loaded = [schema for pipeline in ASSET_PIPELINES for schema in pipeline.loaded_schemas]
        set_up(snowflake, [DVD_RENTAL.name, SIGNUPS.name], loaded_schemas=loaded)
        chain = Chain(url, tmp_path_factory.mktemp("home"), snowflake)
        chain.load_sales(tmp_path_factory.mktemp("sales"))
        chain.load_totesys(postgres.url("equal_totesys"), tmp_path_factory.mktemp("lake"))
        chain.load_signups()
        chain.sync()
        # The first of two builds: the second one is incremental.
        chain.build()
        chain.add_copies_to_move()
        simulate(url, events=200, seed=7)
        with psycopg.connect(url) as source:
            # Reopen the oldest of the last rentals of each copy, so that one rental is overdue.
            source.execute(
                "update rental set return_date = null where rental_id = ("
                "select rental_id from (select distinct on (inventory_id) * from rental"
                " order by inventory_id, rental_date desc) as last_rentals order by rental_date limit 1)"
            )
        chain.sync()
        chain.build()
        yield chain
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
        admin.execute(
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = 'equal'"
        )
        admin.execute("drop database equal with (force)")
        admin.execute("drop database equal_totesys with (force)")


def test_every_model_has_the_same_rows(chain: Chain) -> None:
    models = chain.models()
    files = {path.stem for layer in LAYERS for path in (DBT_PROJECT_DIR / "models" / layer).rglob("*.sql")}
    assert {model.partition(".")[2] for model in models} == files
    for model, columns in models.items():
        query = all_rows(model, columns)
        local, production = chain.in_duckdb(query), chain.in_snowflake(query)
        assert local == production, (
            f"{model} ({', '.join(columns)}): only in DuckDB {list((local - production).items())[:3]}, "
            f"only in Snowflake {list((production - local).items())[:3]}"
        )
    empty = [model for model in models if not chain.in_duckdb(f"select 1 from {model} limit 1")]
    assert empty == [], "comparing empty tables proves nothing"


def test_the_second_build_was_incremental(chain: Chain) -> None:
    """Otherwise the comparison would not cover the incremental statements of Snowflake."""
    versions = "select count(*) > count(distinct film_id) from marts.dim_film_history"
    assert chain.in_snowflake(versions) == Counter([(True,)])
    deleted = "select count(*) from dvd_rental.rental where _ab_cdc_deleted_at is not null"
    assert chain.in_snowflake(deleted) != Counter([(0,)])
    statements = [each["sql"].lower() for each in chain.snowflake.statements()]
    assert any("delete from dvd_rentals.marts.fct_rental" in sql for sql in statements)
    assert any("merge into" in sql and "customer_versions" in sql for sql in statements)


def test_a_whole_build_passes_all_data_tests_and_unit_tests(chain: Chain) -> None:
    output = chain.dbt("production", "build")
    count = re.search(r"PASS=(\d+) WARN=(\d+) ERROR=0 SKIP=0", output)
    assert count, output[-3000:]
    manifest = chain.manifest()
    assert int(count[1]) + int(count[2]) == len(manifest["nodes"]) + len(manifest["unit_tests"])
