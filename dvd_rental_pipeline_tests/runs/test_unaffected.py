"""A failed raw table stops what reads it, and nothing else, though one step builds all models."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.runs.instance import open_instance
from dvd_rental_pipeline.runs.launch import run_graph
from dvd_rental_pipeline.runs.report import RunReport

TABLES = ("film", "payment", "staff")


def _definitions(*, failing: set[str], drifted: set[str]) -> dg.Definitions:
    @dg.multi_asset(specs=[dg.AssetSpec(["raw", table]) for table in TABLES], can_subset=True)
    def ingestion(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        for key in context.selected_asset_keys:
            if key.path[-1] not in failing:
                yield dg.MaterializeResult(asset_key=key)
        if failing:
            raise dg.Failure(f"{', '.join(failing)} could not be replicated.", allow_retries=False)

    specs = [dg.AssetCheckSpec("schema", asset=dg.AssetKey(["raw", table]), blocking=True) for table in TABLES]

    @dg.multi_asset_check(specs=specs, can_subset=True)
    def checks(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        for key in context.selected_asset_check_keys:
            yield dg.AssetCheckResult(
                asset_key=key.asset_key,
                check_name=key.name,
                passed=key.asset_key.path[-1] not in drifted,
                description="a column was dropped.",
            )

    @dg.multi_asset(
        specs=[
            *(dg.AssetSpec(["marts", table], deps=[dg.AssetKey(["raw", table])]) for table in TABLES),
            dg.AssetSpec(["marts", "revenue"], deps=[dg.AssetKey(["marts", "payment"])]),
        ],
        can_subset=True,
    )
    def models(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        for key in sorted(context.selected_asset_keys):
            yield dg.MaterializeResult(asset_key=key)

    return dg.Definitions([ingestion, models], asset_checks=[checks])


def _run(home: Path, *, failing: set[str], drifted: set[str]) -> tuple[RunReport, set[str]]:
    settings = Settings(home=home)
    definitions = _definitions(failing=failing, drifted=drifted)
    with open_instance(settings) as instance:
        report = run_graph(
            definitions, instance, log_file=settings.home / "run.log", report_progress=lambda _: None
        )
        built = {
            key.path[-1]
            for key in definitions.resolve_asset_graph().get_all_asset_keys()
            if key.path[0] == "marts" and instance.get_latest_materialization_event(key) is not None
        }
    return report, built


@pytest.mark.parametrize(
    ("failing", "drifted"),
    [({"payment"}, set()), (set(), {"payment"})],
    ids=["not replicated", "a blocking check failed"],
)
def test_failed_table_stops_only_its_readers(
    history_folder: Path, failing: set[str], drifted: set[str]
) -> None:
    report, built = _run(history_folder.parent, failing=failing, drifted=drifted)
    assert built == {"film", "staff"}
    assert not report.success
    assert report.problems[-1] == (
        "2 assets were not built, because they read raw/payment. The others were built."
    )


def test_table_that_fails_in_the_rest_of_a_run_stops_its_readers_too(history_folder: Path) -> None:
    report, built = _run(history_folder.parent, failing={"payment"}, drifted={"staff"})
    assert built == {"film"}
    assert report.problems[-1] == (
        "3 assets were not built, because they read raw/payment, raw/staff. The others were built."
    )


def test_nothing_is_built_if_every_table_fails(history_folder: Path) -> None:
    report, built = _run(history_folder.parent, failing=set(TABLES), drifted=set())
    assert built == set()
    assert len(report.problems) == 1


def test_a_blocking_check_is_reported_once_for_all_tables(history_folder: Path) -> None:
    report, _ = _run(history_folder.parent, failing=set(), drifted={"payment", "staff"})
    assert report.problems[0] == (
        "check schema failed for 2 tables: payment: a column was dropped; staff: a column was dropped."
    )
    assert not any("DagsterAssetCheckFailedError" in problem for problem in report.problems)
