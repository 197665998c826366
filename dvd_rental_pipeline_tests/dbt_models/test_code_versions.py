"""The code version of a model or test changes with all code that determines its SQL, and with no other."""

import copy
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from dvd_rental_pipeline.core.settings import DBT_PROJECT_DIR
from dvd_rental_pipeline.transform.code_versions import read_node_codes
from dvd_rental_pipeline.transform.manifest import Manifest


def versions(raw: Mapping[str, Any], project_dir: Path = DBT_PROJECT_DIR) -> dict[str, str]:
    codes = read_node_codes(Manifest(raw), project_dir)
    return {unique_id.split(".")[2]: code.version for unique_id, code in codes.items()}


def changed(raw: Mapping[str, Any], edited: Mapping[str, Any]) -> set[str]:
    before, after = versions(raw), versions(edited)
    return {name for name in before if before[name] != after[name]}


@pytest.fixture
def edited(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the manifest, to be edited."""
    return copy.deepcopy(dict(manifest))


def test_sql_and_columns_belong_to_their_node(manifest: Mapping[str, Any], edited: dict[str, Any]) -> None:
    edited["nodes"]["model.dvd_rental.dim_film"]["raw_code"] += "\n-- a comment"
    edited["nodes"]["model.dvd_rental.top_films"]["columns"]["title"]["data_type"] = "text"
    edited["nodes"]["model.dvd_rental.top_films"]["description"] = "Another description."
    edited["nodes"]["model.dvd_rental.dim_actor"]["description"] = "Another description."
    assert changed(manifest, edited) == {"dim_film", "top_films"}


@pytest.mark.parametrize(
    ("macro", "used", "unused"),
    [
        ("payments_by_rental", "fct_rental", "dim_film"),
        ("unknown_member_key", "fct_rental", "data_as_of"),  # also by `rows_with_stale_key`
        ("duckdb__past_states_relation", "customer_state_history", "dim_film"),  # dispatched
        ("delete_rows_not_in", "fct_payment", "dim_film"),  # in a hook
        ("rows_with_stale_key", "fct_payment", "dim_film"),  # in incremental builds alone
        ("should_full_refresh", "dim_film", None),  # dbt itself calls it
        ("snapshot_committed_strategy", "customer_versions", None),  # dbt finds it by its name
    ],
)
def test_a_macro_belongs_to_all_that_use_it(
    manifest: Mapping[str, Any], edited: dict[str, Any], macro: str, used: str, unused: str | None
) -> None:
    edited["macros"][f"macro.dvd_rental.{macro}"]["macro_sql"] += "{# edited #}"
    found = changed(manifest, edited)
    assert used in found
    assert unused not in found


def test_macros_of_other_adapters_are_left_out(manifest: Mapping[str, Any], edited: dict[str, Any]) -> None:
    edited["macros"]["macro.dvd_rental.snowflake__create_table_as"]["macro_sql"] += "{# edited #}"
    assert changed(manifest, edited) == set()


def test_variables_belong_to_what_reads_them(manifest: Mapping[str, Any], tmp_path: Path) -> None:
    project = tmp_path / "dbt_project.yml"
    shutil.copy(DBT_PROJECT_DIR / project.name, project)
    before = versions(manifest, tmp_path)
    project.write_text(project.read_text().replace("lost_after_days: 30", "lost_after_days: 31"))
    after = versions(manifest, tmp_path)
    assert before["fct_rental"] != after["fct_rental"]
    assert before["dim_film"] == after["dim_film"]


def test_settings_of_the_project_belong_to_all_nodes(manifest: Mapping[str, Any], tmp_path: Path) -> None:
    project = tmp_path / "dbt_project.yml"
    shutil.copy(DBT_PROJECT_DIR / project.name, project)
    before = versions(manifest, tmp_path)
    project.write_text(project.read_text() + "\nquoting: {identifier: true}\n")
    after = versions(manifest, tmp_path)
    assert all(before[name] != after[name] for name in before)


def test_environment_variables_belong_to_what_reads_them(manifest: Mapping[str, Any]) -> None:
    before = versions(manifest)
    with mock.patch.dict(os.environ, DVD_RENTAL_TIME_ZONE="Asia/Tokyo", DAGSTER_DBT_RUN_ID="another"):
        after = versions(manifest)
    assert before["stg_dvd_rental__rental"] != after["stg_dvd_rental__rental"]
    assert before["dim_actor"] == after["dim_actor"]


def test_models_whose_sql_depends_on_the_warehouse_are_known(manifest: Mapping[str, Any]) -> None:
    codes = read_node_codes(Manifest(manifest), DBT_PROJECT_DIR)
    introspecting = {unique_id.split(".")[2] for unique_id, code in codes.items() if code.introspects}
    histories = {f"{name}_state_history" for name in ("customer", "film", "staff")}
    assert histories <= introspecting
    assert "dim_film" not in introspecting
    assert "stg_dvd_rental__rental" not in introspecting
