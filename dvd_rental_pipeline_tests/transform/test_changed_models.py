"""Which models are built again after files of the dbt project were saved."""

from typing import Any

import pytest

from dvd_rental_pipeline.transform.changed_models import changed_models, models_below
from dvd_rental_pipeline_tests.transform.small_manifests import (
    data_test,
    macro,
    manifest_of,
    model,
    source,
    unit_test,
)

RENTAL = "source.small.raw.rental"
NODES = {
    "source": source("raw.rental"),
    "staging": model("staging.stg_rental", [RENTAL], materialized="view", macros=["macro.small.cleaned"]),
    "fact": model("marts.fct_rental", ["model.small.stg_rental"]),
    "report": model("reports.top_films", ["model.small.fct_rental"]),
    "other": model("reports.other", [RENTAL]),
    "cleaned": macro("cleaned", "trim(x)", macros=["macro.small.inner"]),
    "inner": macro("inner", "x"),
    "test": data_test("unique_fct", ["model.small.fct_rental"], kind="unique", arguments={"column_name": "id"}),
    "unit_test": unit_test("counts_films", "top_films", [{"rentals": 1}]),
}
KEYS = {
    "staging": ("staging", "stg_rental"),
    "fact": ("marts", "fct_rental"),
    "report": ("reports", "top_films"),
    "other": ("reports", "other"),
}


@pytest.mark.parametrize(
    ("name", "changes", "changed"),
    [
        ("fact", {"raw_code": "select 2"}, ["fact"]),
        ("fact", {"config": {"schema": "marts", "materialized": "view", "meta": {}}}, ["fact"]),
        ("fact", {"columns": {"id": {"name": "id", "description": "An id", "config": {}}}}, ["fact"]),
        ("cleaned", {"macro_sql": "upper(x)"}, ["staging"]),
        ("inner", {"macro_sql": "lower(x)"}, ["staging"]),
        ("test", {"test_metadata": {"name": "not_null", "kwargs": {"column_name": "id"}}}, ["fact"]),
        ("unit_test", {"expect": {"rows": [{"rentals": 2}]}}, ["report"]),
        ("fact", {"created_at": 12.5, "compiled_code": "select 1", "build_path": "x"}, []),
    ],
)
def test_a_model_changes_with_its_sql_config_columns_macros_and_tests(
    name: str, changes: dict[str, Any], changed: list[str]
) -> None:
    after = manifest_of(*({**NODES, name: {**NODES[name], **changes}}).values())
    assert changed_models(manifest_of(*NODES.values()), after) == [KEYS[each] for each in changed]


def test_a_new_model_is_changed_and_a_removed_one_is_not() -> None:
    without = manifest_of(*(node for name, node in NODES.items() if name != "other"))
    whole = manifest_of(*NODES.values())
    assert changed_models(without, whole) == [KEYS["other"]]
    assert changed_models(whole, without) == []


def test_everything_that_reads_a_model_is_below_it() -> None:
    manifest = manifest_of(*NODES.values())
    assert models_below(manifest, [KEYS["staging"]]) == sorted(
        KEYS[each] for each in ("staging", "fact", "report")
    )
    assert models_below(manifest, [KEYS["report"]]) == [KEYS["report"]]
