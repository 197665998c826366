"""Headless Chromium for tests of pages, driven by Playwright."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from dvd_rental_pipeline.publishing.report_pages.pdf import find_browser

# West of Greenwich: dates that a page reads as local times would be those of the day before.
TIME_ZONE = "America/Los_Angeles"
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}


def installed_browser() -> str:
    """The program of Chromium; skips the test where none is installed."""
    path = find_browser()
    if path is None:
        pytest.skip("no browser found: install Chromium")
    return path


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Chromium; skips the test where none is installed."""
    path = installed_browser()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@dataclass
class SitePage:
    """An open page of the site, and what the browser complained about: errors, and violations of its policy."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def rows(self, chart: str) -> list[dict[str, Any]]:
        """The rows that a chart shows."""
        shown: list[dict[str, Any]] = self.page.evaluate(f"chartRows('{chart}')")
        return shown

    def marks(self, chart: str, role: str = "mark-rect") -> int:
        """The number of drawn marks, such as bars, in the picture of a chart."""
        return self.page.locator(f"#chart-{chart} .{role}.role-mark path").count()

    def choose(self, filter_name: str, label: str) -> None:
        """Choose an option of a filter and wait until the charts show it."""
        self.page.evaluate("delete document.documentElement.dataset.filterMilliseconds")
        self.page.select_option(f"#filter-{filter_name}", label=label)
        self.page.wait_for_selector("html[data-filter-milliseconds]", state="attached")

    def table(self, chart: str) -> list[list[str]]:
        """The cells of the table of a chart, which is opened."""
        details = self.page.locator(f"#chart-{chart} details")
        if details.count() and details.get_attribute("open") is None:
            details.locator("summary").click()
        rows = self.page.locator(f"#chart-{chart} tbody tr")
        rows.first.wait_for()
        return [row.locator("td").all_inner_texts() for row in rows.all()]


@contextmanager
def open_page(
    browser: Browser, address: str, *, viewport: dict[str, int] = DESKTOP, dark: bool = False
) -> Iterator[SitePage]:
    """The page at `address`, once its charts are drawn."""
    context = browser.new_context(
        viewport=viewport, color_scheme="dark" if dark else "light", timezone_id=TIME_ZONE
    )
    page = context.new_page()
    opened = SitePage(page)
    page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    page.on(
        "console",
        lambda message: opened.complaints.append(message.text) if message.type == "error" else None,
    )
    page.goto(address)
    if page.query_selector("#content"):
        page.wait_for_selector("html[data-drawn]", state="attached", timeout=30_000)
    yield opened
    context.close()


def published(folder: Path, name: str) -> str:
    """The address of a page of a site in `folder`."""
    return (folder / name).as_uri()
