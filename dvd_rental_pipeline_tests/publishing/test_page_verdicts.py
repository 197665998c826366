"""Each page has the verdict of the checks on what it is built from, and a page that is held keeps its date."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dvd_rental_pipeline.automation.conditions import LAYER_CONDITIONS
from dvd_rental_pipeline.automation.freshness import LAYER_FRESHNESS
from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.definitions import build_definitions
from dvd_rental_pipeline.publishing.check_report.records import CheckRecord, CheckReport, Outcome
from dvd_rental_pipeline.publishing.home_page import publish_home
from dvd_rental_pipeline.publishing.navigation import SITE_PARTS
from dvd_rental_pipeline.publishing.page_verdicts import (
    Lineage,
    read_lineage,
    upstream_tables,
    write_status,
)
from dvd_rental_pipeline.publishing.report_pages.assets import build_page_asset
from dvd_rental_pipeline.publishing.report_pages.registry import REPORT_PAGES
from dvd_rental_pipeline.publishing.report_pages.service import SERVICE
from dvd_rental_pipeline.publishing.site import FolderSite
from dvd_rental_pipeline.transform.manifest import Manifest
from dvd_rental_pipeline.transform.project import load_dbt_project
from dvd_rental_pipeline.warehouse.resource import DuckDBWarehouseResource
from dvd_rental_pipeline_tests.parsed_project import ParsedProject
from dvd_rental_pipeline_tests.publishing.report_tables import ReportTables, fill

BUILT, PUBLISHED = 1_700_000_000.0, 1_700_000_100.0


def record(asset: str, outcome: Outcome, *, blocking: bool = True) -> CheckRecord:
    return CheckRecord(
        asset=asset,
        check="keys",
        layer=asset.split("/", maxsplit=1)[0],
        owners=[],
        description="",
        blocking=blocking,
        severity="error",
        outcome=outcome,
        found="",
        stale=False,
        failed_rows=None,
        sample=[],
        numbers={},
        at=None,
        run_id="",
        history=[],
        runbook=None,
    )


def statuses(lineage: Lineage, folder: Path, times: dict[str, float], *records: CheckRecord) -> Any:
    """The status of every page as the browser reads it."""
    report = CheckReport(records=records, unit_tests=[], made_at=datetime.now(UTC), data_as_of=None)
    write_status(report, REPORT_PAGES, lineage, times, folder)
    text = (folder / "status.js").read_text(encoding="utf-8")
    return json.loads(text.removeprefix("window.siteStatus=").removesuffix(";\n"))["pages"]


@pytest.fixture(scope="module")
def lineage(parsed_project: ParsedProject, tmp_path_factory: pytest.TempPathFactory) -> Lineage:
    """That of the whole graph."""
    settings = Settings(home=parsed_project.prepare(tmp_path_factory.mktemp("home")))
    return read_lineage(build_definitions(settings).resolve_asset_graph().assets_defs)


@pytest.fixture
def times() -> dict[str, float]:
    """All pages were published after their reports were built."""
    reports = {f"reports/{report}": BUILT for page in REPORT_PAGES for report in page.reports}
    return reports | {f"site/{page.name}": PUBLISHED for page in REPORT_PAGES}


def test_a_page_depends_on_everything_upstream_of_its_reports(lineage: Lineage) -> None:
    tables = upstream_tables(SERVICE, lineage)
    assert {"reports/late_returns", "marts/fct_rental", "dvd_rental/rental"} <= tables
    assert "reports/cohort_retention" not in tables


def test_a_failed_blocking_check_holds_only_the_pages_downstream(
    lineage: Lineage, tmp_path: Path, times: dict[str, float]
) -> None:
    pages = statuses(
        lineage,
        tmp_path,
        times,
        record("reports/late_returns", Outcome.FAILED),
        *(record(f"reports/{report}", Outcome.PASSED) for report in ("cohort_retention", "top_films")),
    )
    assert pages["service"]["state"] == "blocking"
    assert "held: its figures are those of 14 Nov 2023, 22:15 UTC" in pages["service"]["text"]
    assert pages["customers"] == {"state": "passed", "text": "The only check passed."}
    assert pages["checks"]["state"] == "blocking"


def test_a_fault_of_a_source_table_concerns_every_page_of_its_pipeline(
    lineage: Lineage, tmp_path: Path, times: dict[str, float]
) -> None:
    pages = statuses(lineage, tmp_path, times, record("dvd_rental/rental", Outcome.ERRORED))
    assert {name for name, page in pages.items() if page["state"] != "blocking"} == {
        "wholesale",
        "product_sales",
    }


@pytest.mark.parametrize(
    ("asset", "page"),
    [
        ("totesys_processed/fact_sales_order", "wholesale"),
        ("totesys_landing/sales_order", "wholesale"),
        ("sales/quarantine", "product_sales"),
    ],
)
def test_a_check_of_an_asset_that_is_no_model_concerns_the_pages_downstream(
    lineage: Lineage, tmp_path: Path, times: dict[str, float], asset: str, page: str
) -> None:
    pages = statuses(lineage, tmp_path, times, record(asset, Outcome.WARNED, blocking=False))
    assert {name for name, status in pages.items() if status["state"] == "warned"} == {page, "checks"}


def test_without_checks_there_is_no_passing_verdict(
    lineage: Lineage, tmp_path: Path, times: dict[str, float]
) -> None:
    pages = statuses(lineage, tmp_path, times)
    assert {page["state"] for page in pages.values()} == {"unknown"}


def test_a_page_older_than_its_reports_says_so(
    lineage: Lineage, tmp_path: Path, times: dict[str, float]
) -> None:
    passed = record("reports/late_returns", Outcome.PASSED)
    late = times | {f"reports/{report}": PUBLISHED + 1 for report in SERVICE.reports}
    pages = statuses(lineage, tmp_path, late, passed)
    assert pages["service"]["state"] == "stale"
    assert "older than its reports" in pages["service"]["text"]
    never = {key: at for key, at in times.items() if key != "site/service"}
    assert "never published" in statuses(lineage, tmp_path, never, passed)["service"]["text"]


def test_a_page_that_cannot_be_built_keeps_its_last_state(manifest: Manifest, parsed_home: Path) -> None:
    tables = ReportTables(parsed_home, manifest)
    fill(tables)
    settings = Settings(home=parsed_home)
    project = load_dbt_project(settings)
    asset = build_page_asset(SERVICE, project, [], LAYER_FRESHNESS["site"], LAYER_CONDITIONS["site"])

    def materialize() -> dg.ExecuteInProcessResult:
        return dg.materialize(
            [asset],
            resources={
                "warehouse": DuckDBWarehouseResource(path=str(settings.warehouse_path)),
                "site": FolderSite(path=str(settings.site_dir)),
            },
            raise_on_error=False,
        )

    first = materialize()
    metadata = first.asset_materializations_for_node("site__service")[0].metadata
    assert metadata["address"].value == (settings.site_dir / "service" / "index.html").as_uri()
    assert metadata["data_as_of"].value == "2026-03-10 12:30:00"
    before = (settings.site_dir / "service" / "index.html").read_bytes()
    assert b"10 Mar 2026, 12:30" in before
    with tables.warehouse.transaction() as session:
        session.execute("drop table reports.late_returns")
    assert not materialize().success
    assert (settings.site_dir / "service" / "index.html").read_bytes() == before
    assert {path.name for path in settings.site_dir.iterdir()} == {
        *("assets", "index.html", "site.js", "theme.css"),
        *(part.name for part in SITE_PARTS),
    }


def test_a_part_that_was_never_published_says_how_it_is_built(tmp_path: Path) -> None:
    site = FolderSite(path=str(tmp_path))
    site.publish_file("service/index.html", b"published")
    publish_home(site)
    assert site.read("service/index.html") == b"published"
    wholesale = site.read("wholesale/index.html").decode()
    assert "This page has not been published yet" in wholesale
    assert "dvd-rental run --select tag:domain=totesys" in wholesale
    assert all(site.has(f"{part.name}/index.html") for part in SITE_PARTS)
