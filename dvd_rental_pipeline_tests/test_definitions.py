"""The graph is complete, described, owned, and the same in every deployment."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import dagster as dg
import pytest

from dvd_rental_pipeline.assembly.shared import read_tracked_tables
from dvd_rental_pipeline.automation.schedules import sync_job_name
from dvd_rental_pipeline.core.settings import PROJECT_ROOT, Deployment, Settings, SettingsError
from dvd_rental_pipeline.definitions import build_definitions
from dvd_rental_pipeline.ingestion.asset_keys import raw_key
from dvd_rental_pipeline.ingestion.resource import Ingestion, Inspection, SyncOutcome
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.pipelines.registry import ASSET_PIPELINES, PIPELINES
from dvd_rental_pipeline.transform.assets import DBT_POOL
from dvd_rental_pipeline.transform.project import load_dbt_project
from dvd_rental_pipeline.transform.raw_inputs import read_model_inputs
from dvd_rental_pipeline.warehouse.resource import DuckDBWarehouseResource
from dvd_rental_pipeline_tests.parsed_project import ParsedProject

# Parsing the project for it takes as long as most tests of this file together.
BRANCH = pytest.param(Deployment.BRANCH, marks=pytest.mark.slow)
STORAGE_KINDS = {"dagster/kind/duckdb", "dagster/kind/snowflake"}


class NoIngestion(Ingestion):
    """An ingestion that must not be used."""

    def sync(self, domain: Any, log: Any, *, full_refresh: bool = False) -> SyncOutcome:
        raise AssertionError("this test syncs nothing")

    def inspect(self, domain: Any, log: Any) -> Inspection:
        raise AssertionError("this test examines no source")


HomeOf = Callable[[Deployment], Path]


@pytest.fixture(scope="module")
def home_of(parsed_project: ParsedProject, tmp_path_factory: pytest.TempPathFactory) -> HomeOf:
    """The home of a deployment, with the project that is parsed for it."""
    folder = tmp_path_factory.mktemp("home")
    return cache(lambda deployment: parsed_project.prepare(folder / deployment, deployment))


def definitions_of(deployment: Deployment, home_of: HomeOf) -> dg.Definitions:
    settings = Settings(deployment=deployment, home=home_of(deployment))
    return build_definitions(
        settings,
        resource_overrides={
            **{pipeline.ingestion_key: NoIngestion() for pipeline in PIPELINES},
            "warehouse": DuckDBWarehouseResource(path=str(settings.warehouse_path)),
        },
    )


@pytest.fixture(scope="module")
def local(home_of: HomeOf) -> dg.Definitions:
    with mock.patch.dict(os.environ):
        return definitions_of(Deployment.LOCAL, home_of)


def fingerprint(definitions: dg.Definitions) -> Mapping[str, Any]:
    """The parts of the graph that must not depend on the deployment."""
    graph = definitions.resolve_asset_graph()
    assets = {
        node.key.to_user_string(): {
            "group": node.group_name,
            "owners": node.owners,
            "description": node.description,
            "parents": sorted(parent.to_user_string() for parent in node.parent_keys),
            "tags": {key: value for key, value in node.tags.items() if key not in STORAGE_KINDS},
            "kinds": node.kinds - {"duckdb", "snowflake"},
            "executable": node.is_executable,
            "pools": node.pools,
            "backfill": node.backfill_policy,
            "columns": node.metadata.get("dagster/column_schema"),
            "freshness": node.freshness_policy,
            "automation": node.automation_condition,
        }
        for node in graph.asset_nodes
    }
    checks = {
        f"{node.key.asset_key.to_user_string()}:{node.key.name}": (node.blocking, node.description)
        for node in graph.asset_check_nodes
    }
    repository = definitions.get_repository_def()
    return {
        "assets": assets,
        "checks": checks,
        "jobs": {
            job: sorted(
                key.to_user_string() for key in repository.get_job(job).asset_layer.executable_asset_keys
            )
            for job in repository.job_names
        },
        "schedules": {it.name: (it.cron_schedule, it.job_name) for it in repository.schedule_defs},
        "sensors": {it.name: it.default_status for it in repository.sensor_defs},
        "resources": sorted(definitions.resources or {}),
    }


def test_the_definitions_are_loadable(local: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(local)


def test_every_raw_table_feeds_its_staging_model_and_the_reports(local: dg.Definitions) -> None:
    graph = local.resolve_asset_graph()
    for table in DVD_RENTAL.tables:
        raw = dg.AssetKey(["dvd_rental", table.name])
        assert graph.get(raw).is_executable, f"{table.name} is not executable"
        assert dg.AssetKey(["staging", f"stg_dvd_rental__{table.name}"]) in graph.get(raw).child_keys
    reports = dg.AssetSelection.tag("layer", "reports").resolve(graph)
    everything_they_need = dg.AssetSelection.assets(*reports).upstream().resolve(graph)
    assert dg.AssetKey(["dvd_rental", "payment"]) in everything_they_need


def test_every_asset_but_consumers_is_executable(local: dg.Definitions) -> None:
    graph = local.resolve_asset_graph()
    unfilled = {key.to_user_string() for key in graph.external_asset_keys if key.path[0] != "consumers"}
    assert unfilled == set()


def test_every_asset_has_a_description_an_owner_and_kinds(local: dg.Definitions) -> None:
    graph = local.resolve_asset_graph()
    undescribed = [
        node.key.to_user_string()
        for node in graph.asset_nodes
        if not (node.description and node.owners and node.kinds and node.group_name != "default")
    ]
    assert undescribed == []


def test_keys_are_schema_and_table(local: dg.Definitions) -> None:
    keys = {node.key.to_user_string() for node in local.resolve_asset_graph().asset_nodes}
    expected = {
        "dvd_rental/film",
        "staging/stg_dvd_rental__film",
        "marts/dim_customer",
        "marts/dim_film",
        "marts/dim_store",
        "marts/dim_staff",
        "marts/dim_date",
        "marts/fct_rental",
        "marts/fct_payment",
        "reports/revenue_by_month",
        "reports/sales_by_store",
        "reports/sales_by_country",
        "reports/genre_performance",
        "reports/top_films",
    }
    assert expected - keys == set()


def test_primary_keys_are_checked_and_wrong_totals_block(local: dg.Definitions) -> None:
    checks = fingerprint(local)["checks"]
    for table in DVD_RENTAL.tables:
        assert [
            name for name in checks if name.startswith(f"dvd_rental/{table.name}:") and "primary_key" in name
        ]
    for report in ("revenue_by_month", "sales_by_store", "sales_by_country", "genre_performance", "top_films"):
        conserving = [name for name in checks if name == f"reports/{report}:{report}_conserves_totals"]
        assert conserving, f"no check of the totals of {report}"
        assert all(checks[name][0] for name in conserving), f"wrong totals of {report} would not block"


def test_the_jobs_of_the_pipelines_cover_the_whole_graph(local: dg.Definitions) -> None:
    repository = local.get_repository_def()
    graph = local.resolve_asset_graph()
    names = [name for name in repository.job_names if not name.startswith("__")]
    jobs = {name: set(local.resolve_job_def(name).asset_layer.executable_asset_keys) for name in names}
    rental = dg.AssetSelection.key_prefixes("dvd_rental").downstream()
    others = dg.AssetSelection.key_prefixes(
        *(each.name for each in ASSET_PIPELINES), *(each.domain.name for each in PIPELINES[1:])
    ).downstream()
    # What several pipelines feed is built by sensors.
    shared_by_several = (rental & others).resolve(graph)
    assert {key.path[0] for key in shared_by_several} <= {"reports", "consumers"}
    covered = set().union(*jobs.values())
    assert covered == set(graph.executable_asset_keys) - shared_by_several
    assert not jobs["dvd_rental"] & others.resolve(graph)


def test_dbt_builds_all_models_in_one_pool(local: dg.Definitions) -> None:
    nodes = {node.key.path[0]: node for node in local.resolve_asset_graph().asset_nodes}
    assert {layer: nodes[layer].pools for layer in ("staging", "snapshots", "marts", "reports")} == {
        layer: {DBT_POOL} for layer in ("staging", "snapshots", "marts", "reports")
    }


def test_the_schedule_syncs_and_checks_the_source_in_one_run(local: dg.Definitions) -> None:
    assert local.resolve_schedule_def("dvd_rental_sync").job_name == "dvd_rental_sync"
    layer = local.resolve_job_def("dvd_rental_sync").asset_layer
    graph = local.resolve_asset_graph()
    raw = dg.AssetSelection.groups("raw").resolve(graph)
    assert layer.selected_asset_keys == {*raw, dg.AssetKey(["site", "checks"])}
    assert {check.key for check in graph.asset_check_nodes if check.key.asset_key in raw} <= {
        key for key in layer.asset_graph.asset_check_keys if key.asset_key in raw
    }


def test_every_asset_has_freshness_and_a_schedule_or_one_sensor(local: dg.Definitions) -> None:
    graph = local.resolve_asset_graph()
    promised = {node.key for node in graph.asset_nodes if node.freshness_policy}
    driven = {node.key for node in graph.asset_nodes if node.automation_condition}
    repository = local.get_repository_def()
    targets = [target for sensor in repository.sensor_defs for target in sensor.targets]
    started = {each.job_name for each in (*repository.schedule_defs, *targets)} & set(repository.job_names)
    scheduled = {key for job in started for key in local.resolve_job_def(job).asset_layer.executable_asset_keys}
    assert driven <= promised <= driven | scheduled
    assert driven | scheduled == set(graph.materializable_asset_keys)
    watched = [
        sensor.asset_selection.resolve(graph)
        for sensor in local.get_repository_def().sensor_defs
        if isinstance(sensor, dg.AutomationConditionSensorDefinition)
    ]
    assert sum(len(keys) for keys in watched) == len(driven), "an asset has one sensor"
    assert set().union(*watched) == driven


@pytest.mark.slow
def test_nothing_is_automated_in_a_branch(home_of: HomeOf) -> None:
    branch = definitions_of(Deployment.BRANCH, home_of).get_repository_def()
    assert branch.schedule_defs == []
    by_itself = [sensor for sensor in branch.sensor_defs if sensor.default_status.value == "RUNNING"]
    assert [sensor.name for sensor in by_itself] == ["run_failure_alerts"]


@pytest.mark.parametrize("deployment", [BRANCH, Deployment.PRODUCTION])
def test_the_graph_is_the_same_in_every_deployment(
    deployment: Deployment, local: dg.Definitions, home_of: HomeOf
) -> None:
    assert shared(definitions_of(deployment, home_of), deployment) == shared(local, deployment)


def shared(definitions: dg.Definitions, deployment: Deployment) -> dict[str, Any]:
    """What is the same in every deployment; a branch has no schedules and sensors."""
    found = fingerprint(definitions)
    by_itself = {"schedules", "sensors"} if deployment is Deployment.BRANCH else set()
    return {name: part for name, part in found.items() if name not in by_itself}


COMPLETE = {
    "DVD_RENTAL_AIRBYTE_WORKSPACE_ID": "workspace",
    "DVD_RENTAL_AIRBYTE_CONNECTION_ID": "connection",
    "DVD_RENTAL_AIRBYTE_CLIENT_ID": "client",
    "DVD_RENTAL_AIRBYTE_CLIENT_SECRET": "secret",
    "DVD_RENTAL_SNOWFLAKE_ACCOUNT": "organisation-account",
    "DVD_RENTAL_SNOWFLAKE_USER": "DVD_RENTAL_TRANSFORMER",
    "DVD_RENTAL_SNOWFLAKE_PRIVATE_KEY_PATH": "/nonexistent/key.p8",
    "DVD_RENTAL_SITE_BUCKET": "pages",
    "DVD_RENTAL_ALERTS_TOPIC": "arn:aws:sns:eu-west-1:123456789012:alerts",
}


@pytest.mark.parametrize("deployment", [BRANCH, Deployment.PRODUCTION])
def test_the_graph_with_its_own_resources_loads_without_a_network(
    deployment: Deployment, local: dg.Definitions, home_of: HomeOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**COMPLETE, "DVD_RENTAL_DEPLOYMENT": deployment.value}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DVD_RENTAL_HOME", str(home_of(deployment)))

    def refuse(self: socket.socket, address: Any) -> None:
        raise AssertionError(f"a connection to {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    definitions = build_definitions(Settings.load(Path("/nonexistent")))
    dg.Definitions.validate_loadable(definitions)
    assert shared(definitions, deployment) == shared(local, deployment)


@pytest.mark.slow
def test_production_loads_without_the_imports_of_its_runs(home_of: HomeOf, local: dg.Definitions) -> None:
    """Each takes seconds to import."""
    code = (
        "import sys\n"
        "from dvd_rental_pipeline.definitions import build_definitions\n"
        "from dvd_rental_pipeline.core.settings import Settings\n"
        "build_definitions(Settings.load())\n"
        "print(*sorted({'pandas', 'duckdb', 'pyarrow', 'adbc_driver_postgresql', 'snowflake.connector',"
        " 'boto3', 'dagster_snowflake', 'dagster_aws', 'sqlalchemy'} & set(sys.modules)))"
    )
    environment = {
        **COMPLETE,
        "DVD_RENTAL_DEPLOYMENT": "production",
        "DVD_RENTAL_HOME": str(home_of(Deployment.PRODUCTION)),
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("deployment", [BRANCH, Deployment.PRODUCTION])
def test_all_missing_snowflake_settings_are_named_at_once(deployment: Deployment, home_of: HomeOf) -> None:
    settings = Settings(deployment=deployment, home=home_of(deployment))
    with pytest.raises(SettingsError, match=f"DVD_RENTAL_DEPLOYMENT={deployment.value}") as caught:
        build_definitions(settings, resource_overrides={"ingestion": NoIngestion()})
    for name in ("ACCOUNT", "USER", "PRIVATE_KEY_PATH"):
        assert f"DVD_RENTAL_SNOWFLAKE_{name}: " in str(caught.value)


FACT, FILM = dg.AssetKey(["marts", "fct_payment"]), dg.AssetKey(["dvd_rental", "film"])


def test_every_asset_links_to_its_page_and_its_local_code(local: dg.Definitions) -> None:
    graph = local.resolve_asset_graph()
    for key, file in ((FACT, "fct_payment.sql"), (FILM, "raw_assets.py")):
        metadata = graph.get(key).metadata
        (code, *_) = metadata["dagster/code_references"].code_references
        assert isinstance(code, dg.LocalFileCodeReference)
        assert Path(code.file_path).name == file
        assert str(metadata["documentation"].value).endswith(f"/site/docs/lineage.html#{'.'.join(key.path)}")


def test_links_use_the_addresses_of_the_site_and_the_repository(home_of: HomeOf) -> None:
    settings = Settings(
        home=home_of(Deployment.LOCAL),
        site_url="https://pages.example.com/",
        code_url="https://gitlab.example.com/team/dvd",
    )
    with mock.patch.dict(os.environ):
        graph = build_definitions(settings, {"ingestion": NoIngestion()}).resolve_asset_graph()
    metadata = graph.get(FACT).metadata
    assert metadata["documentation"] == dg.MetadataValue.url(
        "https://pages.example.com/docs/lineage.html#marts.fct_payment"
    )
    assert metadata["checks_report"] == dg.MetadataValue.url("https://pages.example.com/checks/index.html")
    (code, *_) = metadata["dagster/code_references"].code_references
    assert isinstance(code, dg.UrlCodeReference)
    assert code.url == "https://gitlab.example.com/team/dvd/-/tree/main/dbt/models/marts/fct_payment.sql"
    referring = {node.key for node in graph.asset_nodes if "dagster/code_references" in node.metadata}
    assert referring >= graph.executable_asset_keys


def test_check_names_are_unique_within_an_asset(local: dg.Definitions) -> None:
    makers = [*(local.assets or ()), *(local.asset_checks or ())]
    specs = [spec for maker in makers for spec in getattr(maker, "check_specs", ())]
    names = [(spec.asset_key, spec.name.lower()) for spec in specs]
    assert len(names) == len(set(names)) == len(local.resolve_asset_graph().asset_check_keys) > 300


def test_every_built_table_has_a_check_of_data_lag(local: dg.Definitions, home_of: HomeOf) -> None:
    project = load_dbt_project(Settings(home=home_of(Deployment.LOCAL)))
    tracked = {table.asset: table for table in read_tracked_tables(read_model_inputs(project), PIPELINES)}
    graph = local.resolve_asset_graph()
    captured = {key[0] for pipeline in PIPELINES for key in pipeline.filled_by}
    own = dg.AssetSelection.key_prefixes(
        *(each.name for each in ASSET_PIPELINES if each.name not in captured)
    ).downstream()
    layers = dg.AssetSelection.groups("snapshots", "marts") | dg.AssetSelection.tag("layer", "reports")
    built = layers - own
    assert set(tracked) == built.resolve(graph)
    raw = {table.name: raw_key(DVD_RENTAL, table) for table in DVD_RENTAL.tables}
    assert tracked[FACT].sources >= {raw["payment"], raw["rental"], raw["customer"]}
    assert tracked[dg.AssetKey(["marts", "dim_copy"])].sources == {raw["inventory"]}
    assert all(table.sources for table in tracked.values())
    for domain in (pipeline.domain for pipeline in PIPELINES):
        fed = {it.spec.key for it in tracked.values() if any(key.path[0] == domain.name for key in it.sources)}
        sync = local.resolve_job_def(sync_job_name(domain)).asset_layer.asset_graph.asset_check_keys
        assert fed <= sync, "each sync evaluates them"


def test_reports_and_their_checks_do_not_read_what_a_sync_changes(
    local: dg.Definitions, home_of: HomeOf
) -> None:
    """Reports and their checks read marts, which change only when they are rebuilt."""
    project = load_dbt_project(Settings(home=home_of(Deployment.LOCAL)))
    nodes = json.loads(project.manifest_path.read_text(encoding="utf-8"))["nodes"].values()
    models = [node for node in nodes if node["resource_type"] == "model"]
    reports = {node["unique_id"] for node in models if node["schema"] == "reports"}
    assert len(reports) > 30
    for node in nodes:
        read = set(node.get("depends_on", {}).get("nodes", ()))
        if node["unique_id"] in reports or (node["resource_type"] == "test" and read & reports):
            moving = {name for name in read if ".stg_" in name or name.startswith("source.")}
            assert not moving, f"{node['name']} reads {moving}"
