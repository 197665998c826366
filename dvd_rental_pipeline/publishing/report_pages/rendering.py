"""A page as files: HTML, the rows behind each chart as CSV, its search entries, images of its key charts."""

import csv
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvd_rental_pipeline.publishing.report_pages.charts import CHART_CONFIG
from dvd_rental_pipeline.publishing.report_pages.content import Chart, Content, Dataset, Page
from dvd_rental_pipeline.publishing.report_pages.shown_rows import shown_rows
from dvd_rental_pipeline.publishing.report_pages.vega_bundle import vega_path
from dvd_rental_pipeline.publishing.search_index import SearchEntry, write_search_index
from dvd_rental_pipeline.publishing.spreadsheet_text import safe_cell
from dvd_rental_pipeline.publishing.templates import (
    THEME_FILES,
    copy_files,
    script_json,
    site_values,
    template_environment,
)

STATIC_FILES = (*THEME_FILES, "report.css", "report.js")
PAGE_FILES = ("index.html", *STATIC_FILES)
"""What a browser loads of a page, in its folder."""
VEGA_LITE_VERSION = "6.4"
IMAGE_WIDTH = 760
_ABOVE_FFFF = re.compile("[\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class ChartImage:
    """A key chart as an image; `png` is the content of the file."""

    question: str
    name: str
    png: bytes


def write_page(page: Page, content: Content, folder: Path, *, has_verdict: bool = True) -> None:
    """Write `content` into `folder`, which is to be published as the part `page.name`.

    With `has_verdict`, it shows the verdict of the checks on its reports.
    """
    (folder / "data").mkdir()
    for chart in content.charts:
        _write_csv(chart, folder / "data" / f"{chart.name}.csv")
    html = (
        template_environment()
        .get_template("report.html")
        .render(
            **{**site_values(page.name), "wide": True},
            title=page.title,
            page=page,
            content=content,
            payload=script_json(_payload(content)),
            vega=vega_path(),
            has_verdict=has_verdict,
        )
    )
    (folder / "index.html").write_text(html, encoding="utf-8")
    copy_files(STATIC_FILES, folder)
    write_search_index(
        [
            SearchEntry(page.title, "page", "page", f"{page.name}/index.html", page.question),
            *(
                SearchEntry(
                    chart.question,
                    "chart",
                    page.title,
                    f"{page.name}/index.html#chart-{chart.name}",
                    " ".join(
                        [chart.data.report.replace("_", " "), *(column.label for column in chart.columns)]
                    ),
                )
                for chart in content.charts
            ),
        ],
        folder,
    )


def write_images(content: Content, folder: Path) -> Sequence[ChartImage]:
    """Write each key chart that has rows as `charts/NAME.svg` and `charts/NAME.png` into `folder`."""
    import vl_convert  # noqa: PLC0415 - 90 MB of code, which only this needs

    images = []
    (folder / "charts").mkdir(exist_ok=True)
    for chart in content.charts:
        if not chart.is_key or chart.spec is None or not chart.data.rows:
            continue
        spec = {
            **_with_width(chart.spec),
            "data": {"values": [_measurable(row) for row in shown_rows(chart, content.filters)]},
            "background": "white",
            "padding": 12,
            "title": {"text": chart.question, "anchor": "start", "fontSize": 15, "offset": 12},
        }
        config = dict(CHART_CONFIG)
        svg = vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE_VERSION, config=config)
        png = vl_convert.svg_to_png(svg, scale=1.5)
        (folder / "charts" / f"{chart.name}.svg").write_text(svg, encoding="utf-8")
        (folder / "charts" / f"{chart.name}.png").write_bytes(png)
        images.append(ChartImage(chart.question, chart.name, png))
    return images


def _measurable(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """`row` with a box for each character above U+FFFF, such as an emoji.

    Vega may cut a long label between the two halves of one in UTF-16, and vl-convert fails to measure a half.
    """
    return {
        name: _ABOVE_FFFF.sub("\u25a1", value) if isinstance(value, str) else value
        for name, value in row.items()
    }


def _with_width(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**spec, "width": IMAGE_WIDTH}


def _payload(content: Content) -> str:
    """What report.js reads. Charts that show the same rows share them."""
    datasets: dict[int, str] = {}
    stored: dict[str, Any] = {}
    for chart in content.charts:
        if id(chart.data) not in datasets:
            name = f"{chart.data.report}_{len(datasets)}"
            datasets[id(chart.data)] = name
            stored[name] = _columnar(chart.data)
    charts = [
        {
            "name": chart.name,
            "question": chart.question,
            "data": datasets[id(chart.data)],
            "spec": chart.spec,
            "columns": [
                {"field": column.field, "label": column.label, "kind": column.kind} for column in chart.columns
            ],
            "group": list(chart.group),
            "sums": list(chart.sums),
            "ratios": chart.ratios,
            "filters": list(chart.filters),
            "order": chart.order,
            "last": chart.last,
            "limit": chart.limit,
        }
        for chart in content.charts
    ]
    filters = [
        {
            "name": each.name,
            "field": each.field,
            "options": [{"label": option.label, "values": option.values} for option in each.options],
        }
        for each in content.filters
    ]
    return json.dumps(
        {"config": CHART_CONFIG, "datasets": stored, "charts": charts, "filters": filters},
        ensure_ascii=False,
        separators=(",", ":"),
        allow_nan=False,
    )


def _columnar(data: Dataset) -> Mapping[str, Any]:
    values = zip(*data.rows, strict=True) if data.rows else ([] for _ in data.columns)
    return {"length": len(data.rows), "columns": dict(zip(data.columns, map(list, values), strict=True))}


def _write_csv(chart: Chart, file: Path) -> None:
    with file.open("w", encoding="utf-8", newline="") as target:
        writer = csv.writer(target)
        writer.writerow(chart.data.columns)
        writer.writerows([safe_cell(value) for value in row] for row in chart.data.rows)
