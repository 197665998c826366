"""A code location with one job that succeeds and one that fails, for tests of the instance that runs it."""

import dagster as dg

from dvd_rental_pipeline.assembly.resources import _alerts
from dvd_rental_pipeline.automation.run_failures import run_failure_alerts
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.settings import Settings


@dg.asset
def film(context: dg.AssetExecutionContext) -> None:
    """Succeeds."""
    context.log.info("a line of the run")
    print("a line that the step prints")


@dg.asset_check(asset=film)
def film_is_fine() -> dg.AssetCheckResult:
    """Succeeds."""
    return dg.AssetCheckResult(passed=True)


@dg.asset
def rental() -> None:
    """Fails."""
    raise PipelineError("The bucket is closed.")


defs = dg.Definitions(
    assets=[film, rental],
    asset_checks=[film_is_fine],
    jobs=[dg.define_asset_job("good", selection="film"), dg.define_asset_job("bad", selection="rental")],
    sensors=[run_failure_alerts],
    resources={"alerts": _alerts(Settings.load())},
    executor=dg.in_process_executor,
)
