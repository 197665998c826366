"""The declaration of the sales pipeline."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from dvd_rental_pipeline.assembly.declaration import AssetPipeline
from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.pipelines.sales.columns import SALES
from dvd_rental_pipeline.pipelines.sales.versions import read_sales_versions

if TYPE_CHECKING:
    import dagster as dg


def _build_definitions(settings: Settings) -> "dg.Definitions":
    # Dagster takes seconds to import, and not every reader of the declaration needs it.
    from dvd_rental_pipeline.pipelines.sales.assets import build_sales_definitions  # noqa: PLC0415

    return build_sales_definitions(settings)


def _resource_factories(settings: Settings) -> Mapping[str, Callable[[], Any]]:
    def sales_files() -> Any:
        from dvd_rental_pipeline.pipelines.sales.assets import SalesFilesResource  # noqa: PLC0415

        return SalesFilesResource(location=settings.sales_landing)

    return {"sales_files": sales_files}


SALES_PIPELINE = AssetPipeline(
    name=SALES.name,
    build_definitions=_build_definitions,
    resource_factories=_resource_factories,
    trigger_assets=[(SALES.name, "order_lines")],
    loaded_schemas=[SALES.name],
    # A file comes once a month.
    freshness=timedelta(days=35),
    read_versions=read_sales_versions,
)
