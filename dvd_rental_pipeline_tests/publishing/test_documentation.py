"""The documentation pages are complete, self-contained, and work in a browser."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from dvd_rental_pipeline.automation.conditions import LAYER_CONDITIONS
from dvd_rental_pipeline.automation.freshness import LAYER_FRESHNESS
from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.pipelines.dvd_rental.catalog import DVD_RENTAL
from dvd_rental_pipeline.publishing.docs_asset import build_docs_asset
from dvd_rental_pipeline.publishing.documentation.entity_model import EntityModel
from dvd_rental_pipeline.publishing.site import FolderSite
from dvd_rental_pipeline.transform.dbt_resource import build_dbt_resource
from dvd_rental_pipeline.transform.project import load_dbt_project
from dvd_rental_pipeline.transform.reused import REUSED
from dvd_rental_pipeline.warehouse.resource import DuckDBWarehouseResource
from dvd_rental_pipeline_tests.browser import installed_browser
from dvd_rental_pipeline_tests.forked_programs import forked_dbt

OWN_PAGES = ["index.html", "source.html", "marts.html", "lineage.html"]

Browse = Callable[[str], str]


@pytest.fixture
def browse(pages: Path, tmp_path: Path) -> Browse:
    """Opens a page, given its name and fragment, and returns its HTML after scripts have run."""
    browser = installed_browser()

    def open_page(address: str) -> str:
        command = [
            *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
            *("--disable-background-networking", f"--user-data-dir={tmp_path / 'profile'}"),
            *("--virtual-time-budget=3000", "--dump-dom", f"{pages.as_uri()}/{address}"),
        ]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout

    return open_page


@pytest.mark.parametrize("name", OWN_PAGES)
def test_a_page_loads_nothing_external_and_runs_no_inline_script(name: str, pages: Path) -> None:
    text = (pages / name).read_text(encoding="utf-8")
    assert "script-src 'self'" in text
    assert not re.search(r"(?:src|href)=[\"']?(?:https?:)?//", text)
    assert not re.search(r"<script(?![^>]*(?:src=|application/json))", text)
    assert not re.search(r"\s(?:on\w+|style)=", text)


@pytest.mark.parametrize("name", OWN_PAGES)
def test_links_between_pages_have_targets(name: str, pages: Path) -> None:
    text = (pages / name).read_text(encoding="utf-8")
    for target in re.findall(r"(?:src|href)=\"([^\"#]+)\"", text):
        # Other parts of the site are published by themselves.
        assert target == "data:," or target.startswith("../") or (pages / target).is_file(), target


@pytest.mark.browser
def test_the_inputs_of_a_column_are_shown_up_to_the_source(browse: Browse) -> None:
    shown = browse("lineage.html#reports.revenue_by_month.revenue")
    path = shown.split('id="path"')[1]
    assert 'href="#dvd_rental.payment.amount"' in path
    assert 'href="#marts.fct_payment.amount"' in path.split("Computed from")[1].split("Used by")[0]


@pytest.mark.browser
def test_the_uses_of_a_column_are_shown_down_to_the_reports(browse: Browse) -> None:
    down = browse("lineage.html#dvd_rental.payment.amount").split("Used by")[1]
    assert 'href="#marts.fct_payment.amount"' in down
    assert 'href="#reports.revenue_by_month.revenue"' in down


@pytest.mark.browser
def test_every_table_can_be_selected(browse: Browse, model: EntityModel) -> None:
    shown = browse("lineage.html").split('id="tables"')[1].split('id="table"')[0]
    assert set(re.findall(r'href="#([\w.]+)"', shown)) == set(model.tables)


@pytest.mark.browser
def test_an_unknown_fragment_shows_the_list_of_tables(browse: Browse) -> None:
    shown = browse("lineage.html#no.such.column")
    assert re.search(r'<section id="path"[^>]*></section>', shown)


@pytest.mark.browser
@pytest.mark.slow
def test_dbt_docs_open_without_a_server(browse: Browse) -> None:
    shown = browse("dbt.html#!/model/model.dvd_rental.revenue_by_month")
    assert "How does the revenue of each store develop?" in re.sub(r"\s+", " ", shown.split("<body")[1])


@pytest.mark.slow
def test_the_asset_publishes_the_pages_when_models_have_changed(parsed_home: Path) -> None:
    settings = Settings(home=parsed_home)
    project = load_dbt_project(settings)
    instance = dg.DagsterInstance.ephemeral()
    with forked_dbt():
        dbt = build_dbt_resource(project)

    def materialize() -> dg.ExecuteInProcessResult:
        return dg.materialize(
            [build_docs_asset(project, [DVD_RENTAL], LAYER_FRESHNESS["site"], LAYER_CONDITIONS["site"], [])],
            instance=instance,
            resources={
                "dbt": dbt,
                "warehouse": DuckDBWarehouseResource(path=str(settings.warehouse_path)),
                "site": FolderSite(path=str(settings.site_dir)),
            },
        )

    result = materialize()
    metadata = result.asset_materializations_for_node("site__docs")[0].metadata
    assert metadata["address"].value == (settings.site_dir / "docs" / "index.html").as_uri()
    assert {"index.html", "lineage.html", "source.svg", "marts.svg", "dbt.html"} <= {
        page.name for page in (settings.site_dir / "docs").iterdir()
    }
    size = sum(page.stat().st_size for page in (settings.site_dir / "docs").iterdir())
    assert metadata["bytes"].value == size

    made = (settings.site_dir / "docs").stat().st_mtime_ns
    for _ in range(2):
        again = materialize().asset_materializations_for_node("site__docs")[0].metadata
    assert (settings.site_dir / "docs").stat().st_mtime_ns == made, "without a change nothing is built again"
    assert again == {**metadata, REUSED: dg.TextMetadataValue(f"unchanged since run {result.run_id[:8]}")}


def test_publishing_replaces_one_part_and_keeps_the_others(tmp_path: Path) -> None:
    site = FolderSite(path=str(tmp_path / "site"))
    for part, name in [("docs", "old.html"), ("checks", "kept.html"), ("docs", "index.html")]:
        pages = tmp_path / name
        pages.mkdir()
        (pages / name).write_text(name)
        site.publish(part, pages)
    published = {str(path.relative_to(tmp_path / "site")) for path in (tmp_path / "site").rglob("*.html")}
    assert published == {"docs/index.html", "checks/kept.html"}
    assert sorted(path.name for path in (tmp_path / "site").iterdir()) == ["checks", "docs"]


def test_a_part_is_unchanged_when_publishing_fails(tmp_path: Path) -> None:
    site = FolderSite(path=str(tmp_path / "site"))
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "index.html").write_text("first")
    site.publish("docs", pages)
    with pytest.raises(PipelineError):
        site.publish("docs", tmp_path / "missing")
    assert (tmp_path / "site" / "docs" / "index.html").read_text() == "first"
    assert [path.name for path in (tmp_path / "site").iterdir()] == ["docs"]
