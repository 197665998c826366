"""The declaration of the signups pipeline."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from dvd_rental_pipeline.assembly.declaration import AssetPipeline
from dvd_rental_pipeline.core.settings import Settings

if TYPE_CHECKING:
    import dagster as dg


# Dagster takes seconds to import, and not every reader of the declaration needs it.
def _build_definitions(settings: Settings) -> "dg.Definitions":
    from dvd_rental_pipeline.pipelines.signups.assets import build_definitions  # noqa: PLC0415

    return build_definitions(settings)


def _resource_factories(settings: Settings) -> Mapping[str, Callable[[], Any]]:
    from dvd_rental_pipeline.pipelines.signups.resources import resource_factories  # noqa: PLC0415

    return resource_factories(settings)


SIGNUPS_PIPELINE = AssetPipeline("signups_postgres", _build_definitions, _resource_factories)
