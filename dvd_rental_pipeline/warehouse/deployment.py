"""The warehouse of each deployment. No other module chooses one; none of this imports Dagster."""

from collections.abc import Callable, Mapping
from enum import Enum, auto

from dvd_rental_pipeline.core.settings import Deployment, Settings, SettingsError
from dvd_rental_pipeline.warehouse.duckdb_warehouse import DuckDBWarehouse
from dvd_rental_pipeline.warehouse.interface import Warehouse
from dvd_rental_pipeline.warehouse.postgres_warehouse import PostgresWarehouse


class WarehouseKind(Enum):
    """A database that can be the warehouse."""

    DUCKDB = auto()
    SNOWFLAKE = auto()
    POSTGRES = auto()


def warehouse_kind(settings: Settings) -> WarehouseKind:
    """The warehouse of this deployment.

    Raises:
        SettingsError: a PostgreSQL warehouse is set in a deployment whose warehouse is Snowflake.
    """
    match settings.deployment:
        case Deployment.LOCAL:
            return WarehouseKind.DUCKDB if settings.warehouse_url is None else WarehouseKind.POSTGRES
        case Deployment.BRANCH | Deployment.PRODUCTION if settings.warehouse_url is not None:
            raise SettingsError(
                f"DVD_RENTAL_DEPLOYMENT={settings.deployment.value} has its warehouse in Snowflake: unset "
                "DVD_RENTAL_WAREHOUSE_URL, or use the deployment `local`."
            )
        case Deployment.BRANCH | Deployment.PRODUCTION:
            return WarehouseKind.SNOWFLAKE


def open_warehouse(
    settings: Settings, tags: Mapping[str, str], on_wait: Callable[[str], None] | None = None
) -> Warehouse:
    """The warehouse of this deployment, outside of a run.

    `tags` describe the caller in Snowflake's query history; `on_wait` gets a message when a call may take long.

    Raises:
        SettingsError: settings of the warehouse are missing.
    """
    match warehouse_kind(settings):
        case WarehouseKind.DUCKDB:
            return DuckDBWarehouse(settings.warehouse_path, on_wait=on_wait)
        case WarehouseKind.POSTGRES:
            assert settings.warehouse_url is not None  # noqa: S101 - that makes the kind POSTGRES
            return PostgresWarehouse(settings.warehouse_url.get_secret_value())
        case WarehouseKind.SNOWFLAKE:
            # These imports take seconds, which `local` need not spend.
            from dvd_rental_pipeline.warehouse.snowflake_login import SnowflakeLogin  # noqa: PLC0415
            from dvd_rental_pipeline.warehouse.snowflake_stage import (  # noqa: PLC0415
                ExternalStage,
                TemporaryStage,
            )
            from dvd_rental_pipeline.warehouse.snowflake_warehouse import SnowflakeWarehouse  # noqa: PLC0415

            if on_wait:
                on_wait("querying Snowflake")
            return SnowflakeWarehouse(
                SnowflakeLogin.from_settings(settings),
                {"deployment": settings.deployment.value, **tags},
                ExternalStage.from_settings(settings) or TemporaryStage(),
            )
