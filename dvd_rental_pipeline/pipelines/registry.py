"""All pipelines of this code location."""

from collections.abc import Sequence

from dvd_rental_pipeline.assembly.declaration import AssetPipeline, CapturePipeline
from dvd_rental_pipeline.core.settings import Deployment, Settings
from dvd_rental_pipeline.pipelines.dvd_rental.pipeline import DVD_RENTAL_PIPELINE
from dvd_rental_pipeline.pipelines.sales.pipeline import SALES_PIPELINE
from dvd_rental_pipeline.pipelines.signups.pipeline import SIGNUPS_CAPTURE, SIGNUPS_LOAD
from dvd_rental_pipeline.pipelines.totesys.pipeline import TOTESYS_PIPELINE

PIPELINES: Sequence[CapturePipeline] = (DVD_RENTAL_PIPELINE, SIGNUPS_CAPTURE)
"""Those that are replicated by change data capture."""

ASSET_PIPELINES: Sequence[AssetPipeline] = (TOTESYS_PIPELINE, SIGNUPS_LOAD, SALES_PIPELINE)
"""Those that bring assets of their own."""

DEFAULT_JOB = DVD_RENTAL_PIPELINE.domain.name
"""The job that a run without a selection executes."""


def require_settings(settings: Settings) -> None:
    """Require what the deployment needs to load the graph, without loading it, which takes seconds.

    Raises:
        SettingsError: some settings are missing; the message lists them.
    """
    if settings.deployment is Deployment.PRODUCTION:
        for pipeline in PIPELINES:
            if not pipeline.is_optional:
                pipeline.require_airbyte(settings)
    if settings.deployment is not Deployment.LOCAL:
        settings.require_snowflake()
