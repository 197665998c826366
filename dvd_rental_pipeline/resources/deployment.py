"""What each deployment plugs into the graph. The only place that asks which deployment this is."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DbtProject
from pydantic import SecretStr

from dvd_rental_pipeline.resources.dbt import build_dbt_resource
from dvd_rental_pipeline.resources.embedded_ingestion import EmbeddedIngestion
from dvd_rental_pipeline.resources.ingestion import Ingestion
from dvd_rental_pipeline.resources.site import FolderSite
from dvd_rental_pipeline.resources.warehouse import DuckDBWarehouse, Warehouse
from dvd_rental_pipeline.settings import Deployment, Settings


def resource_factories(settings: Settings, dbt_project: DbtProject) -> Mapping[str, Callable[[], Any]]:
    """For each resource of the graph, by its key, how to make it in this deployment.

    They are factories so that a resource that is overridden is never made.
    """
    return {
        "ingestion": lambda: _ingestion(settings),
        "warehouse": lambda: _warehouse(settings),
        "dbt": lambda: build_dbt_resource(dbt_project),
        "site": lambda: FolderSite(path=str(settings.site_dir)),
    }


def _warehouse(settings: Settings) -> Warehouse:
    match settings.deployment:
        case Deployment.LOCAL:
            return DuckDBWarehouse(path=str(settings.warehouse_path))
        case Deployment.BRANCH | Deployment.PRODUCTION:
            return _snowflake(settings)


def _snowflake(settings: Settings) -> Warehouse:
    settings.require_snowflake()
    # Only production pays for this import.
    from dvd_rental_pipeline.resources.snowflake_warehouse import SnowflakeWarehouse  # noqa: PLC0415

    given = {name: getattr(settings, f"snowflake_{name}") for name in SnowflakeWarehouse.login_settings()}
    for name, value in given.items():
        if isinstance(value, SecretStr):
            # By reference: a resource's configuration is shown in the UI.
            given[name] = dg.EnvVar(f"DVD_RENTAL_SNOWFLAKE_{name.upper()}")
        elif isinstance(value, Path):
            given[name] = str(value)
    return SnowflakeWarehouse(deployment=settings.deployment.value, **given)


def _ingestion(settings: Settings) -> Ingestion:
    match settings.deployment:
        case Deployment.LOCAL:
            return EmbeddedIngestion(
                postgres_dir=str(settings.postgres_dir),
                warehouse_path=str(settings.warehouse_path),
                slot=settings.replication_slot,
                # By reference: a resource's configuration is shown in the UI, and the URL may hold a password.
                source_url=dg.EnvVar("DVD_RENTAL_SOURCE_URL") if settings.source_url else None,
                source_port=settings.source_port,
            )
        case Deployment.BRANCH | Deployment.PRODUCTION:
            raise settings.unavailable("ingestion through Airbyte")
