"""Report pages as files: complete, escaped, without personal data, and small, for any business."""

import csv
import gzip
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import altair
import duckdb
import pytest

from dvd_rental_pipeline.publishing.report_pages.assets import tables_of
from dvd_rental_pipeline.publishing.report_pages.charts import bars
from dvd_rental_pipeline.publishing.report_pages.content import (
    Chart,
    ChartColumn,
    Content,
    Dataset,
    Filter,
    Kind,
    Option,
    PageDeclaration,
    PageSection,
)
from dvd_rental_pipeline.publishing.report_pages.executive import shown_change
from dvd_rental_pipeline.publishing.report_pages.parts import change, money
from dvd_rental_pipeline.publishing.report_pages.registry import REPORT_PAGES
from dvd_rental_pipeline.publishing.report_pages.rendering import write_images, write_page
from dvd_rental_pipeline.publishing.report_pages.reports import ReportReader
from dvd_rental_pipeline.publishing.report_pages.shown_rows import shown_rows
from dvd_rental_pipeline.transform.manifest import Manifest
from dvd_rental_pipeline.warehouse.interface import Rows
from dvd_rental_pipeline_tests.publishing.report_tables import HOSTILE, PERSON, ReportTables, fill

MEGABYTE = 1024 * 1024
each_page = pytest.mark.parametrize("page", REPORT_PAGES, ids=lambda page: page.name)


@pytest.fixture(scope="module")
def business(tmp_path_factory: pytest.TempPathFactory, manifest: Manifest) -> ReportTables:
    tables = ReportTables(tmp_path_factory.mktemp("business"), manifest)
    fill(tables)
    return tables


@pytest.fixture(scope="module")
def contents(business: ReportTables) -> Mapping[str, Content]:
    """What each page shows of the business."""
    return {page.name: business.content(page) for page in REPORT_PAGES}


