"""Report pages in a browser: figures, filters, tables, search, themes, and accessibility."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from dvd_rental_pipeline.publishing.home_page import publish_home
from dvd_rental_pipeline.publishing.report_pages.pdf import publish_pdf
from dvd_rental_pipeline.publishing.report_pages.registry import REPORT_PAGES
from dvd_rental_pipeline.publishing.report_pages.shown_rows import shown_rows
from dvd_rental_pipeline.publishing.site import FolderSite
from dvd_rental_pipeline.transform.manifest import Manifest
from dvd_rental_pipeline_tests.browser import (
    DESKTOP,
    PHONE,
    SitePage,
    installed_browser,
    open_page,
    published,
    running_browser,
)
from dvd_rental_pipeline_tests.publishing.report_tables import HOSTILE, ReportTables, fill

pytestmark = pytest.mark.browser
NAMES = [page.name for page in REPORT_PAGES]
# A page takes seconds to open: one is among the quick tests.
EVERY_PAGE = [pytest.param(name, marks=[] if name == "sales" else pytest.mark.slow) for name in NAMES]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory, manifest: Manifest) -> ReportTables:
    tables = ReportTables(tmp_path_factory.mktemp("tables"), manifest)
    fill(tables)
    return tables


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, tables: ReportTables, pages: Path) -> Path:
    """A site with report pages, documentation, and a verdict for one page."""
    folder = tmp_path_factory.mktemp("site")
    tables.publish(folder, tmp_path_factory.mktemp("pages"))
    resource = FolderSite(path=str(folder))
    resource.publish("docs", pages)
    publish_home(resource)
    status = {"pages": {"sales": {"state": "blocking", "text": "2 checks failed. This page is held."}}}
    resource.publish_file("checks/status.js", f"window.siteStatus={json.dumps(status)};".encode())
    return folder


def test_a_chart_shows_the_figures_of_the_warehouse(browser: Browser, site: Path, tables: ReportTables) -> None:
    by_month = tables.query(
        "select strftime(month, '%Y-%m-%d'), sum(revenue) from reports.monthly_sales_by_country "
        "group by 1 order by 1"
    )
    with open_page(browser, published(site, "sales/index.html")) as sales:
        shown = [(row["month"], row["revenue"]) for row in sales.rows("revenue_by_month")]
        assert shown == [(month, pytest.approx(float(revenue))) for month, revenue in by_month]
        assert sales.marks("revenue_by_country") == 4
        picture = sales.page.locator("#chart-revenue_by_month svg").text_content()
        assert picture is not None
        assert "Revenue ($)" in picture
        first, *_ = sales.table("revenue_by_month")
        assert first[0] == "Jan 2025", "and not the month before, west of Greenwich"
        assert first[1] == f"${float(by_month[0][1]):,.2f}"
        assert sales.complaints == []


@pytest.mark.parametrize("name", EVERY_PAGE)
def test_images_show_the_rows_of_the_page(
    browser: Browser, site: Path, tables: ReportTables, name: str
) -> None:
    (declared,) = [page for page in REPORT_PAGES if page.name == name]
    content = tables.content(declared)
    with open_page(browser, published(site, f"{name}/index.html")) as page:
        drawn = [
            chart for chart in content.charts if chart.spec and page.page.query_selector(f"#chart-{chart.name}")
        ]
        assert drawn
        for chart in drawn:
            fields = [column.field for column in chart.columns]
            in_image = [{name: row[name] for name in fields} for row in shown_rows(chart, content.filters)]
            on_page = [{name: row[name] for name in fields} for row in page.rows(chart.name)]
            assert on_page == in_image, chart.name


def test_every_filter_of_sales_changes_its_charts(browser: Browser, site: Path, tables: ReportTables) -> None:
    def revenue(where: str) -> float:
        return float(
            tables.query(f"select sum(revenue) from reports.monthly_sales_by_country where {where}")[0][0]
        )

    def total(page: SitePage, chart: str) -> Any:
        return pytest.approx(sum(row["revenue"] for row in page.rows(chart)))

    with open_page(browser, published(site, "sales/index.html")) as sales:
        sales.choose("store", "Store 2, City 2")
        assert revenue("store_id = 2") == total(sales, "revenue_by_month")
        assert revenue("store_id = 2") == total(sales, "revenue_by_country")
        sales.choose("country", "Country 3")
        assert revenue("store_id = 2 and country_id = 3") == total(sales, "revenue_by_month")
        sales.choose("period", "2025")
        assert revenue("store_id = 2 and year(month) = 2025") == total(sales, "revenue_by_country")
        assert revenue("country_id = 3 and year(month) = 2025") == total(sales, "revenue_by_store")
        sales.choose("period", "Last 3 whole months")
        months = "month between '2025-12-01' and '2026-02-01'"
        assert revenue(f"country_id = 3 and {months}") == total(sales, "revenue_by_store")
        assert "store=Store+2" in sales.page.url
        address = sales.page.url
        sales.page.click("#reset")
        sales.page.wait_for_timeout(200)
        assert revenue("true") == total(sales, "revenue_by_month")
        assert sales.complaints == []
    with open_page(browser, address) as shared:
        assert revenue("store_id = 2 and country_id = 3") == total(shared, "revenue_by_month"), (
            "a link keeps filters"
        )


@pytest.mark.slow
def test_every_option_of_every_filter_works(browser: Browser, site: Path) -> None:
    for name in NAMES:
        with open_page(browser, published(site, f"{name}/index.html")) as page:
            for select in page.page.locator(".filters select").all():
                filter_name = str(select.get_attribute("id")).removeprefix("filter-")
                for label in select.locator("option").all_inner_texts():
                    page.choose(filter_name, label)
                    milliseconds = int(page.page.get_attribute("html", "data-filter-milliseconds") or 9999)
                    assert milliseconds < 2000, (name, label)
            assert page.complaints == [], name


def test_a_ranking_of_a_store_is_that_of_its_report(browser: Browser, site: Path, tables: ReportTables) -> None:
    with open_page(browser, published(site, "films/index.html")) as films:
        assert films.rows("top_films")[0]["title"] == HOSTILE
        films.choose("store", "Store 2, City 2")
        expected = tables.query(
            "select title, rentals from reports.film_performance_by_store where store_id = 2 "
            "order by rental_rank"
        )
        assert [(row["title"], row["rentals"]) for row in films.rows("top_films")] == expected
        assert films.table("top_films")[0][0] == HOSTILE
        assert films.page.title() == "Films and stock · DVD rental data"
        assert films.complaints == []


def test_a_page_without_a_passing_verdict_says_so(browser: Browser, site: Path) -> None:
    with open_page(browser, published(site, "sales/index.html")) as held:
        shown = held.page.locator("[data-verdict=sales]")
        assert "2 checks failed. This page is held." in shown.inner_text()
        assert shown.get_attribute("class") == "verdict blocking"
    with open_page(browser, published(site, "films/index.html")) as unknown:
        assert "No verdict of the checks" in unknown.page.locator("[data-verdict=films]").inner_text()


def test_search_finds_charts_tables_and_columns(browser: Browser, site: Path) -> None:
    with open_page(browser, published(site, "index.html")) as home:
        for words, expected in [
            ("late genres", "service/index.html#chart-late_returns_by_genre"),
            ("fct_payment", "docs/lineage.html#marts.fct_payment"),
            ("replacement_cost", "replacement_cost"),
        ]:
            home.page.fill("#search-site", words)
            found = home.page.locator("#search-results a")
            found.first.wait_for()
            assert any(expected in str(link.get_attribute("href")) for link in found.all()), words
        home.page.fill("#search-site", "qzxw")
        home.page.locator("#search-results .none").wait_for()
        home.page.fill("#search-site", "late genres")
        home.page.locator("#search-results a").first.wait_for()
        home.page.press("#search-site", "Enter")
        home.page.wait_for_url("**/service/index.html**")
        assert home.complaints == []


@pytest.mark.slow
@pytest.mark.parametrize("name", [*NAMES, "docs", "."])
def test_no_serious_violation_of_accessibility_rules(browser: Browser, site: Path, name: str) -> None:
    for dark in (False, True):
        with open_page(browser, published(site, f"{name}/index.html"), dark=dark) as page:
            # axe runs outside of the page's own scripts, but its policy would keep it out.
            violations = Axe().run(page.page).response["violations"]
            serious = [
                (each["id"], each["nodes"][0]["html"][:120])
                for each in violations
                if each["impact"] in {"serious", "critical"}
            ]
            assert serious == []


@pytest.mark.parametrize("name", EVERY_PAGE)
def test_a_page_fits_on_a_phone(browser: Browser, site: Path, name: str) -> None:
    with open_page(browser, published(site, f"{name}/index.html"), viewport=PHONE) as page:
        assert page.page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
        cut = "Array.from(document.querySelectorAll('.picture')).filter((picture) => Array.from("
        cut += "picture.querySelectorAll('.role-legend')).some((legend) => legend.getBoundingClientRect().right"
        cut += " > picture.getBoundingClientRect().right + 1)).map((picture) => picture.parentElement.id)"
        assert page.page.evaluate(cut) == [], "legends that are cut"


@pytest.mark.parametrize("name", EVERY_PAGE)
def test_every_column_of_a_table_is_in_sight_on_a_desk(browser: Browser, site: Path, name: str) -> None:
    cut = "Array.from(document.querySelectorAll('figure > .rows'))"
    cut += ".filter((each) => each.scrollWidth > each.clientWidth).map((each) => each.parentElement.id)"
    with open_page(browser, published(site, f"{name}/index.html"), viewport=DESKTOP) as page:
        assert page.page.evaluate(cut) == []


@pytest.mark.slow
def test_an_empty_business_has_pages_without_pictures(
    browser: Browser, manifest: Manifest, tmp_path: Path
) -> None:
    (tmp_path / "tables").mkdir()
    ReportTables(tmp_path / "tables", manifest).publish(tmp_path / "site", tmp_path / "pages")
    tables = 0
    for name in NAMES:
        with open_page(browser, published(tmp_path / "site", f"{name}/index.html")) as page:
            assert page.page.locator(".picture svg").count() == 0
            assert page.page.locator(".picture .empty").count() > 0
            shown = page.page.locator(".rows:visible").all_inner_texts()
            tables += len(shown)
            assert all("No rows for this selection." in text for text in shown)
            assert [text for text in page.complaints if "ERR_FILE_NOT_FOUND" not in text] == []
    assert tables > 0


def test_the_executive_page_is_printed_with_its_verdict(site: Path) -> None:
    resource = FolderSite(path=str(site))
    publish_pdf(resource, "executive", installed_browser())
    printed = resource.read("executive.pdf")
    assert printed.startswith(b"%PDF")
    assert len(printed) > 20_000, "a page without charts is smaller"
