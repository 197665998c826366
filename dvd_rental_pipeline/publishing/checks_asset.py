"""The asset-check report as an asset, published with the rest of the site.

It depends on no other asset, and has the lowest priority: so it is the last step of its run, and a blocking
check that fails, which skips everything downstream, cannot skip the report that tells of it.
"""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import dagster as dg
from dagster_dbt import DbtProject

from dvd_rental_pipeline.automation.conditions import after_any_of
from dvd_rental_pipeline.automation.freshness import LAYER_FRESHNESS
from dvd_rental_pipeline.core.runbook import RUNBOOK_PATH
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.publishing.check_report.as_html import render_html
from dvd_rental_pipeline.publishing.check_report.as_json import render_json
from dvd_rental_pipeline.publishing.check_report.as_markdown import render_short_markdown
from dvd_rental_pipeline.publishing.check_report.reading import (
    DeclaredCheck,
    read_data_as_of,
    read_report,
    read_unit_tests,
)
from dvd_rental_pipeline.publishing.check_report.records import Outcome
from dvd_rental_pipeline.publishing.docs_asset import SITE_GROUP
from dvd_rental_pipeline.publishing.runbook_text import read_runbook
from dvd_rental_pipeline.publishing.site import Site
from dvd_rental_pipeline.transform.failing_rows import private_columns
from dvd_rental_pipeline.warehouse.resource import Warehouse

CHECKS_KEY = dg.AssetKey([SITE_GROUP, "checks"])
# What a sync, and a build of the models, always updates.
TRIGGER_ASSETS = (dg.AssetKey([DVD_RENTAL.name, DVD_RENTAL.leader.name]), dg.AssetKey(["marts", "fct_payment"]))
AFTER_EVERYTHING = {"dagster/priority": "-1000"}


def build_checks_asset(project: DbtProject, checks: Sequence[DeclaredCheck]) -> dg.AssetsDefinition:
    """The asset ["site", "checks"], which tells of `checks`."""

    @dg.asset(
        key=CHECKS_KEY,
        group_name=SITE_GROUP,
        owners=["team:analytics_engineering"],
        kinds={"html"},
        tags={"layer": SITE_GROUP, "domain": DVD_RENTAL.name},
        freshness_policy=LAYER_FRESHNESS["checks"],
        automation_condition=after_any_of(TRIGGER_ASSETS),
        op_tags=AFTER_EVERYTHING,
        description="Can the data be trusted today? One page with every check: what failed, what it stops, "
        "some of the rows, the last ten outcomes, what to do. Made last in its run, even in one that failed.",
    )
    def checks_page(
        context: dg.AssetExecutionContext, warehouse: Warehouse, site: Site
    ) -> dg.MaterializeResult[None]:
        manifest = json.loads(project.manifest_path.read_text(encoding="utf-8"))
        report = read_report(
            context.instance,
            checks,
            unit_tests=read_unit_tests(manifest),
            data_as_of=read_data_as_of(warehouse.query),
            private=private_columns(manifest, DVD_RENTAL),
            ending_run=context.run.run_id,
        )
        with tempfile.TemporaryDirectory(prefix="checks-") as folder:
            pages = Path(folder)
            page = render_html(report, read_runbook(RUNBOOK_PATH))
            (pages / "index.html").write_text(page, encoding="utf-8")
            (pages / "checks.json").write_text(render_json(report), encoding="utf-8")
            address = site.publish("checks", pages)
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
            }
        )

    return checks_page
