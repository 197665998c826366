"""All pipelines in production on stand-ins have the tables of a local deployment on the same sources."""

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import duckdb
import pytest

from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.pipelines.sales.columns import SALES
from dvd_rental_pipeline.pipelines.signups.catalog import SIGNUPS
from dvd_rental_pipeline.pipelines.totesys.star import STAR
from dvd_rental_pipeline.sample.signups_api.server import running_signups_api
from dvd_rental_pipeline_tests.dbt_models.comparison import all_rows
from dvd_rental_pipeline_tests.end_to_end.all_pipelines_in_production import (
    add_pipelines,
    load_new_users,
    upload_sales_files,
)
from dvd_rental_pipeline_tests.end_to_end.one_change_per_row import one_change_per_row
from dvd_rental_pipeline_tests.end_to_end.production_services import ProductionServices, running_production

pytestmark = [pytest.mark.timeout(3600), pytest.mark.heavy]

RAW = (
    'key:"dvd_rental/*" or key:"signups/*" or key:"sales/*" or key:"totesys/*"'
    ' or key:"totesys_landing/*" or key:"totesys_processed/*"'
)
MODELS = (
    "marts.fct_payment",
    "marts.fct_signup",
    "marts.fct_sales",
    "marts.totesys_payments",
    "reports.signup_demographics",
    "reports.product_line_sales",
    "reports.totesys_sales_by_country",
)
# Airbyte keeps the last state of a row: versions are compared from the first snapshot on.
HISTORY = '+key:"snapshots/*"'
INPUTS = " or ".join(f'+key:"{model.replace(".", "/")}"' for model in MODELS)
# New users are loaded once, into the database that both deployments replicate.
NEW_USERS = 'key:"signups_postgres/users"'
EVERYTHING = f"({RAW} or {HISTORY} or {INPUTS}) and not {NEW_USERS}"
# Each deployment has its own slot, and loads at its own time.
DIFFERENT_COLUMNS = {"change_lsn", "loaded_at"}


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProductionServices]:
    """Both deployments after a sync of everything, traffic in each pipeline, and a second run with models."""
    with running_production(tmp_path_factory.mktemp("services")) as services, running_signups_api() as api:
        add_pipelines(services, api.url)
        run_both(services, f"({RAW} or {HISTORY}) and not {NEW_USERS}")
        with one_change_per_row(services.owner_url):
            services.local.ok("source", "simulate", "--events", "60", "--seed", "3")
        services.local.ok("source", "simulate", "--database", "totesys", "--events", "60", "--seed", "3")
        services.local.ok("sales", "generate", "--months", "6")
        upload_sales_files(services)
        load_new_users(services)
        run_both(services, EVERYTHING)
        yield services


def run_both(services: ProductionServices, selection: str) -> None:
    with ThreadPoolExecutor() as pool:
        runs = [
            pool.submit(deployment.run, "run", "--select", selection)
            for deployment in (services.local, services)
        ]
    for run in runs:
        done = run.result()
        assert done.returncode == 0, done.stdout + done.stderr


def count_rows(services: ProductionServices, statement: str) -> tuple[Counter[str], Counter[str]]:
    """The rows as text, of the local deployment and of production."""
    with duckdb.connect(services.local.home / "warehouse.duckdb", read_only=True) as local:
        in_duckdb = local.execute(statement).fetchall()
    in_snowflake = services.snowflake.query(statement)
    return Counter(map(_text, in_duckdb)), Counter(map(_text, in_snowflake))


def _text(row: tuple[object, ...]) -> str:
    return " | ".join(map(str, row))


@pytest.mark.parametrize("domain", [DVD_RENTAL, SIGNUPS], ids=lambda domain: domain.name)
def test_replicated_tables_have_the_same_rows(services: ProductionServices, domain: Domain) -> None:
    for table in domain.tables:
        # Airbyte's types differ; staging models cast them.
        columns = ", ".join(f"cast({column} as varchar)" for column in table.primary_key)
        local, production = count_rows(
            services,
            f"select {columns} from {domain.name}.{table.name} where _ab_cdc_deleted_at is null",
        )
        assert production == local, table.name
        assert local, table.name


def test_the_star_of_totesys_has_the_same_rows(services: ProductionServices) -> None:
    for table in STAR:
        columns = ", ".join(column.name for column in table.warehouse_columns)
        local, production = count_rows(services, f"select {columns} from totesys.{table.name}")
        assert production == local, table.name
        assert local, table.name


def test_sales_has_the_same_rows(services: ProductionServices) -> None:
    for table in SALES.tables:
        names = [column.name for column in table.columns if column.name not in DIFFERENT_COLUMNS]
        local, production = count_rows(services, f"select {', '.join(names)} from sales.{table.name}")
        assert production == local, table.name
        assert local, table.name


@pytest.mark.parametrize("model", MODELS)
def test_models_of_each_pipeline_are_equal(services: ProductionServices, model: str) -> None:
    manifest = json.loads((services.home / "dbt" / "production" / "manifest.json").read_text())
    (columns,) = (
        node["columns"]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and f"{node['schema']}.{node['name']}" == model
    )
    local, production = count_rows(
        services, all_rows(model, [name for name in columns if name not in DIFFERENT_COLUMNS])
    )
    assert production == local
    assert local


def test_no_secret_is_printed(services: ProductionServices) -> None:
    printed = "\n".join(services.output)
    assert [name for name, secret in services.planted.items() if secret in printed] == []
