"""What the step of the raw tables reports, with any ingestion resource."""

from pathlib import Path
from typing import Any

import dagster as dg

from dvd_rental_pipeline.assembly.raw_assets import build_raw_assets
from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.ingestion.resource import Ingestion, Inspection, SyncOutcome
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.pipelines.dvd_rental.pipeline import DVD_RENTAL_PIPELINE
from dvd_rental_pipeline.warehouse.resource import DuckDBWarehouseResource

ASSETS = build_raw_assets(DVD_RENTAL_PIPELINE)


class ScriptedIngestion(Ingestion):
    """Syncs all tables but `failing`, or none at all when there is an `outage`."""

    failing: list[str] = []  # noqa: RUF012 - a field of a pydantic model
    outage: str | None = None

    def sync(self, domain: Domain, log: Any, *, full_refresh: bool = False) -> SyncOutcome:
        if self.outage is not None:
            raise PipelineError(self.outage)
        rows = 2 if full_refresh else 1
        return SyncOutcome(
            metadata={
                table.name: {"dagster/row_count": dg.IntMetadataValue(rows)}
                for table in domain.tables
                if table.name not in self.failing
            },
            failures=dict.fromkeys(self.failing, "it has no primary key"),
        )

    def inspect(self, domain: Domain, log: dg.DagsterLogManager) -> Inspection:
        return Inspection(facts=None)


def materialize(
    tmp_path: Path, ingestion: Ingestion, selection: str | None = None, **config: Any
) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [ASSETS],
        resources={
            "ingestion": ingestion,
            "warehouse": DuckDBWarehouseResource(path=str(tmp_path / "warehouse.duckdb")),
        },
        selection=selection,
        run_config={"ops": {"dvd_rental_ingestion": {"config": config}}} if config else None,
        raise_on_error=False,
    )


def materialized(result: dg.ExecuteInProcessResult) -> set[str]:
    return {event.materialization.asset_key.path[-1] for event in result.get_asset_materialization_events()}


def failure(result: dg.ExecuteInProcessResult) -> str:
    (event,) = [event for event in result.all_events if event.is_step_failure]
    data = event.step_failure_data.user_failure_data
    assert data is not None
    assert data.description is not None
    return data.description


def test_every_table_is_materialized_with_its_row_count(tmp_path: Path) -> None:
    result = materialize(tmp_path, ScriptedIngestion())
    assert result.success
    assert materialized(result) == set(DVD_RENTAL.primary_keys())
    (film,) = result.asset_materializations_for_node("dvd_rental_ingestion")[:1]
    assert film.metadata["dagster/row_count"].value == 1


def test_a_full_refresh_reaches_the_ingestion(tmp_path: Path) -> None:
    result = materialize(tmp_path, ScriptedIngestion(), full_refresh=True)
    (film,) = result.asset_materializations_for_node("dvd_rental_ingestion")[:1]
    assert film.metadata["dagster/row_count"].value == 2


def test_only_the_selected_tables_are_reported(tmp_path: Path) -> None:
    result = materialize(tmp_path, ScriptedIngestion(), 'key:"dvd_rental/film" or key:"dvd_rental/actor"')
    assert result.success
    assert materialized(result) == {"film", "actor"}


def test_a_failing_table_is_named_and_the_others_are_up_to_date(tmp_path: Path) -> None:
    result = materialize(tmp_path, ScriptedIngestion(failing=["film"]))
    assert not result.success
    assert materialized(result) == set(DVD_RENTAL.primary_keys()) - {"film"}
    assert "film: it has no primary key" in failure(result)


def test_a_failing_table_that_is_not_selected_does_not_fail_the_step(tmp_path: Path) -> None:
    assert materialize(tmp_path, ScriptedIngestion(failing=["film"]), 'key:"dvd_rental/actor"').success


def test_an_outage_fails_the_step_with_its_message(tmp_path: Path) -> None:
    result = materialize(tmp_path, ScriptedIngestion(outage="The source does not answer: start it."))
    assert not result.success
    assert materialized(result) == set()
    assert failure(result) == "The source does not answer: start it."
