"""The forms of charts, as Vega-Lite specifications.

Plain mappings: importing Altair takes 1.6 s, in every run. The tests validate them against Vega-Lite's schema
with it. Months are in UTC, so that a browser west of Greenwich does not show the month before.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from dvd_rental_pipeline.publishing.report_pages.content import ChartColumn, Kind, Spec

# Distinguishable with any colour vision (after Okabe and Ito), with a contrast of 3:1 on white and on black.
BLUE, VERMILION, GREEN, PURPLE, GREY = "#0072b2", "#d55e00", "#009e73", "#b8699a", "#7b858e"
SERIES = (BLUE, VERMILION, GREEN, PURPLE, GREY)
DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [1, 3])
SYMBOLS = ("circle", "square", "triangle-up", "diamond", "cross")
MAX_SERIES = len(SERIES)

_FORMATS = {
    Kind.COUNT: ",d",
    Kind.NUMBER: ",.2f",
    Kind.MONEY: "$,.2f",
    Kind.PERCENT: ".1f",
}
_AXIS_FORMATS = {Kind.COUNT: "~s", Kind.NUMBER: ",.1~f", Kind.MONEY: "$~s", Kind.PERCENT: ".0f"}
_TIMES = {Kind.MONTH: ("utcyearmonth", "%b %Y"), Kind.DAY: ("utcyearmonthdate", "%d %b %Y")}

_WIDE: Spec = {"width": "container", "autosize": {"type": "fit-x", "contains": "padding"}}

CHART_CONFIG: Mapping[str, Any] = {
    "background": None,
    "font": "system-ui, 'DejaVu Sans', sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titlePadding": 8,
        "labelColor": "#15202b",
        "titleColor": "#5b6771",
        "gridColor": "#d5dbe0",
        "domainColor": "#5b6771",
        "tickColor": "#d5dbe0",
        "labelLimit": 150,
    },
    "legend": {
        "orient": "top",
        "labelFontSize": 12,
        "title": None,
        "symbolStrokeWidth": 2,
        "columns": 3,
        "labelLimit": 240,
    },
    "range": {"category": list(SERIES), "symbol": list(SYMBOLS)},
    "text": {"fontSize": 12, "color": "#15202b"},
}
"""For all charts. In a page, `theme.css` overrides the colours of text and lines in dark mode."""


def lines(x: ChartColumn, y: ChartColumn, series: ChartColumn | None = None, *, height: int = 260) -> Spec:
    """A line with points over time; with `series`, one per value, which differ in colour, dash and symbol."""
    encoding: dict[str, Any] = {"x": time_axis(x), "y": _measure(y), "tooltip": tooltips([x, y])}
    if series is not None:
        encoding |= {
            "color": _series(series),
            "strokeDash": {
                "field": series.field,
                "type": "nominal",
                "scale": {"range": list(DASHES)},
                "title": None,
            },
            "tooltip": tooltips([x, series, y]),
        }
    mark = {"type": "line", "interpolate": "linear", "strokeWidth": 2, "point": {"size": 30}, "color": BLUE}
    return _sized({"mark": mark, "encoding": encoding}, height)


def bars(
    category: ChartColumn, value: ChartColumn, extra: Sequence[ChartColumn] = (), *, color: str = BLUE
) -> Spec:
    """Horizontal bars with their values, in the order of the rows."""
    y = {
        "field": category.field,
        "type": "nominal",
        "sort": None,
        "title": None,
        "axis": {"ticks": False, "domain": False},
    }
    x = _measure(value) | {"title": value.label}
    tooltip = tooltips([category, value, *extra])
    text = {"field": value.field, "type": "quantitative", "format": _FORMATS[value.kind]}
    return {
        **_WIDE,
        "height": {"step": 24},
        # Room for the value beside the longest bar.
        "padding": {"left": 0, "top": 5, "bottom": 5, "right": 72},
        "encoding": {"y": y, "x": x},
        "layer": [
            {"mark": {"type": "bar", "color": color, "cornerRadiusEnd": 2}, "encoding": {"tooltip": tooltip}},
            {
                "mark": {"type": "text", "align": "left", "dx": 4, "clip": False},
                "encoding": {"text": text, "tooltip": tooltip},
            },
        ],
    }


def columns(
    category: ChartColumn,
    value: ChartColumn,
    series: ChartColumn | None = None,
    *,
    order: Sequence[str] = (),
    height: int = 240,
) -> Spec:
    """Vertical bars over an ordered category, such as a number of days; with `series`, stacked in `order`."""
    x: dict[str, Any]
    if category.kind in _TIMES:
        x = time_axis(category)
    else:
        x = {"field": category.field, "type": "ordinal", "sort": None, "title": category.label}
        x["axis"] = {"labelAngle": 0, "labelOverlap": True}
    encoding: dict[str, Any] = {"x": x, "y": _measure(value), "tooltip": tooltips([category, value])}
    if series is not None:
        encoding["color"] = _series(series, order)
        encoding["tooltip"] = tooltips([category, series, value])
    return _sized({"mark": {"type": "bar", "color": BLUE}, "encoding": encoding}, height)


def stacked_bars(
    category: ChartColumn, value: ChartColumn, series: ChartColumn, order: Sequence[str] = ()
) -> Spec:
    """Horizontal bars, one per category, divided by `series` in `order`."""
    return {
        **_WIDE,
        "height": {"step": 26},
        "mark": {"type": "bar"},
        "encoding": {
            "y": {"field": category.field, "type": "nominal", "sort": None, "title": None},
            "x": _measure(value),
            "color": _series(series, order),
            "tooltip": tooltips([category, series, value]),
        },
    }


def heat_map(
    x: ChartColumn, y: ChartColumn, value: ChartColumn, *, middle: float | None = None, step: int = 16
) -> Spec:
    """Tiles coloured by `value`; with `middle`, in two directions from it."""
    scale: dict[str, Any] = (
        {"scheme": "viridis"} if middle is None else {"scheme": "purpleorange", "domainMid": middle}
    )
    across: dict[str, Any] = {
        "field": x.field,
        "type": "ordinal",
        "title": x.label,
        "axis": {"labelOverlap": True},
    }
    if x.kind is Kind.TEXT:
        across["axis"] = {"labelAngle": -45}
    down: dict[str, Any] = {"field": y.field, "type": "ordinal", "title": None}
    if y.kind in _TIMES:
        unit, shown = _TIMES[y.kind]
        down |= {"timeUnit": unit, "axis": {"format": shown, "labelOverlap": True}}
    color = {"field": value.field, "type": "quantitative", "scale": scale, "title": value.label}
    return {
        **_WIDE,
        "height": {"step": step},
        "mark": {"type": "rect"},
        "encoding": {
            "x": across,
            "y": down,
            "color": color | {"legend": {"gradientLength": 160, "title": value.label}},
            "tooltip": tooltips([y, x, value]),
        },
    }


def forecast(x: ChartColumn, actual: ChartColumn, expected: ChartColumn, low: str = "", high: str = "") -> Spec:
    """Actual values as a line, expected ones dashed with the interval from `low` to `high`.

    By the column `status`, "complete" rows are the line, "partial" and "running" ones hollow points, since the
    data do not cover their time, and "forecast" ones have expected values alone.
    """
    axis = {"x": time_axis(x), "tooltip": tooltips([x, actual, expected])}
    y = _measure(actual)
    band = [
        {
            "transform": [{"filter": "datum.status == 'running' || datum.status == 'forecast'"}],
            "mark": {"type": "area", "opacity": 0.2, "color": VERMILION},
            "encoding": {"x": axis["x"], "y": y | {"field": low}, "y2": {"field": high}},
        }
    ]
    point = {"size": 35, "filled": True}
    drawn = [
        {
            "transform": [{"filter": "datum.status == 'complete'"}],
            "mark": {"type": "line", "color": BLUE, "strokeWidth": 2, "point": point | {"color": BLUE}},
            "encoding": axis | {"y": y},
        },
        {
            "transform": [{"filter": "datum.status == 'running' || datum.status == 'partial'"}],
            "mark": {"type": "point", "color": BLUE, "size": 60, "filled": False, "strokeWidth": 2},
            "encoding": axis | {"y": y},
        },
        {
            "transform": [{"filter": "datum.status == 'running' || datum.status == 'forecast'"}],
            "mark": {
                "type": "line",
                "color": VERMILION,
                "strokeWidth": 2,
                "strokeDash": [5, 4],
                "point": point | {"color": VERMILION, "shape": "square"},
            },
            "encoding": axis | {"y": y | {"field": expected.field}},
        },
    ]
    return _sized({"layer": [*(band if low else []), *drawn]}, 300)


def time_axis(column: ChartColumn) -> dict[str, Any]:
    """The horizontal axis of a time."""
    unit, _ = _TIMES[column.kind]
    axis = {"labelOverlap": True, "grid": False, "tickCount": 6}
    return {"field": column.field, "type": "temporal", "timeUnit": unit, "title": None, "axis": axis}


def tooltips(shown: Sequence[ChartColumn]) -> list[dict[str, Any]]:
    """The lines of a tooltip, formatted by kind."""
    fields: list[dict[str, Any]] = []
    for column in shown:
        entry: dict[str, Any] = {"field": column.field, "title": column.label}
        if column.kind in _TIMES:
            unit, form = _TIMES[column.kind]
            entry |= {"type": "temporal", "timeUnit": unit, "format": form}
        elif column.kind is Kind.TEXT:
            entry["type"] = "nominal"
        else:
            entry |= {"type": "quantitative", "format": _FORMATS[column.kind]}
        fields.append(entry)
    return fields


def _series(series: ChartColumn, order: Sequence[str] = ()) -> dict[str, Any]:
    scale: dict[str, Any] = {"range": list(SERIES)}
    if order:
        scale["domain"] = list(order)
    return {"field": series.field, "type": "nominal", "scale": scale, "title": None}


def _measure(column: ChartColumn) -> dict[str, Any]:
    axis = {"format": _AXIS_FORMATS[column.kind], "tickCount": 5}
    return {"field": column.field, "type": "quantitative", "title": column.label, "axis": axis}


def _sized(spec: Mapping[str, Any], height: int) -> Spec:
    return {"width": "container", "height": height, "autosize": {"type": "fit", "contains": "padding"}, **spec}
