"""The same raw rows give the same marts and reports in Snowflake and in DuckDB, to the cent.

Snowflake is the stand-in, asked over HTTP by dbt-snowflake; its raw tables have Airbyte's names and types.
"""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest

from dvd_rental_pipeline.core.settings import DBT_PROJECT_DIR
from dvd_rental_pipeline.ingestion.postgres_cdc.replicator import Replicator
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.sample.dvd_rental.generator.generate import generate
from dvd_rental_pipeline.sample.dvd_rental.simulator import simulate
from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres
from dvd_rental_pipeline_tests.dbt_models.comparison import all_rows
from dvd_rental_pipeline_tests.stand_ins.snowflake import airbyte_tables
from dvd_rental_pipeline_tests.stand_ins.snowflake.stand_in import SnowflakeStandIn, set_up

pytestmark = pytest.mark.heavy

Table = Counter[tuple[Any, ...]]


@dataclass
class Chain:
    """One source, replicated into DuckDB and from there into Snowflake; both are built by dbt."""

    url: str
    home: Path
    snowflake: SnowflakeStandIn

    @property
    def duckdb_path(self) -> Path:
        return self.home / "warehouse.duckdb"

    def sync(self) -> None:
        Replicator(
            self.url,
            self.duckdb_path,
            DVD_RENTAL.primary_keys(),
            source_schema=DVD_RENTAL.source_schema,
            target_schema=DVD_RENTAL.name,
            slot="equal",
        ).sync()
        with self.snowflake.connect() as connection:
            airbyte_tables.load(connection, DVD_RENTAL, self.duckdb_path)

    def build(self) -> None:
        """Build both, at once, without tests."""
        build = ("build", "--exclude-resource-type", "test", "--exclude-resource-type", "unit_test")
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda target: self.dbt(target, *build), ("local", "production")))

    def dbt(self, target: str, *arguments: str) -> str:
        done = subprocess.run(
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
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr
        return done.stdout

    def models(self) -> Mapping[str, Sequence[str]]:
        """The columns of each table of marts and reports, by `schema.table`, as the contracts name them."""
        manifest = json.loads((self.home / "production" / "manifest.json").read_text())
        return {
            f"{node['schema']}.{node['name']}": list(node["columns"])
            for node in manifest["nodes"].values()
            if node["resource_type"] == "model" and node["schema"] in ("marts", "reports")
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
    url = postgres.url("equal")
    generate(url, scale=0.1, seed=7)
    with SnowflakeStandIn(tmp_path_factory.mktemp("snowflake")) as snowflake:
        set_up(snowflake)
        chain = Chain(url, tmp_path_factory.mktemp("home"), snowflake)
        chain.sync()
        # Twice: what a build adds to stands on what the first has left.
        chain.build()
        simulate(url, events=200, seed=7)
        with psycopg.connect(url) as source:
            # Of the last rentals of a copy, one that never came back: otherwise nothing would be overdue.
            source.execute(
                "update rental set return_date = null where rental_id = ("
                "select rental_id from (select distinct on (inventory_id) * from rental"
                " order by inventory_id, rental_date desc) as last_rentals order by rental_date limit 1)"
            )
        chain.sync()
        chain.build()
        yield chain
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
        admin.execute("select pg_drop_replication_slot('equal')")
        admin.execute("drop database equal with (force)")


def test_every_model_has_the_same_rows(chain: Chain) -> None:
    models = chain.models()
    assert len(models) > 40
    for model, columns in models.items():
        question = all_rows(model, columns)
        local, production = chain.in_duckdb(question), chain.in_snowflake(question)
        assert local == production, (
            f"{model} ({', '.join(columns)}): only in DuckDB {list((local - production).items())[:3]}, "
            f"only in Snowflake {list((production - local).items())[:3]}"
        )
    empty = [model for model in models if not chain.in_duckdb(f"select 1 from {model} limit 1")]
    assert empty == [], "an empty table compares with anything"


def test_the_second_build_added_to_the_first(chain: Chain) -> None:
    """Otherwise the comparison would not show that Snowflake's incremental statements do as DuckDB's."""
    versions = "select count(*) > count(distinct film_id) from marts.dim_film_history"
    assert chain.in_snowflake(versions) == Counter([(True,)])
    deleted = "select count(*) from dvd_rental.rental where _ab_cdc_deleted_at is not null"
    assert chain.in_snowflake(deleted) != Counter([(0,)])
    statements = [each["sql"].lower() for each in chain.snowflake.statements()]
    assert any("delete from dvd_rentals.marts.fct_rental" in sql for sql in statements)
    assert any("merge into" in sql and "customer_versions" in sql for sql in statements)


def test_a_whole_build_passes_all_data_tests_and_unit_tests(chain: Chain) -> None:
    said = chain.dbt("production", "build")
    counted = re.search(r"PASS=(\d+) .*ERROR=0 SKIP=0", said)
    assert counted, said[-3000:]
    assert int(counted[1]) > 330
