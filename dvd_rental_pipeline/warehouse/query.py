"""Asking the warehouse outside of any run, and without Dagster, which takes seconds to import."""

from collections.abc import Callable

from dvd_rental_pipeline.core.settings import Deployment, Settings
from dvd_rental_pipeline.warehouse.duckdb_file import Rows, query_duckdb


def query_warehouse(settings: Settings, sql: str, on_wait: Callable[[str], None]) -> Rows:
    """Answer one read-only statement from the warehouse of this deployment.

    Raises:
        WarehouseError: the statement fails or would write, or the warehouse cannot be reached.
        SettingsError: this deployment's warehouse cannot be asked.
    """
    match settings.deployment:
        case Deployment.LOCAL:
            return query_duckdb(settings.warehouse_path, sql, on_wait)
        case Deployment.BRANCH | Deployment.PRODUCTION:
            # Only production pays for these imports.
            from dvd_rental_pipeline.warehouse.snowflake_session import (  # noqa: PLC0415
                SnowflakeLogin,
                query_snowflake,
            )

            on_wait("asking Snowflake")
            tags = {"deployment": settings.deployment.value, "command": "query"}
            return query_snowflake(SnowflakeLogin.of(settings), sql, tags)
