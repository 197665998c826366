"""The documentation as an asset at the end of the graph, published with the rest of the site."""

import hashlib
import json
import tempfile
from pathlib import Path

import dagster as dg
from dagster_dbt import DbtCliResource, DbtProject

from dvd_rental_pipeline.automation.conditions import LAYER_CONDITIONS
from dvd_rental_pipeline.automation.freshness import LAYER_FRESHNESS
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.publishing.documentation.pages import write_documentation
from dvd_rental_pipeline.publishing.site import Site
from dvd_rental_pipeline.transform.assets import ModelTranslator
from dvd_rental_pipeline.warehouse.resource import Warehouse

PACKAGE_DIR = Path(__file__).parents[1]
DESCRIBING_FILES = {".sql", ".yml", ".md", ".py", ".html", ".css", ".js", ".csv"}
SITE_GROUP = "site"
REPORTS_LAYER = "reports"
FINGERPRINT = "described_by"


def build_docs_asset(project: DbtProject) -> dg.AssetsDefinition:
    """The asset ["site", "docs"], made anew after the reports of `project`."""

    @dg.asset(
        key=dg.AssetKey([SITE_GROUP, "docs"]),
        deps=_report_keys(project),
        group_name=SITE_GROUP,
        owners=["team:analytics_engineering"],
        kinds={"html", "dbt"},
        tags={"layer": SITE_GROUP, "domain": DVD_RENTAL.name},
        freshness_policy=LAYER_FRESHNESS[SITE_GROUP],
        automation_condition=LAYER_CONDITIONS[SITE_GROUP],
        description="What does a column mean, where does it come from, and how do tables join? A folder of "
        "pages: entity-relationship diagrams of source and marts, column lineage, dbt docs.",
    )
    def docs(
        context: dg.AssetExecutionContext, dbt: DbtCliResource, warehouse: Warehouse, site: Site
    ) -> dg.MaterializeResult[None]:
        fingerprint = _fingerprint(project)
        published = context.instance.get_latest_materialization_event(context.asset_key)
        before = published.asset_materialization if published else None
        if before and before.metadata.get(FINGERPRINT) == fingerprint and site.has("docs"):
            context.log.info("the models are those that the published pages describe")
            return dg.MaterializeResult(metadata=before.metadata)
        with tempfile.TemporaryDirectory(prefix="docs-") as folder:
            target, pages = Path(folder, "target"), Path(folder, "pages")
            target.mkdir()
            pages.mkdir()
            with warehouse.writing(context.log.info):
                dbt.cli(["docs", "generate", "--static"], target_path=target).wait()
            documented = write_documentation(target, [DVD_RENTAL], pages)
            address = site.publish("docs", pages)
        return dg.MaterializeResult(
            metadata={
                "address": dg.MetadataValue.url(address),
                "tables": documented.tables,
                "columns": documented.columns,
                "traced_columns": documented.traced,
                "bytes": documented.bytes,
                "preview": dg.MetadataValue.md(documented.summary),
                FINGERPRINT: fingerprint,
            }
        )

    return docs


def _fingerprint(project: DbtProject) -> dg.TextMetadataValue:
    """Changes with everything that the pages are made from: dbt's project and this package."""
    digest = hashlib.sha256()
    for folder in (project.project_dir, PACKAGE_DIR):
        for file in sorted(folder.rglob("*")):
            if file.suffix in DESCRIBING_FILES:
                digest.update(f"{file.relative_to(folder)}".encode())
                digest.update(file.read_bytes())
    return dg.TextMetadataValue(digest.hexdigest()[:16])


def _report_keys(project: DbtProject) -> list[dg.AssetKey]:
    manifest = json.loads(project.manifest_path.read_text(encoding="utf-8"))
    translator = ModelTranslator()
    keys = [
        translator.get_asset_spec(manifest, unique_id, project).key
        for unique_id, node in manifest["nodes"].items()
        if node["resource_type"] == "model"
    ]
    return sorted(key for key in keys if key.path[0] == REPORTS_LAYER)
