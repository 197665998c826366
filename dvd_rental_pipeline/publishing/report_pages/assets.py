"""Each report page as an asset downstream of the reports that it reads.

One asset per page: a report that is held by a failed check holds the pages that show it, and no other. A page
that is held stays as it was published, with its date.
"""

import base64
import tempfile
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DbtProject

from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.publishing.docs_asset import SITE_GROUP
from dvd_rental_pipeline.publishing.home_page import publish_home
from dvd_rental_pipeline.publishing.report_pages.content import PageDeclaration
from dvd_rental_pipeline.publishing.report_pages.rendering import ChartImage, write_images, write_page
from dvd_rental_pipeline.publishing.report_pages.reports import REPORTS_SCHEMA, ReportReader
from dvd_rental_pipeline.publishing.report_pages.vega_bundle import publish_vega
from dvd_rental_pipeline.publishing.reused_part import PartConfig, part_of
from dvd_rental_pipeline.publishing.site import Site
from dvd_rental_pipeline.transform.failing_rows import private_columns
from dvd_rental_pipeline.transform.manifest import DbtModel, Manifest, read_manifest
from dvd_rental_pipeline.transform.translator import domain_tag
from dvd_rental_pipeline.warehouse.resource import WarehouseResource


def page_key(page: PageDeclaration) -> dg.AssetKey:
    """The asset of a page."""
    return dg.AssetKey([SITE_GROUP, page.name])


def build_page_asset(
    page: PageDeclaration,
    project: DbtProject,
    domains: Sequence[Domain],
    freshness_policy: dg.FreshnessPolicy,
    automation_condition: dg.AutomationCondition[Any],
) -> dg.AssetsDefinition:
    """The asset ["site", page.name], downstream of the reports of `page`. Private columns never reach it."""

    @dg.asset(
        key=page_key(page),
        deps=[dg.AssetKey([REPORTS_SCHEMA, report]) for report in page.reports],
        group_name=SITE_GROUP,
        owners=[f"team:{page.owner}"],
        kinds={"html"},
        tags={"layer": SITE_GROUP, **_domain_tag(project, page.reports)},
        freshness_policy=freshness_policy,
        automation_condition=automation_condition,
        description=f"{page.question} The page {page.title} of the site, with charts, filters and tables.",
    )
    def report_page(
        context: dg.AssetExecutionContext, config: PartConfig, warehouse: WarehouseResource, site: Site
    ) -> dg.MaterializeResult[None]:
        started = time.monotonic()
        manifest = read_manifest(project.manifest_path)
        private = private_columns(manifest, domains)
        part = part_of(site, page.name, manifest, warehouse, models=tables_of(page, manifest), private=private)
        if (unchanged := part.unchanged(context, config)) is not None:
            return unchanged
        reader = ReportReader(warehouse.query, manifest, private, page.reports)
        content = page.build(reader)
        with tempfile.TemporaryDirectory(prefix=f"{page.name}-") as folder:
            pages = Path(folder, page.name)
            pages.mkdir()
            write_page(page, content, pages)
            images = write_images(content, pages)
            part.sign(pages)
            publish_vega(site)
            address = site.publish(page.name, pages)
            size = (pages / "index.html").stat().st_size
        publish_home(site)
        datasets = {id(chart.data): chart.data for chart in content.charts}.values()
        return dg.MaterializeResult(
            metadata={
                "address": dg.MetadataValue.url(address),
                "charts": len(content.charts),
                "rows": sum(len(data.rows) for data in datasets),
                "bytes": size,
                "seconds": round(time.monotonic() - started, 2),
                **({"data_as_of": content.as_of.isoformat(" ", "seconds")} if content.as_of else {}),
                **{image.name: _preview(image) for image in images},
            },
            data_version=part.data_version,
        )

    return report_page


def tables_of(page: PageDeclaration, manifest: Manifest) -> Sequence[DbtModel]:
    """The tables that `page` shows: its reports, and the data timestamps of the domains behind them."""
    reports = [
        model
        for model in manifest.models.values()
        if model.key[0] == REPORTS_SCHEMA and model.name in page.reports
    ]
    domains = manifest.domains_of(*(report.unique_id for report in reports))
    times = [
        model
        for model in manifest.models.values()
        if model.name.endswith("data_as_of") and manifest.domains_of(model.unique_id) <= domains
    ]
    return [*reports, *times]


def _preview(image: ChartImage) -> dg.MetadataValue:
    """The image in Markdown, which the UI shows."""
    data = base64.b64encode(image.png).decode()
    return dg.MetadataValue.md(f"![{image.question}](data:image/png;base64,{data})")


def _domain_tag(project: DbtProject, reports: Collection[str]) -> dict[str, str]:
    manifest = read_manifest(project.manifest_path)
    ids = [
        model.unique_id
        for model in manifest.models.values()
        if model.key[0] == REPORTS_SCHEMA and model.name in reports
    ]
    return dict(domain_tag(manifest.domains_of(*ids)))
