"""How far a run has come."""

import uuid

import dagster as dg

from dvd_rental_pipeline.runs.progress import RunProgress


@dg.asset(key_prefix="marts", check_specs=[dg.AssetCheckSpec("has_rows", asset=["marts", "dim_film"])])
def dim_film(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    context.log.debug("a detail")
    context.log.info("waiting for the warehouse\nsecond line")
    return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=True)])


def test_tables_and_checks_are_counted_as_they_are_done() -> None:
    lines: list[str] = []
    run_id = str(uuid.uuid4())
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_event_listener(run_id, RunProgress(2, lines.append))
        dg.Definitions([dim_film]).resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance, run_id=run_id
        )
    assert lines == [
        "0 of 2 · marts__dim_film: starting",
        "0 of 2 · waiting for the warehouse",
        "1 of 2 · marts/dim_film",
        "2 of 2 · marts/dim_film: has_rows",
    ]
