"""Ingestion in a branch deployment: production syncs the raw tables, a branch only reads them."""

import dagster as dg

from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.ingestion.raw_counts import count_raw_tables
from dvd_rental_pipeline.ingestion.resource import Ingestion, Inspection, SyncOutcome
from dvd_rental_pipeline.warehouse.resource import WarehouseResource


class ObservedIngestion(Ingestion):
    """Syncs nothing, and reports the raw tables as they are.

    A sync from a branch would advance production's replication slot, whose changes production would then miss.
    """

    warehouse: WarehouseResource

    def sync(self, domain: Domain, log: dg.DagsterLogManager, *, full_refresh: bool = False) -> SyncOutcome:
        if full_refresh:
            raise PipelineError(
                "A branch deployment reads production's raw tables and cannot refresh them. Run "
                "without full_refresh, or refresh them in production."
            )
        log.info("A branch deployment syncs nothing: it reports production's raw tables as they are.")
        counts = count_raw_tables(self.warehouse, domain)
        observed = dg.TextMetadataValue("observed: production syncs this table")
        return SyncOutcome(
            metadata={name: {**metadata, "sync_mode": observed} for name, metadata in counts.metadata.items()},
            failures=counts.failures,
        )

    def inspect(self, domain: Domain, log: dg.DagsterLogManager) -> Inspection:
        return Inspection(
            facts=None, not_compared="A branch deployment does not query the source: production does."
        )
