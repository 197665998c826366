"""The resources of the graph in each deployment. The only place that branches on the deployment."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import dagster as dg
from dagster_dbt import DbtProject
from pydantic import SecretStr

from dvd_rental_pipeline.assembly.declaration import AssetPipeline, CapturePipeline
from dvd_rental_pipeline.automation.alerts import Alerts, ConsoleAlerts, SnsAlerts
from dvd_rental_pipeline.core.settings import ENV_PREFIX, Deployment, Settings, SettingsError
from dvd_rental_pipeline.ingestion.observed import ObservedIngestion
from dvd_rental_pipeline.ingestion.resource import Ingestion
from dvd_rental_pipeline.ingestion.unavailable import UnavailableIngestion
from dvd_rental_pipeline.publishing.s3_site import S3Site
from dvd_rental_pipeline.publishing.site import FolderSite, Site
from dvd_rental_pipeline.quality.metric_history import MetricHistory
from dvd_rental_pipeline.transform.dbt_resource import build_dbt_resource
from dvd_rental_pipeline.warehouse.resource import build_warehouse_resource


def resource_factories(
    settings: Settings,
    dbt_project: DbtProject,
    pipelines: Sequence[CapturePipeline],
    asset_pipelines: Sequence[AssetPipeline] = (),
) -> Mapping[str, Callable[[], Any]]:
    """A factory for each resource of the graph, by its key: a resource that is overridden is never made."""
    return {
        **{pipeline.ingestion_key: partial(build_ingestion, settings, pipeline) for pipeline in pipelines},
        **{key: make for each in asset_pipelines for key, make in each.resource_factories(settings).items()},
        "warehouse": lambda: build_warehouse_resource(settings),
        "dbt": lambda: build_dbt_resource(dbt_project),
        "metric_history": lambda: MetricHistory(location=settings.metric_history),
        "site": lambda: _site(settings),
        "alerts": lambda: _alerts(settings),
    }


def automation_enabled(settings: Settings) -> bool:
    """Whether schedules and sensors are registered in this deployment.

    A branch deployment is for manual runs. What must not run is not registered: a default status only sets the
    initial state, which a click in the UI changes permanently.
    """
    return settings.deployment is not Deployment.BRANCH


def build_ingestion(settings: Settings, pipeline: CapturePipeline) -> Ingestion:
    match settings.deployment:
        case Deployment.LOCAL if settings.warehouse_url is not None:
            return UnavailableIngestion(
                reason="The embedded replication writes a DuckDB file, and DVD_RENTAL_WAREHOUSE_URL chooses "
                f"PostgreSQL as the warehouse: {pipeline.domain.name} cannot be replicated there. Unset it, or "
                "run another pipeline, such as `dvd-rental run --select group:sales`."
            )
        case Deployment.LOCAL:
            # Only local pays for this import, of Arrow and pandas.
            from dvd_rental_pipeline.ingestion.embedded import EmbeddedIngestion  # noqa: PLC0415

            return EmbeddedIngestion(
                postgres_dir=str(settings.postgres_dir),
                warehouse_path=str(settings.warehouse_path),
                slot=pipeline.slot(settings),
                source_url=_source_url(settings, pipeline),
                source_port=settings.source_port,
            )
        case Deployment.BRANCH:
            return ObservedIngestion(warehouse=build_warehouse_resource(settings))
        case Deployment.PRODUCTION:
            return _airbyte(settings, pipeline)


def _source_url(settings: Settings, pipeline: CapturePipeline) -> Any:
    """By reference: a resource's configuration is shown in the UI, and the URL may contain a password."""
    if getattr(settings, pipeline.source_setting) is None:
        return None
    return dg.EnvVar(f"{ENV_PREFIX}{pipeline.source_setting.upper()}")


def _airbyte(settings: Settings, pipeline: CapturePipeline) -> Ingestion:
    try:
        pipeline.require_airbyte(settings)
    except SettingsError as error:
        if pipeline.is_optional:
            return UnavailableIngestion(reason=str(error))
        raise
    # Only production pays for this import.
    from dagster_airbyte import AirbyteCloudWorkspace, AirbyteWorkspace  # noqa: PLC0415

    from dvd_rental_pipeline.ingestion.airbyte.client import AirbyteUrls  # noqa: PLC0415
    from dvd_rental_pipeline.ingestion.airbyte.resource import AirbyteIngestion  # noqa: PLC0415

    given: dict[str, Any] = {
        "workspace_id": settings.airbyte_workspace_id,
        "request_timeout": settings.airbyte_request_timeout,
        "request_max_retries": settings.airbyte_request_max_retries,
        "request_retry_delay": settings.airbyte_request_retry_delay,
        "poll_interval": settings.airbyte_poll_interval,
        "poll_timeout": settings.airbyte_poll_timeout,
        "poll_previous_running_sync": True,
        "cancel_on_termination": settings.airbyte_cancel_on_termination,
    }
    for name in settings.airbyte_credentials:
        value = getattr(settings, name)
        field = name.removeprefix("airbyte_")
        if isinstance(value, SecretStr):
            # By reference: the UI shows a resource's configuration.
            given[field] = dg.EnvVar(f"DVD_RENTAL_{name.upper()}")
        elif field != "url":
            given[field] = value
    with warnings.catch_warnings():
        # The version is pinned, and users cannot act on the warning.
        warnings.simplefilter("ignore", dg.BetaWarning)
        if settings.airbyte_url is None:
            workspace: Any = AirbyteCloudWorkspace(**given)
        else:
            urls = AirbyteUrls.from_server(settings.airbyte_url)
            workspace = AirbyteWorkspace(
                rest_api_base_url=urls.public_api, configuration_api_base_url=urls.configuration_api, **given
            )
        return AirbyteIngestion(
            workspace=workspace,
            connection_id=str(getattr(settings, pipeline.connection_setting)),
            warehouse=build_warehouse_resource(settings),
            source_url=_source_url(settings, pipeline),
            slot=pipeline.slot(settings),
        )


def _site(settings: Settings) -> Site:
    # By setting, not by deployment: production on a single server keeps its pages in a folder.
    if settings.site_bucket is not None:
        return S3Site(bucket=settings.site_bucket, url=settings.site_url)
    return FolderSite(path=str(settings.site_dir))


def _alerts(settings: Settings) -> Alerts:
    if settings.alerts_topic is not None:
        return SnsAlerts(topic=settings.alerts_topic, dagster_url=settings.dagster_url)
    return ConsoleAlerts(dagster_url=settings.dagster_url)
