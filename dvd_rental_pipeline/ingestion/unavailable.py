"""Ingestion where a pipeline has none."""

import dagster as dg

from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.ingestion.resource import Ingestion, Inspection, SyncOutcome


class UnavailableIngestion(Ingestion):
    """Syncs nothing, and says why."""

    reason: str

    def sync(self, domain: Domain, log: dg.DagsterLogManager, *, full_refresh: bool = False) -> SyncOutcome:
        raise PipelineError(self.reason)

    def inspect(self, domain: Domain, log: dg.DagsterLogManager) -> Inspection:
        return Inspection(facts=None, not_compared=self.reason)
