"""The check report as an asset, published with the rest of the site.

It has no upstream assets and the lowest priority: it is the last step of its run, and a failed blocking check,
which skips everything downstream, cannot skip the report about it.
"""

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DbtProject

from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.runbook import RUNBOOK_PATH
from dvd_rental_pipeline.publishing.check_report.as_html import CHECKS_FILES, render_html
from dvd_rental_pipeline.publishing.check_report.as_json import render_json
from dvd_rental_pipeline.publishing.check_report.as_markdown import render_short_markdown
from dvd_rental_pipeline.publishing.check_report.declared_checks import DeclaredCheck
from dvd_rental_pipeline.publishing.check_report.reading import read_data_as_of, read_report
from dvd_rental_pipeline.publishing.check_report.records import Outcome
from dvd_rental_pipeline.publishing.docs_asset import SITE_GROUP
from dvd_rental_pipeline.publishing.home_page import publish_home
from dvd_rental_pipeline.publishing.page_verdicts import (
    STATUS_FILE,
    Lineage,
    read_publication_times,
    write_status,
)
from dvd_rental_pipeline.publishing.report_pages.pdf import find_browser, publish_pdf
from dvd_rental_pipeline.publishing.report_pages.registry import REPORT_PAGES
from dvd_rental_pipeline.publishing.reused_part import FINGERPRINT_FILE
from dvd_rental_pipeline.publishing.runbook_text import read_runbook
from dvd_rental_pipeline.publishing.site import Site
from dvd_rental_pipeline.publishing.templates import copy_files
from dvd_rental_pipeline.transform.failing_rows import private_columns
from dvd_rental_pipeline.transform.manifest import read_manifest
from dvd_rental_pipeline.transform.translator import domain_tag
from dvd_rental_pipeline.warehouse.resource import WarehouseResource

CHECKS_KEY = dg.AssetKey([SITE_GROUP, "checks"])
PRINTED_PAGE = "executive"
PDF = f"{PRINTED_PAGE}.pdf"
PRINTED_STATE = "printed_state"
LOWEST_PRIORITY = {"dagster/priority": "-1000"}


def build_checks_asset(
    project: DbtProject,
    domains: Sequence[Domain],
    checks: Sequence[DeclaredCheck],
    freshness_policy: dg.FreshnessPolicy,
    automation_condition: dg.AutomationCondition[Any],
    *,
    lineage: Lineage,
) -> dg.AssetsDefinition:
    """The asset ["site", "checks"]: the report on `checks`.

    Samples of rows leave out the private columns of `project` and `domains`. `lineage` says which of the
    checks concern a page.
    """

    @dg.asset(
        key=CHECKS_KEY,
        group_name=SITE_GROUP,
        owners=["team:analytics_engineering"],
        kinds={"html"},
        tags={"layer": SITE_GROUP, **domain_tag([domain.name for domain in domains])},
        freshness_policy=freshness_policy,
        automation_condition=automation_condition,
        op_tags=LOWEST_PRIORITY,
        description="Can the data be trusted today? One page with every check: what failed, what it blocks, a "
        "sample of the rows, the last ten outcomes, what to do. Last step of its run, even of a failed one.",
    )
    def checks_page(
        context: dg.AssetExecutionContext, warehouse: WarehouseResource, site: Site
    ) -> dg.MaterializeResult[None]:
        manifest = read_manifest(project.manifest_path)
        report = read_report(
            context.instance,
            checks,
            unit_tests=manifest.unit_tests,
            data_as_of=read_data_as_of(warehouse.query),
            private=private_columns(manifest, domains),
            ending_run=context.run.run_id,
        )
        with tempfile.TemporaryDirectory(prefix="checks-") as folder:
            pages = Path(folder, "checks")
            pages.mkdir()
            page = render_html(report, read_runbook(RUNBOOK_PATH), is_in_site=True)
            (pages / "index.html").write_text(page, encoding="utf-8")
            copy_files(CHECKS_FILES, pages)
            published = read_publication_times(context.instance, REPORT_PAGES)
            write_status(
                report,
                REPORT_PAGES,
                lineage,
                published,
                pages,
                pdf_of=PRINTED_PAGE if find_browser() is not None else None,
            )
            (pages / "checks.json").write_text(render_json(report), encoding="utf-8")
            address = site.publish("checks", pages)
        publish_home(site)
        printed_state = _print_executive(context, site, published)
        return dg.MaterializeResult(
            metadata={
                "address": dg.MetadataValue.url(address),
                "report": dg.MetadataValue.md(render_short_markdown(report)),
                "blocking_failures": report.blocking_failures,
                **{
                    outcome.value.replace(" ", "_"): count
                    for outcome, count in report.counts.items()
                    if outcome is not Outcome.IN_PROGRESS
                },
                "out_of_date": report.stale,
                **({PRINTED_STATE: printed_state} if printed_state else {}),
            }
        )

    return checks_page


def _print_executive(
    context: dg.AssetExecutionContext, site: Site, published: Mapping[str, float]
) -> str | None:
    """Print the page Executive where there is a browser, if the page or its verdict has changed.

    Returns what was printed: the fingerprint of the page, or else its time, and a hash of the verdicts; None
    without a PDF.
    """
    at, browser = published.get(f"{SITE_GROUP}/{PRINTED_PAGE}"), find_browser()
    if at is None or browser is None or not site.has(f"{PRINTED_PAGE}/report.js"):
        return None
    verdicts = hashlib.sha256(site.read(f"checks/{STATUS_FILE}")).hexdigest()[:16]
    signed = f"{PRINTED_PAGE}/{FINGERPRINT_FILE}"
    page = site.read(signed).decode() if site.has(signed) else str(at)
    state = f"{page} {verdicts}"
    event = context.instance.get_latest_materialization_event(CHECKS_KEY)
    before = event.asset_materialization if event else None
    if before and before.metadata.get(PRINTED_STATE) == dg.TextMetadataValue(state) and site.has(PDF):
        return state
    try:
        publish_pdf(site, PRINTED_PAGE, browser)
    except PipelineError as error:
        # The report on the checks is published; a missing PDF must not fail its run.
        context.log.warning("the page %s was not printed: %s", PRINTED_PAGE, error)
        return None
    return state
