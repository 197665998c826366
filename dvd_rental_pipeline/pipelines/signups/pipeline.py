"""The declarations of the signups pipeline: from the API into PostgreSQL, and from there into the warehouse."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dvd_rental_pipeline.assembly.declaration import AssetPipeline, CapturePipeline, TierFreshness
from dvd_rental_pipeline.core.catalog import FreshnessTier
from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.pipelines.signups.catalog import SIGNUPS

if TYPE_CHECKING:
    import dagster as dg


# Dagster takes seconds to import, and not every reader of the declaration needs it.
def _build_definitions(settings: Settings) -> "dg.Definitions":
    from dvd_rental_pipeline.pipelines.signups.assets import build_definitions  # noqa: PLC0415

    return build_definitions(settings)


def _resource_factories(settings: Settings) -> Mapping[str, Callable[[], Any]]:
    from dvd_rental_pipeline.pipelines.signups.resources import resource_factories  # noqa: PLC0415

    return resource_factories(settings)


SIGNUPS_LOAD = AssetPipeline(
    "signups_postgres",
    _build_definitions,
    _resource_factories,
    record_schemas=[Path(__file__).with_name("user.schema.json")],
)

SIGNUPS_CAPTURE = CapturePipeline(
    domain=SIGNUPS,
    ingestion_key="signups_ingestion",
    # Between two syncs of the rental tables, since DuckDB has one writer.
    sync_cron="7-59/15 * * * *",
    tiers={
        FreshnessTier.TRANSACTIONS: TierFreshness(
            warn_after=timedelta(minutes=35), fail_after=timedelta(minutes=45), commit_lag=timedelta(minutes=45)
        )
    },
    raw_group="signups",
    slot_suffix="_signups",
    source_setting="signups_database_url",
    connection_setting="signups_airbyte_connection_id",
    filled_by=[("signups_postgres", "users")],
    is_optional=True,
)