@pytest.fixture(scope="module")
def written(contents: Mapping[str, Content], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the pages of the business."""
    folder = tmp_path_factory.mktemp("written")
    for page in REPORT_PAGES:
        write(page, contents[page.name], folder / page.name)
    return folder


def write(page: PageDeclaration, content: Content, folder: Path) -> str:
    """The HTML of `page`, written into the new `folder`."""
    folder.mkdir()
    write_page(page, content, folder)
    return html_of(folder)


def html_of(folder: Path) -> str:
    return (folder / "index.html").read_text(encoding="utf-8")


def payload(html: str) -> Any:
    """The data that the scripts of a page read."""
    found = re.search(r'<script type="application/json" id="content">(.*?)</script>', html, re.DOTALL)
    assert found
    return json.loads(found[1])


@each_page
def test_a_page_depends_on_all_tables_that_it_reads(
    page: PageDeclaration, business: ReportTables, manifest: Manifest
) -> None:
    queries: list[str] = []
    with business.reading() as execute:

        def query(sql: str) -> Rows:
            queries.append(sql)
            return execute(sql)

        page.build(ReportReader(query, manifest, (), page.reports))
    read = {
        model.key for model in manifest.models.values() if any(model.relation_name in sql for sql in queries)
    }
    assert len(read) > 1
    assert read <= {model.key for model in tables_of(page, manifest)}


@each_page
def test_charts_are_valid_vega_lite(page: PageDeclaration, contents: Mapping[str, Content]) -> None:
    drawn = [chart for chart in contents[page.name].charts if chart.spec is not None]
    assert drawn
    for chart in drawn:
        altair.Chart.from_dict({**chart.spec, "data": {"name": "rows"}}, validate=True)


@each_page
def test_a_chart_shows_and_filters_only_columns_that_it_has(
    page: PageDeclaration, contents: Mapping[str, Content]
) -> None:
    content = contents[page.name]
    fields = {each.name: each.field for each in content.filters}
    for chart in content.charts:
        available = {*chart.data.columns} if not chart.group else {*chart.group, *chart.sums, *chart.ratios}
        assert {column.field for column in chart.columns} <= available, chart.name
        assert {*chart.group, *chart.sums} <= {*chart.data.columns}, chart.name
        assert {fields[name] for name in chart.filters} <= {*chart.data.columns}, chart.name
        assert not {fields[name] for name in chart.filters} & {*chart.group}, (
            "its own filter would leave one value"
        )


@each_page
def test_a_page_runs_no_inline_script_and_no_inline_style(page: PageDeclaration, written: Path) -> None:
    html = html_of(written / page.name)
    assert "script-src 'self'; style-src 'self'" in html
    assert not re.search(r"<script(?![^>]*(?:src=|application/json))", html)
    assert not re.search(
        r"<[^>]*\s(?:on\w+|style)=", re.sub(r"<script type.*?</script>", "", html, flags=re.DOTALL)
    )
    assert not re.search(r"(?:src|href)=[\"']?(?:https?:)?//", html)


@each_page
def test_files_that_a_page_loads_are_beside_it(page: PageDeclaration, written: Path) -> None:
    folder = written / page.name
    links = re.findall(r"(?:src|href)=\"([^\"#]+)\"", html_of(folder))
    own = [target for target in links if not target.startswith("..")]
    assert [target for target in own if target != "data:," and not (folder / target).is_file()] == []


def test_a_hostile_title_is_text_everywhere(written: Path) -> None:
    html = html_of(written / "films")
    assert "<img" not in html
    assert HOSTILE in payload(html)["datasets"][payload(html)["charts"][0]["data"]]["columns"]["title"]
    file = written / "films" / "data" / "top_films.csv"
    cells = [row["title"] for row in csv.DictReader(file.open(encoding="utf-8"))]
    assert HOSTILE in cells
    assert "'=HYPERLINK(1)" in cells, "a spreadsheet must not execute it"


@each_page
def test_pages_hold_no_personal_data(page: PageDeclaration, written: Path) -> None:
    for file in (written / page.name).rglob("*"):
        if file.is_file():
            text = file.read_text(encoding="utf-8")
            assert [value for value in PERSON.values() if value in text] == [], file.name
    if page.name == "service":
        overdue = written / page.name / "data" / "overdue_copies.csv"
        assert "4711" in overdue.read_text(), "customers are shown by number"


def test_a_private_column_and_an_undeclared_report_are_refused(business: ReportTables) -> None:
    manifest = business.manifest
    reader = ReportReader(
        business.warehouse.query, manifest, manifest.private_columns(), ["overdue_rentals", "customer_360"]
    )
    with pytest.raises(ValueError, match="no public column customer_name"):
        reader.read("overdue_rentals", ["customer_id", "customer_name"])
    with pytest.raises(ValueError, match="no public column email"):
        reader.summarize("customer_360", ["email"], [], count="customers")
    with pytest.raises(ValueError, match="does not declare"):
        reader.read("top_films", ["title"])


@each_page
def test_a_page_has_a_consumer_that_reads_its_reports(page: PageDeclaration, manifest: Manifest) -> None:
    (consumer,) = [exposure for exposure in manifest.exposures if exposure.name == page.consumer]
    read = {manifest.models[parent].name for parent in consumer.parents}
    assert set(page.reports) <= read
    assert consumer.owner == page.owner


@pytest.mark.parametrize(
    ("stores", "months"), [(0, 0), (1, 1), (1, 30), pytest.param(12, 2, marks=pytest.mark.slow)]
)
def test_pages_hold_with_any_number_of_stores_and_months(
    stores: int, months: int, manifest: Manifest, tmp_path: Path
) -> None:
    tables = ReportTables(tmp_path, manifest)
    if stores:
        fill(tables, stores=stores, months=months, countries=2)
    for page in REPORT_PAGES:
        html = write(page, tables.content(page), tmp_path / page.name)
        assert ("there are no data yet" in html) == (stores == 0), page.name
        assert all(each["options"] for each in payload(html)["filters"]), page.name


@pytest.mark.slow
def test_ten_thousand_countries_fit_into_a_page(manifest: Manifest, tmp_path: Path) -> None:
    tables = ReportTables(tmp_path, manifest)
    fill(tables, months=2, countries=2)
    with duckdb.connect(tmp_path / "warehouse.duckdb") as connection:
        connection.execute(
            "insert into reports.monthly_sales_by_country "
            "select '2025-01-01'::date + to_months(m::integer), 1, 'Store 1', c, 'Country ' || c, 1, c / 7 "
            "from range(5) months(m), range(10000) countries(c)"
        )
        connection.execute(
            "insert into reports.sales_by_country (country_id, country, customers, rentals, revenue, "
            "revenue_rank) select c, 'Country ' || c, 5, 6, c, 10003 - c from range(2, 10000) countries(c)"
        )
        connection.execute(
            "insert into reports.genre_affinity_by_country (country_id, country, category, rentals, lift) "
            "select c, 'Country ' || c, 'Genre ' || g, 5, 1 from range(10000) a(c), range(16) b(g)"
        )
    for page in REPORT_PAGES:
        html = write(page, tables.content(page), tmp_path / page.name)
        assert len(gzip.compress(html.encode())) < MEGABYTE / 4, page.name
    (total,) = tables.query("select sum(revenue) from reports.monthly_sales_by_country")[0]
    sales = payload(html_of(tmp_path / "sales"))
    cube = sales["datasets"][sales["charts"][0]["data"]]["columns"]
    assert sum(cube["revenue"]) == pytest.approx(float(total)), "smaller countries are summed, not dropped"
    assert len(set(cube["country"])) == 40


@pytest.mark.slow
def test_an_emoji_anywhere_in_a_long_label_does_not_stop_an_image(tmp_path: Path) -> None:
    titles = ["m" * length + "🎬" * 60 for length in range(60)]
    data = Dataset("top_films", ["title", "rentals"], [[title, 1] for title in titles])
    film, rentals = ChartColumn("title", "Film"), ChartColumn("rentals", "Rentals", Kind.COUNT)
    chart = Chart("films", "Which?", "", data, [film, rentals], spec=bars(film, rentals, []), is_key=True)
    (image,) = write_images(Content(None, [PageSection("", [chart])]), tmp_path)
    assert image.png.startswith(b"\x89PNG")


def test_images_show_what_the_page_shows_before_a_filter_is_used(
    business: ReportTables, contents: Mapping[str, Content]
) -> None:
    content = contents["films"]
    (chart,) = (chart for chart in content.charts if chart.name == "top_films")
    rows = shown_rows(chart, content.filters)
    expected = business.query("select title, rentals from reports.top_films order by rental_rank limit 20")
    assert [(row["title"], row["rentals"]) for row in rows] == expected


def test_rows_are_summed_and_ordered_as_in_the_browser() -> None:
    data = Dataset(
        "any", ["store", "month", "revenue", "rentals"],
        [["A", 1, 0.1, 1], ["A", 2, 0.2, 1], ["Other", 1, 9.0, 3], ["B", 1, 5.0, None], ["B", 2, 7.0, 2]],
    )  # fmt: skip
    chart = Chart(
        "c", "?", "", data, [], group=["store"], sums=["revenue", "rentals"], order="-revenue", last="Other",
        ratios={"average": ("revenue", "rentals", 1)}, filters=["period"], limit=3,
    )  # fmt: skip
    all_months, first = Option("All", None), Option("First", [1])
    period, other = Filter("period", "", "month", [first, all_months]), Filter("x", "", "store", [first])
    assert shown_rows(chart, [period, other]) == [
        {"store": "B", "revenue": 5.0, "rentals": 0, "average": None},
        {"store": "A", "revenue": 0.1, "rentals": 1, "average": 0.1},
        {"store": "Other", "revenue": 9.0, "rentals": 3, "average": 3.0},
    ]
    everything = shown_rows(chart, [Filter("period", "", "month", [all_months, first])])
    assert [(row["store"], row["revenue"]) for row in everything] == [("B", 12.0), ("A", 0.3), ("Other", 9.0)]


def test_key_charts_are_images_as_well(contents: Mapping[str, Content], tmp_path: Path) -> None:
    for name, content in contents.items():
        folder = tmp_path / name
        folder.mkdir()
        images = write_images(content, folder)
        assert {image.name for image in images} == {chart.name for chart in content.charts if chart.is_key}
        for image in images:
            assert image.png.startswith(b"\x89PNG")
            svg = (folder / "charts" / f"{image.name}.svg").read_text(encoding="utf-8")
            assert image.question in svg
            assert HOSTILE not in svg


@pytest.mark.parametrize(
    ("unit", "moved", "shown"),
    [
        ("dollars", 7.69, "+7.7 %"),
        ("percent", -2.5, "-2.5 points"),
        ("percent", -0.04, "no change"),
        ("number", 0.0, "no change"),
        ("number", None, ""),
    ],
)
def test_a_change_that_rounds_to_zero_has_no_sign(unit: str, moved: float | None, shown: str) -> None:
    assert shown_change(unit, moved) == shown


@pytest.mark.parametrize(
    ("now", "before", "shown"),
    [(110, 100, "+10.0 %"), (99.99, 100, "no change"), (50, 100, "-50.0 %"), (1, 0, "")],
)
def test_a_change_is_in_percent_of_what_was(now: float, before: float, shown: str) -> None:
    assert change(now, before) == shown


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (9.5, "$9.50"),
        (1234.5, "$1,234"),
        (9_999_999, "$9,999,999"),
        (76_510_340, "$76.5M"),
    ],
)
def test_an_amount_fits_into_a_headline(amount: float, shown: str) -> None:
    assert money(amount) == shown
