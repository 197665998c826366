"""The cost report as an asset, published with the rest of the site.

Like the check report, it has no upstream assets: it includes the cost of failed runs.
"""

import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.publishing.check_report.declared_checks import DeclaredCheck
from dvd_rental_pipeline.publishing.checks_asset import LOWEST_PRIORITY
from dvd_rental_pipeline.publishing.cost_report.cost_history import KEPT, CostHistory
from dvd_rental_pipeline.publishing.cost_report.page import COSTS, Credits, build_content
from dvd_rental_pipeline.publishing.docs_asset import SITE_GROUP
from dvd_rental_pipeline.publishing.home_page import publish_home
from dvd_rental_pipeline.publishing.report_pages.rendering import write_page
from dvd_rental_pipeline.publishing.report_pages.vega_bundle import publish_vega
from dvd_rental_pipeline.publishing.site import Site
from dvd_rental_pipeline.transform.translator import domain_tag
from dvd_rental_pipeline.warehouse.errors import WarehouseError
from dvd_rental_pipeline.warehouse.interface import Warehouse
from dvd_rental_pipeline.warehouse.resource import WarehouseResource

COSTS_KEY = dg.AssetKey([SITE_GROUP, COSTS.name])
HISTORY_FILE = "costs.json"
OTHER_STATEMENTS = "statements outside of models"


def build_costs_asset(
    domains: Sequence[Domain],
    checks: Sequence[DeclaredCheck],
    freshness_policy: dg.FreshnessPolicy,
    automation_condition: dg.AutomationCondition[Any],
) -> dg.AssetsDefinition:
    """The asset ["site", "costs"]; statements of a test count for the asset that it checks, see `checks`."""
    checked = {each.key.name: each.key.asset_key.to_user_string() for each in checks}

    @dg.asset(
        key=COSTS_KEY,
        group_name=SITE_GROUP,
        owners=[f"team:{COSTS.owner}"],
        kinds={"html"},
        tags={"layer": SITE_GROUP, **domain_tag([domain.name for domain in domains])},
        op_tags=LOWEST_PRIORITY,
        freshness_policy=freshness_policy,
        automation_condition=automation_condition,
        description=f"{COSTS.question} Seconds and bytes from the history of runs, and Snowflake's credits, by "
        "asset and day.",
    )
    def costs_page(
        context: dg.AssetExecutionContext, warehouse: WarehouseResource, site: Site
    ) -> dg.MaterializeResult[None]:
        now = datetime.now(UTC)
        stored = f"{COSTS.name}/{HISTORY_FILE}"
        before = CostHistory.from_json(site.read(stored)) if site.has(stored) else CostHistory()
        history = before.with_ended_runs(context.instance, now)
        charged, unknown = read_credits(warehouse, (now - KEPT).date(), checked)
        if unknown:
            context.log.warning(unknown)
        shown = history.with_running(context.instance, context.run.run_id)
        content = build_content(shown, charged, now, unknown)
        with tempfile.TemporaryDirectory(prefix="costs-") as folder:
            pages = Path(folder, COSTS.name)
            pages.mkdir()
            write_page(COSTS, content, pages, has_verdict=False)
            (pages / HISTORY_FILE).write_bytes(history.to_json())
            publish_vega(site)
            address = site.publish(COSTS.name, pages)
        publish_home(site)
        return dg.MaterializeResult(
            metadata={
                "address": dg.MetadataValue.url(address),
                "days": len({cost.day for cost in shown.days}),
                **{headline.label: headline.value for headline in content.headlines},
            }
        )

    return costs_page


def read_credits(warehouse: Warehouse, since: date, checked: Mapping[str, str]) -> tuple[Credits | None, str]:
    """The credits by asset and day, None where the warehouse charges none; and why they are not known, or "".

    `checked` has the asset of each test by its name.
    """
    try:
        used = warehouse.credits_by_tag(since)
    except WarehouseError as error:
        return None, f"Credits are not known: {error}"
    if used is None:
        return None, ""
    charged: dict[tuple[str, str], float] = {}
    for day, asset, check, amount in used.values:
        name = asset or checked.get(check or "", OTHER_STATEMENTS)
        key = name, day.isoformat()
        charged[key] = charged.get(key, 0.0) + float(amount)
    return charged, ""
