"""The interface of ingestion: what every resource that fills the raw tables provides."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import dagster as dg

from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.source_facts import SourceFacts
from dvd_rental_pipeline.ingestion.postgres_cdc.outcome import TableVerification
from dvd_rental_pipeline.ingestion.postgres_cdc.verify.capture_drift import Deviation


@dataclass(frozen=True)
class SyncOutcome:
    """The result of a sync.

    `metadata` has, for each table that is up to date now, the metadata of its materialization: at least
    `dagster/row_count`. `failures` has the error message of every other table, `notices` what a
    user must know about the source, as sentences.
    """

    metadata: Mapping[str, Mapping[str, dg.MetadataValue]]
    failures: Mapping[str, str] = field(default_factory=dict)
    notices: Sequence[str] = ()


@dataclass(frozen=True)
class Inspection:
    """The state of the source, and how it compares with the raw tables.

    Attributes:
        facts: None if the source cannot be queried.
        tables: the comparison by table, without tables that cannot be compared.
        not_compared: why `facts` or tables are missing, and what to do.
        deviations: differences between the capture and the catalogue; None if it cannot be inspected.
    """

    facts: SourceFacts | None
    tables: Mapping[str, TableVerification] = field(default_factory=dict)
    not_compared: str = ""
    deviations: Sequence[Deviation] | None = None


@dataclass(frozen=True)
class WatchedSlot:
    """A replication slot that can be queried at any time: its name, and the URL of its source."""

    url: str = field(repr=False)
    name: str


class Ingestion(dg.ConfigurableResource, ABC):  # type: ignore[type-arg]
    """Brings the raw tables of a domain up to date with their source."""

    @abstractmethod
    def sync(self, domain: Domain, log: dg.DagsterLogManager, *, full_refresh: bool = False) -> SyncOutcome:
        """Bring every table of `domain` up to date, or with `full_refresh` copy each in full.

        All tables are synced, whatever is selected: they share one change stream, as the streams of an Airbyte
        connection do.

        Raises:
            PipelineError: nothing could be synced; the raw tables are unchanged.
        """

    @abstractmethod
    def inspect(self, domain: Domain, log: dg.DagsterLogManager) -> Inspection:
        """Compare the raw tables of `domain` with their source. Changes nothing.

        Raises:
            PipelineError: the source or the warehouse cannot be reached.
        """

    def watched_slot(self) -> WatchedSlot | None:
        """The slot that may be monitored between syncs; None if there is none.

        Monitoring must have no side effects: an embedded source that is stopped between syncs is not started.
        """
        return None
