"""The declaration of the totesys pipeline. Dagster is imported when its definitions are built."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from dvd_rental_pipeline.assembly.declaration import AssetPipeline
from dvd_rental_pipeline.core.settings import Settings

if TYPE_CHECKING:
    import dagster as dg

    from dvd_rental_pipeline.warehouse.interface import Reader, TableName


def _build_definitions(_: Settings) -> "dg.Definitions":
    import dagster as dg  # noqa: PLC0415 - slow to import

    from dvd_rental_pipeline.pipelines.totesys import assets, automation, checks  # noqa: PLC0415 - import Dagster

    return dg.Definitions(
        assets=[assets.ingestion, assets.transformation, assets.loading],
        asset_checks=checks.build_checks(),
        jobs=[*automation.JOBS, automation.backfill],
        schedules=automation.SCHEDULES,
        sensors=[automation.landed_run_sensor],
    )


def _resource_factories(settings: Settings) -> Mapping[str, Callable[[], Any]]:
    def build() -> Any:
        from dvd_rental_pipeline.pipelines.totesys.lake import build_lake  # noqa: PLC0415 - imports Dagster

        return build_lake(settings)

    return {"totesys_lake": build}


def _read_versions(reader: "Reader") -> Mapping["TableName", str]:
    from dvd_rental_pipeline.pipelines.totesys.versions import read_totesys_versions  # noqa: PLC0415 - Arrow

    return read_totesys_versions(reader)


TOTESYS_PIPELINE = AssetPipeline(
    name="totesys",
    build_definitions=_build_definitions,
    resource_factories=_resource_factories,
    trigger_assets=[("totesys_landing", "sales_order"), ("totesys", "fact_payment")],
    loaded_schemas=["totesys", "totesys_lake"],
    read_versions=_read_versions,
)
