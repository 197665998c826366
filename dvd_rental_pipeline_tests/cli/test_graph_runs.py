"""What a command shows while the graph runs."""

import uuid

import dagster as dg

from dvd_rental_pipeline.cli.graph_runs import progress_listener

RUN_ID = str(uuid.uuid4())


@dg.asset(key_prefix="marts")
def dim_film(context: dg.AssetExecutionContext) -> None:
    """An asset that logs."""
    context.log.debug("a detail")
    context.log.info("first line\nsecond line")


def test_progress_names_the_step_its_log_lines_and_its_assets() -> None:
    lines: list[str] = []
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_event_listener(RUN_ID, progress_listener(lines.append))
        dg.Definitions([dim_film]).resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance, run_id=RUN_ID
        )
    assert lines == ["marts__dim_film: running", "first line", "marts/dim_film: done"]
