"""The rules of the dbt project, which dbt itself does not check. A failure names the file to edit."""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import pytest

from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.pipelines.registry import PIPELINES

Node = Mapping[str, Any]

WITHOUT_PRIMARY_KEY = {
    "data_as_of": "a single row",
    "sales_data_as_of": "a single row",
    "totesys_data_as_of": "a single row",
    **{
        f"{entity}_state_history": f"states may repeat; the versions in dim_{entity}_history have a key"
        for entity in ("customer", "film", "staff", "store")
    },
}


@pytest.fixture(scope="session")
def models(manifest: Mapping[str, Any]) -> Mapping[str, Node]:
    """Models and snapshots by name."""
    return {
        node["name"]: node
        for node in manifest["nodes"].values()
        if node["resource_type"] in ("model", "snapshot")
    }


@pytest.fixture(scope="session")
def reports(models: Mapping[str, Node]) -> Mapping[str, Node]:
    selected = {name: node for name, node in models.items() if node["schema"] == "reports"}
    assert selected
    return selected


def test_no_model_depends_on_the_time_of_the_run(
    manifest: Mapping[str, Any], models: Mapping[str, Node]
) -> None:
    # A run reuses what was built from the same data, whenever that was. The data's own time is `data_as_of`.
    volatile = re.compile(
        r"\b(current_(?:date|time|timestamp)|localtime(?:stamp)?|now|getdate|sysdate|run_started_at|invocation_id"
        r"|random|uuid|gen_random_uuid|uuid_string|nextval)\b",
        re.IGNORECASE,
    )
    project = manifest["metadata"]["project_name"]
    macros = {name: each["macro_sql"] for name, each in manifest["macros"].items() if f".{project}." in name}
    texts = {name: model["raw_code"] for name, model in models.items()} | macros
    code = {name: re.sub(r"--[^\n]*|(?s:\{#.*?#\})", "", text) for name, text in texts.items()}
    assert {name: found for name, text in code.items() if (found := volatile.findall(text))} == {}


def test_every_report_has_an_exposure(manifest: Mapping[str, Any], reports: Mapping[str, Node]) -> None:
    exposed = {
        unique_id
        for exposure in manifest["exposures"].values()
        for unique_id in exposure["depends_on"]["nodes"]
    }
    missing = [name for name, node in reports.items() if node["unique_id"] not in exposed]
    assert missing == [], (
        f"no one reads {', '.join(missing)}: add it to `depends_on` of an exposure in dbt/models/exposures/"
    )


def test_every_report_has_a_group_and_an_owner(reports: Mapping[str, Node]) -> None:
    missing = [
        _yaml_file(node)
        for node in reports.values()
        if not all((node["config"]["meta"].get("dagster") or {}).get(key) for key in ("group", "owners"))
    ]
    assert missing == [], "config.meta.dagster needs `group` and `owners` in these files"


def test_rows_are_counted_after_the_hook_that_deletes_some(models: Mapping[str, Node]) -> None:
    """The last count in dbt's log is the one that is recorded."""
    hooks = {name: [hook["sql"] for hook in node["config"]["post-hook"]] for name, node in models.items()}
    deleting = {name for name, each in hooks.items() if any("delete_rows" in sql for sql in each)}
    assert deleting == {"fct_payment", "fct_rental"}
    assert {name for name in deleting if "log_row_count" not in hooks[name][-1]} == set()


def test_facts_of_rentals_build_hash_tables_of_histories(models: Mapping[str, Node]) -> None:
    """DuckDB would build those of all rentals: three times as long, with several times the memory."""
    for name in ("fct_payment", "fct_rental"):
        assert "valid_at(" in models[name]["raw_code"]
        hooks = [hook["sql"] for hook in models[name]["config"]["pre-hook"]]
        assert any("build_from_right_sides()" in sql for sql in hooks), name
        assert any("forget_build()" in sql for sql in hooks), "the hook of the project stays"


def test_every_model_has_its_yaml_beside_it(models: Mapping[str, Node]) -> None:
    elsewhere = [
        f"{_yaml_file(node)} (not {node['patch_path']})"
        for node in models.values()
        if node["resource_type"] == "model"
        and node["patch_path"] != f"{node['package_name']}://{_yaml_file(node).removeprefix('dbt/')}"
    ]
    assert elsewhere == [], "each model is described in a file of its own name"


def test_every_model_and_column_has_a_description(models: Mapping[str, Node]) -> None:
    missing = [
        f"{_yaml_file(node)}: {name}"
        for node in models.values()
        for name, description in (
            (node["name"], node["description"]),
            *((column["name"], column["description"]) for column in node["columns"].values()),
        )
        if not description.strip()
    ]
    assert missing == [], "add a description"


def test_every_model_documents_its_grain(models: Mapping[str, Node]) -> None:
    missing = [_yaml_file(node) for node in models.values() if "one row per" not in node["description"].lower()]
    assert missing == [], 'say "One row per ..." in the description of the model'


def test_every_model_has_a_primary_key_test(manifest: Mapping[str, Any], models: Mapping[str, Node]) -> None:
    tested: dict[str, set[tuple[str, str]]] = {}
    for node in manifest["nodes"].values():
        if node["resource_type"] == "test" and node.get("test_metadata") and node["attached_node"]:
            kind = node["test_metadata"]["name"], node["column_name"] or ""
            tested.setdefault(node["attached_node"], set()).add(kind)
    missing = [
        _yaml_file(node)
        for name, node in models.items()
        if name not in WITHOUT_PRIMARY_KEY and not _has_primary_key(tested.get(node["unique_id"], set()))
    ]
    assert missing == [], "add the test `primary_key`, or `unique` and `not_null` on one column"
    assert set(WITHOUT_PRIMARY_KEY) <= set(models), "an exception for a model that does not exist"


@pytest.mark.parametrize("domain", [pipeline.domain for pipeline in PIPELINES], ids=lambda domain: domain.name)
def test_every_source_table_has_a_staging_model(
    domain: Domain, manifest: Mapping[str, Any], models: Mapping[str, Node]
) -> None:
    for table in domain.tables:
        source = f"source.dvd_rental.{domain.name}.{table.name}"
        assert source in manifest["sources"], f"run `make render`: {table.name} is not a source of dbt"
        name = f"stg_{domain.name}__{table.name}"
        files = f"dbt/models/staging/{name}.sql and {name}.yml"
        assert name in models, f"{table.name} has no staging model: add {files}"
        assert models[name]["depends_on"]["nodes"] == [source], f"{files}: the source must be {table.name}"


def _has_primary_key(tests: set[tuple[str, str]]) -> bool:
    return any(
        kind == "primary_key" or (kind == "unique" and ("not_null", column) in tests) for kind, column in tests
    )


def _yaml_file(node: Node) -> str:
    return str(PurePosixPath("dbt", node["original_file_path"]).with_suffix(".yml"))
