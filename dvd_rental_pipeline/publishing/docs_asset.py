"""The documentation as an asset downstream of the reports, published with the rest of the site."""

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DbtCliResource, DbtProject

from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.publishing.documentation.pages import write_documentation
from dvd_rental_pipeline.publishing.reused_part import PartConfig, reused_metadata
from dvd_rental_pipeline.publishing.site import Site
from dvd_rental_pipeline.transform.manifest import read_manifest
from dvd_rental_pipeline.transform.translator import domain_tag
from dvd_rental_pipeline.warehouse.resource import WarehouseResource

PACKAGE_DIR = Path(__file__).parents[1]
FINGERPRINTED_FILES = {".sql", ".yml", ".md", ".py", ".html", ".svg", ".css", ".js", ".json", ".csv"}
SITE_GROUP = "site"
REPORTS_LAYER = "reports"
FINGERPRINT = "described_by"


def build_docs_asset(
    project: DbtProject,
    domains: Sequence[Domain],
    freshness_policy: dg.FreshnessPolicy,
    automation_condition: dg.AutomationCondition[Any],
    record_schemas: Sequence[Path],
) -> dg.AssetsDefinition:
    """The asset ["site", "docs"], downstream of the reports of `project`.

    They are those of the first of `domains`: with reports of others, a run of one pipeline could not build it.
    The pages describe all domains, and the records of `record_schemas`, files with JSON Schemas.
    """

    @dg.asset(
        key=dg.AssetKey([SITE_GROUP, "docs"]),
        deps=_report_keys(project, domains[0]),
        group_name=SITE_GROUP,
        owners=["team:analytics_engineering"],
        kinds={"html", "dbt"},
        tags={"layer": SITE_GROUP, **domain_tag([domains[0].name])},
        freshness_policy=freshness_policy,
        automation_condition=automation_condition,
        description="What does a column mean, where does it come from, and how do tables join? Pages with "
        "entity-relationship diagrams of source and marts, column lineage and dbt docs.",
    )
    def docs(
        context: dg.AssetExecutionContext,
        config: PartConfig,
        dbt: DbtCliResource,
        warehouse: WarehouseResource,
        site: Site,
    ) -> dg.MaterializeResult[None]:
        fingerprint = _fingerprint(project)
        published = context.instance.get_latest_materialization_event(context.asset_key)
        latest = published.asset_materialization if published else None
        if (
            config.reuse
            and published
            and latest
            and latest.metadata.get(FINGERPRINT) == fingerprint
            and site.has("docs/search.js")
        ):
            context.log.info("the published pages describe the current models: not built again")
            return dg.MaterializeResult(metadata=reused_metadata(published))
        with tempfile.TemporaryDirectory(prefix="docs-") as folder:
            target, pages = Path(folder, "target"), Path(folder, "pages")
            target.mkdir()
            pages.mkdir()
            with warehouse.lock([domain.name for domain in domains], context.log.info):
                # The pages do not show the SQL of tests.
                excluded = "resource_type:test resource_type:unit_test"
                dbt.cli(["docs", "generate", "--static", "--exclude", excluded], target_path=target).wait()
            statistics = write_documentation(target, domains, pages, record_schemas)
            address = site.publish("docs", pages)
        return dg.MaterializeResult(
            metadata={
                "address": dg.MetadataValue.url(address),
                "tables": statistics.tables,
                "columns": statistics.columns,
                "traced_columns": statistics.traced,
                "bytes": statistics.bytes,
                "preview": dg.MetadataValue.md(statistics.summary),
                FINGERPRINT: fingerprint,
            }
        )

    return docs


def _fingerprint(project: DbtProject) -> dg.TextMetadataValue:
    """A hash of everything that the pages are built from: the dbt project and this package."""
    digest = hashlib.sha256()
    for folder in (project.project_dir, PACKAGE_DIR):
        for file in sorted(folder.rglob("*")):
            if file.suffix in FINGERPRINTED_FILES:
                digest.update(f"{file.relative_to(folder)}".encode())
                digest.update(file.read_bytes())
    return dg.TextMetadataValue(digest.hexdigest()[:16])


def _report_keys(project: DbtProject, domain: Domain) -> list[dg.AssetKey]:
    """The reports that are built from `domain` alone: those of other pipelines may not exist yet."""
    manifest = read_manifest(project.manifest_path)
    return sorted(
        dg.AssetKey(model.key)
        for unique_id, model in manifest.models.items()
        if model.schema == REPORTS_LAYER and manifest.domains_of(unique_id) <= {domain.name}
    )
