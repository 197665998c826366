"""A pipeline that brings assets of its own, beside the rental pipeline."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import dagster as dg
import pytest

from dvd_rental_pipeline.assembly.declaration import AssetPipeline
from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.definitions import build_definitions
from dvd_rental_pipeline.pipelines.registry import DEFAULT_JOB
from dvd_rental_pipeline.publishing.checks_asset import CHECKS_KEY
from dvd_rental_pipeline.runs.selection import select_assets
from dvd_rental_pipeline_tests.parsed_project import ParsedProject

TICKETS = dg.AssetKey(["cinema", "tickets"])
RENTALS_BESIDE_TICKETS = dg.AssetKey(["reports", "rentals_beside_tickets"])


class Turnstile(dg.ConfigurableResource[Any]):
    """Counts visitors."""

    visitors: int


def _build_cinema(settings: Settings) -> dg.Definitions:
    @dg.asset(key=TICKETS, check_specs=[dg.AssetCheckSpec("has_visitors", asset=TICKETS)])
    def tickets(turnstile: Turnstile) -> dg.MaterializeResult:  # type: ignore[type-arg]
        check = dg.AssetCheckResult(check_name="has_visitors", passed=turnstile.visitors > 0)
        return dg.MaterializeResult(metadata={"visitors": turnstile.visitors}, check_results=[check])

    @dg.asset(key=RENTALS_BESIDE_TICKETS, deps=[TICKETS, dg.AssetKey(["dvd_rental", "rental"])])
    def rentals_beside_tickets() -> None: ...

    return dg.Definitions(
        assets=[tickets, rentals_beside_tickets], jobs=[dg.define_asset_job("cinema", selection=[tickets])]
    )


def _cinema_resources(settings: Settings) -> Mapping[str, Callable[[], Any]]:
    return {"turnstile": lambda: Turnstile(visitors=7)}


CINEMA = AssetPipeline("cinema", _build_cinema, _cinema_resources, trigger_assets=[("cinema", "tickets")])


@pytest.fixture(scope="module")
def home(parsed_project: ParsedProject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return parsed_project.prepare(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def definitions(home: Path) -> dg.Definitions:
    with mock.patch.dict(os.environ):
        return build_definitions(Settings(home=home), asset_pipelines=[CINEMA])


def test_its_job_runs_with_its_own_resources(definitions: dg.Definitions) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        result = definitions.resolve_job_def("cinema").execute_in_process(instance=instance)
    (event,) = result.get_asset_materialization_events()
    assert event.materialization.metadata["visitors"].value == 7
    assert [check.passed for check in result.get_asset_check_evaluations()] == [True]


def test_a_run_without_a_selection_builds_the_rental_pipeline_alone(definitions: dg.Definitions) -> None:
    keys = set(select_assets(definitions, None, DEFAULT_JOB))
    assert {dg.AssetKey(["dvd_rental", "rental"]), dg.AssetKey(["site", "checks"])} <= keys
    assert dg.AssetKey(["reports", "top_films"]) in keys
    assert TICKETS not in keys
    assert RENTALS_BESIDE_TICKETS not in keys, "one of its inputs is not built by this run"
    assert set(select_assets(definitions, "key:cinema/tickets")) == {TICKETS}


def test_its_checks_are_in_the_check_report(definitions: dg.Definitions, home: Path) -> None:
    job = definitions.resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.ephemeral() as instance:
        job.get_subset(asset_selection={TICKETS, CHECKS_KEY}).execute_in_process(instance=instance)
    report = json.loads((home / "site" / "checks" / "checks.json").read_text())
    (record,) = [check for check in report["checks"] if check["asset"] == "cinema/tickets"]
    assert (record["check"], record["outcome"]) == ("has_visitors", "passed")


def test_the_check_report_is_published_after_its_assets(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    with dg.DagsterInstance.ephemeral() as instance:
        condition = graph.get(CHECKS_KEY).automation_condition
        assert condition is not None
        run = definitions.resolve_job_def("cinema")

        def requested(cursor: Any) -> Any:
            return dg.evaluate_automation_conditions(
                definitions, instance, asset_selection=dg.AssetSelection.assets(CHECKS_KEY), cursor=cursor
            )

        first = requested(None)
        run.execute_in_process(instance=instance)
        second = requested(first.cursor)
    assert (first.total_requested, second.total_requested) == (0, 1)
