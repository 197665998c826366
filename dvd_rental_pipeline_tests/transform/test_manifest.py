"""The manifest is parsed once per file, and answers which sources, columns and domains belong to a table."""

import json
import os
from pathlib import Path

import dagster as dg
from dagster_dbt import DagsterDbtTranslator

from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.transform.manifest import read_manifest
from dvd_rental_pipeline.transform.project import load_dbt_project
from dvd_rental_pipeline_tests.transform.small_manifests import manifest_of, model, source

FILMS, USERS = source("shop.film"), source("signups.user")
SMALL = manifest_of(
    FILMS,
    USERS,
    model("staging.stg_film", [FILMS["unique_id"]], materialized="view", columns=["film_id"]),
    model("marts.dim_film", ["model.small.stg_film"], columns=["film_id", "Owner"], private=["Owner"]),
    model("marts.dim_user", [USERS["unique_id"]]),
    model("reports.both", ["model.small.dim_film", "model.small.dim_user"]),
    model("reports.assigned", ["model.small.both"], meta={"domain": "shop"}),
)


def test_a_file_is_parsed_again_only_after_it_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(SMALL.raw), encoding="utf-8")
    first = read_manifest(path)
    assert read_manifest(path) is first
    path.write_text(json.dumps(manifest_of(FILMS).raw), encoding="utf-8")
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    assert read_manifest(path).models == {}


def test_the_sources_behind_a_model_are_found_through_other_models() -> None:
    assert [table.key for table in SMALL.sources_behind("model.small.dim_film")] == [("shop", "film")]
    assert [table.key for table in SMALL.sources_behind("model.small.both")] == [
        ("shop", "film"),
        ("signups", "user"),
    ]
    assert [table.key for table in SMALL.sources_behind(FILMS["unique_id"])] == [("shop", "film")]


def test_a_model_belongs_to_the_domains_of_its_sources_or_of_its_meta() -> None:
    assert SMALL.domains_of("model.small.dim_film") == {"shop"}
    assert SMALL.domains_of("model.small.both") == {"shop", "signups"}
    assert SMALL.domains_of("model.small.assigned") == {"shop"}


def test_the_schema_of_a_model_has_no_branch_prefix() -> None:
    assert SMALL.models["model.small.dim_film"].key == ("marts", "dim_film")


def test_private_columns_are_those_marked_in_their_meta() -> None:
    assert SMALL.private_columns() == {"owner"}


def test_the_keys_of_all_tables_are_dagster_dbts_asset_keys(parsed_home: Path) -> None:
    project = load_dbt_project(Settings(home=parsed_home))
    manifest = read_manifest(project.manifest_path)
    translator = DagsterDbtTranslator()
    assert manifest.tables
    for table in manifest.tables:
        expected = translator.get_asset_spec(manifest.raw, table.unique_id, project).key
        assert dg.AssetKey(table.key) == expected
