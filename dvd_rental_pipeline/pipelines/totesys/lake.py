"""The zones and the source of the pipeline as a Dagster resource."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from pydantic import Field

from dvd_rental_pipeline.core.settings import ENV_PREFIX, Deployment, Settings, SettingsError
from dvd_rental_pipeline.ingestion.files.landing import LandingZone
from dvd_rental_pipeline.ingestion.files.object_store import open_store
from dvd_rental_pipeline.pipelines.totesys.catalog import TOTESYS
from dvd_rental_pipeline.pipelines.totesys.processed import ProcessedZone
from dvd_rental_pipeline.sample.databases import sample_database
from dvd_rental_pipeline.sample.source import Source


class TotesysLake(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The landing and the processed zone, which are folders or buckets, and the source database."""

    landing: str = Field(description="Landing zone: a folder or s3://BUCKET/PREFIX")
    processed: str = Field(description="Processed zone: a folder or s3://BUCKET/PREFIX")
    postgres_dir: str = Field(description="Folder of the embedded PostgreSQL")
    source_url: str | None = Field(None, description="An external PostgreSQL instead of the embedded one")
    source_port: int | None = Field(None, description="TCP port of the embedded PostgreSQL; unset: a free one")
    is_local: bool = Field(True, description="Whether there is an embedded PostgreSQL")
    writable: bool = Field(True, description="Whether this deployment may ingest, transform and load")

    @property
    def landing_zone(self) -> LandingZone:
        """The landing zone of totesys."""
        return LandingZone(open_store(self.landing), TOTESYS.name)

    @property
    def processed_zone(self) -> ProcessedZone:
        """The processed zone of totesys."""
        return ProcessedZone(open_store(self.processed), TOTESYS.name)

    def require_writable(self) -> None:
        """Reject a run of a deployment that shares the zones and the tables with production.

        Raises:
            SettingsError: it is such a deployment.
        """
        if not self.writable:
            raise SettingsError(
                "A branch deployment does not ingest, transform or load totesys: it would write into "
                "production's zones and tables, which its models read. Run this in production, or locally."
            )

    @contextmanager
    def open_source(self, on_progress: Callable[[str], None]) -> Iterator[str]:
        """Yield the URL of the source; an embedded one runs meanwhile, and is filled first if it is empty.

        Raises:
            SettingsError: the deployment has no embedded server, and no URL.
            SourceError: the embedded server cannot be started, or its database cannot be filled.
        """
        if self.source_url is None and not self.is_local:
            raise SettingsError(
                "totesys needs DVD_RENTAL_TOTESYS_SOURCE_URL: there is no local server in this deployment. "
                "`dvd-rental source setup reader` prints the SQL of its role."
            )
        source = Source(
            Path(self.postgres_dir), sample_database(TOTESYS.name), self.source_url, port=self.source_port
        )
        with source.open(on_progress) as url:
            yield url


def build_lake(settings: Settings) -> TotesysLake:
    """The lake of this deployment."""
    # By reference: a resource's configuration is shown in the UI, and the URL may contain a password.
    url = dg.EnvVar(f"{ENV_PREFIX}TOTESYS_SOURCE_URL") if settings.totesys_source_url else None
    return TotesysLake(
        landing=settings.landing_location,
        processed=settings.processed_location,
        postgres_dir=str(settings.postgres_dir),
        source_url=url,
        source_port=settings.source_port,
        is_local=settings.deployment is Deployment.LOCAL,
        writable=settings.deployment is not Deployment.BRANCH,
    )
