"""The role of extract and load: what every way of filling the raw tables promises."""

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
    """What a sync did.

    `metadata` holds, for each table that is now up to date, what its materialization shows: at least
    `dagster/row_count`. `failures` says for each other table, in words, why it is not.
    """

    metadata: Mapping[str, Mapping[str, dg.MetadataValue]]
    failures: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Inspection:
    """What the source looks like beside the raw tables.

    `facts` is None where the source cannot be asked, and `tables` lacks tables that cannot be compared;
    `not_compared` says then why, and what to do. `deviations` are those of the capture from the catalogue, None
    where it cannot be looked at.
    """

    facts: SourceFacts | None
    tables: Mapping[str, TableVerification] = field(default_factory=dict)
    not_compared: str = ""
    deviations: Sequence[Deviation] | None = None


@dataclass(frozen=True)
class WatchedSlot:
    """A replication slot that may be asked for at any time: the source's URL, and its name."""

    url: str = field(repr=False)
    name: str


class Ingestion(dg.ConfigurableResource, ABC):  # type: ignore[type-arg]
    """Brings the raw tables of a domain level with their source."""

    @abstractmethod
    def sync(self, domain: Domain, log: dg.DagsterLogManager, *, full_refresh: bool = False) -> SyncOutcome:
        """Bring every table of `domain` up to date, or with `full_refresh` copy each anew.

        All tables are synced whatever selection is asked for: they share one change stream, as the streams
        of an Airbyte connection do.

        Raises:
            PipelineError: nothing could be synced; the raw tables are as they were.
        """

    @abstractmethod
    def inspect(self, domain: Domain, log: dg.DagsterLogManager) -> Inspection:
        """Compare the raw tables of `domain` with their source, changing nothing.

        Raises:
            PipelineError: the source or the warehouse should answer, and does not.
        """

    def watched_slot(self) -> WatchedSlot | None:
        """The slot that a watch may ask the source for between syncs; None where there is nothing to ask.

        To ask must not disturb: a source that sleeps while it has nothing to do is not woken for it.
        """
        return None
