"""A page as a PDF, printed by Chromium where there is one.

It is printed with the verdict of the checks, hence after them, and from the files that are published.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.publishing.page_verdicts import STATUS_FILE
from dvd_rental_pipeline.publishing.report_pages.rendering import PAGE_FILES
from dvd_rental_pipeline.publishing.report_pages.vega_bundle import vega_path
from dvd_rental_pipeline.publishing.site import Site

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
LIMIT_SECONDS = 60


class PrintingError(PipelineError):
    """The browser did not print the page."""


def find_browser() -> str | None:
    """The path of Chromium or Chrome, or None."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


def publish_pdf(site: Site, part: str, browser: str) -> None:
    """Print the published page `part` and publish it as PART.pdf at the top of the site.

    Raises:
        PrintingError: the browser fails or takes too long.
        PipelineError: the site cannot be read or written.
    """
    with tempfile.TemporaryDirectory(prefix="print-") as folder:
        for path in (*(f"{part}/{name}" for name in PAGE_FILES), f"checks/{STATUS_FILE}", vega_path()):
            file = Path(folder, path)
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(site.read(path))
        printed = Path(folder, f"{part}.pdf")
        _print(browser, Path(folder, part, "index.html"), printed, Path(folder, "profile"))
        site.publish_file(f"{part}.pdf", printed.read_bytes())


def _print(browser: str, page: Path, file: Path, profile: Path) -> None:
    command = [
        *(browser, "--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
        # The page is our own, and containers seldom allow the namespaces of the sandbox.
        *("--no-sandbox", f"--user-data-dir={profile}", "--no-pdf-header-footer"),
        *("--virtual-time-budget=10000", f"--print-to-pdf={file}", page.as_uri()),
    ]
    try:
        subprocess.run(command, capture_output=True, check=True, timeout=LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        raise PrintingError(f"{browser} did not print {page.name} within {LIMIT_SECONDS} s.") from None
    except (OSError, subprocess.CalledProcessError) as error:
        raise PrintingError(f"{browser} did not print {page.name}: {error}") from None
    if not file.is_file():
        raise PrintingError(f"{browser} did not write {file.name}.")
