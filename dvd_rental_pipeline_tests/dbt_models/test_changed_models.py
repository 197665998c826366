"""Which models are built again after files of the dbt project were saved."""

import copy
from collections.abc import Mapping
from typing import Any

import pytest

from dvd_rental_pipeline.core.settings import DBT_PROJECT_DIR
from dvd_rental_pipeline.transform.changed_models import (
    Signatures,
    changed_models,
    models_below,
    read_signatures,
)
from dvd_rental_pipeline.transform.manifest import Manifest

FILM, TOP_FILMS = ("marts", "dim_film"), ("reports", "top_films")


def signatures(raw: Mapping[str, Any]) -> Signatures:
    return read_signatures(Manifest(raw), DBT_PROJECT_DIR)


@pytest.fixture
def edited(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the manifest, to be edited."""
    return copy.deepcopy(dict(manifest))


def test_a_model_changes_with_its_sql(manifest: Mapping[str, Any], edited: dict[str, Any]) -> None:
    edited["nodes"]["model.dvd_rental.top_films"]["raw_code"] += "\n-- a comment"
    edited["nodes"]["model.dvd_rental.dim_film"]["created_at"] = 0
    assert changed_models(signatures(manifest), signatures(edited)) == [TOP_FILMS]


def test_a_model_changes_with_its_data_tests(manifest: Mapping[str, Any], edited: dict[str, Any]) -> None:
    (test,) = (node for node in edited["nodes"].values() if node["name"] == "top_films_conserves_totals")
    test["test_metadata"]["kwargs"]["rentals"] = "payments"
    assert changed_models(signatures(manifest), signatures(edited)) == [TOP_FILMS]


def test_a_model_changes_with_its_unit_tests(manifest: Mapping[str, Any], edited: dict[str, Any]) -> None:
    unit_test = next(each for each in edited["unit_tests"].values() if each["model"] == "fct_rental")
    unit_test["checksum"] = "another"
    assert changed_models(signatures(manifest), signatures(edited)) == [("marts", "fct_rental")]


def test_a_new_model_is_changed_and_a_removed_one_is_not(manifest: Mapping[str, Any]) -> None:
    whole = signatures(manifest)
    without = {key: value for key, value in whole.items() if key != TOP_FILMS}
    assert changed_models(without, whole) == [TOP_FILMS]
    assert changed_models(whole, without) == []


def test_everything_that_reads_a_model_is_below_it(manifest: Mapping[str, Any]) -> None:
    models = Manifest(manifest)
    below = models_below(models, [FILM])
    assert {FILM, TOP_FILMS} <= set(below)
    assert ("staging", "stg_dvd_rental__film") not in below
    assert models_below(models, [TOP_FILMS]) == [TOP_FILMS]
