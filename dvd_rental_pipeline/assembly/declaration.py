"""The declarations of pipelines: all in which two of them differ.

Reads no Dagster, which takes seconds to import: commands such as `doctor` need the declarations alone.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dvd_rental_pipeline.core.catalog import Domain, FreshnessTier
from dvd_rental_pipeline.core.settings import Settings

if TYPE_CHECKING:
    import dagster as dg

    from dvd_rental_pipeline.warehouse.interface import Reader, TableName


@dataclass(frozen=True)
class TierFreshness:
    """Freshness of the raw tables of one tier.

    A table is late `fail_after` its last sync, with a warning `warn_after` it. `commit_lag` is how long
    a change of the source may wait for its sync.
    """

    warn_after: timedelta
    fail_after: timedelta
    commit_lag: timedelta


def _no_checks() -> Sequence["dg.AssetChecksDefinition"]:
    return ()


@dataclass(frozen=True)
class CapturePipeline:
    """A pipeline whose raw tables are replicated by change data capture.

    Attributes:
        domain: the source database. Its name is the first part of the raw tables' asset keys, and their schema.
        ingestion_key: key of the resource that syncs the raw tables.
        sync_cron: when they are synced, in UTC.
        tiers: freshness of the raw tables, for each tier that a table of the domain has.
        raw_group: asset group of the raw tables.
        kinds: asset kinds of the raw tables, at most three.
        slot_suffix: appended to the setting `replication_slot`, since pipelines that share a server need a
            replication slot and a publication each.
        source_setting: name of the setting with the URL of an external source.
        connection_setting: name of the setting with the id of the Airbyte connection.
        built_table: schema and name of a table that every build of the models updates: the check report follows
            it.
        build_checks: creates the checks that this pipeline alone has.
        filled_by: keys of assets that write the tables of the source: the raw tables are downstream of them.
        is_optional: whether a deployment may lack its settings. Then its syncs fail with a message that names
            them, and the other pipelines run.
    """

    domain: Domain
    ingestion_key: str
    sync_cron: str
    tiers: Mapping[FreshnessTier, TierFreshness]
    raw_group: str
    kinds: Collection[str] = ("airbyte", "postgresql")
    slot_suffix: str = ""
    source_setting: str = "source_url"
    connection_setting: str = "airbyte_connection_id"
    built_table: tuple[str, str] | None = None
    build_checks: Callable[[], Sequence["dg.AssetChecksDefinition"]] = _no_checks
    filled_by: Collection[tuple[str, ...]] = ()
    is_optional: bool = False

    def is_configured(self, settings: Settings) -> bool:
        """Whether a deployment with services has the source's URL, which an optional pipeline may lack."""
        return not self.is_optional or getattr(settings, self.source_setting) is not None

    def require_airbyte(self, settings: Settings) -> None:
        """Require what a sync by Airbyte needs.

        Raises:
            SettingsError: some settings are missing; the message lists them all.
        """
        names = (*settings.airbyte_credentials, "airbyte_workspace_id", self.connection_setting)
        settings.require("ingestion by Airbyte", *names)

    def slot(self, settings: Settings) -> str:
        """Name of the replication slot and of the publication."""
        return f"{settings.replication_slot}{self.slot_suffix}"


def _no_resources(_: Settings) -> Mapping[str, Callable[[], Any]]:
    return {}


@dataclass(frozen=True)
class AssetPipeline:
    """A pipeline that brings assets of its own, which are not replicated by change data capture.

    Attributes:
        name: the schema of its tables in the warehouse: its assets have the tag `domain` with this value.
        build_definitions: creates its assets, checks, jobs, schedules and sensors. Their resources are those of
            `resource_factories` and those shared by all pipelines: `warehouse`, `dbt`, `site`, `alerts`.
        resource_factories: a factory for each resource that this pipeline alone has, by its key.
        trigger_assets: keys of the assets after whose update the check report is published again.
        freshness: how soon its models must be built again; None: as soon as those of their layer.
        loaded_schemas: the schemas of the warehouse whose tables it loads.
        record_schemas: files with the JSON Schemas of the records that it accepts, for the documentation.
        read_versions: reads the data version of each table that it loads, which changes with every change of
            the table; may raise WarehouseError. None: every run builds the models that read its tables.
    """

    name: str
    build_definitions: Callable[[Settings], "dg.Definitions"]
    resource_factories: Callable[[Settings], Mapping[str, Callable[[], Any]]] = _no_resources
    trigger_assets: Sequence[tuple[str, ...]] = ()
    freshness: timedelta | None = None
    loaded_schemas: Sequence[str] = ()
    record_schemas: Sequence[Path] = ()
    read_versions: Callable[["Reader"], Mapping["TableName", str]] | None = None
