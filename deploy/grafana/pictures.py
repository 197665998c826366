"""Draws what the panels of the dashboards show: `python deploy/grafana/pictures.py PROMETHEUS RUNS WAREHOUSE`.

The arguments are the URLs of a Prometheus, of Dagster's run storage in PostgreSQL, and of the warehouse there.
Writes docs/grafana/*.svg, one picture per dashboard. Grafana itself is not needed.
"""

import json
import math
import re
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import altair as alt
import psycopg
import vl_convert

FOLDER = Path(__file__).parent
OUTPUT = FOLDER.parents[1] / "docs" / "grafana"
SECONDS = 1200
STEP = 20
SHOWN_SERIES = 8
SHOWN_ROWS = 8
UNITS = {"s": (60, "minutes"), "bytes": (1e6, "MB")}

Point = Mapping[str, Any]


class Sources:
    """The data sources of the dashboards."""

    def __init__(self, prometheus: str, runs: str, warehouse: str) -> None:
        self._prometheus = prometheus.rstrip("/")
        self._databases = {"runs": runs, "warehouse": warehouse}

    def points(self, panel: Mapping[str, Any]) -> list[Point]:
        """What the panel's query returns: `time`, `series` and `value`; of a table, its rows."""
        (target,) = panel["targets"]
        if "expr" in target:
            return self._query_prometheus(target)
        rows = self._query(panel["datasource"]["uid"], target["rawSql"])
        if target["format"] == "table":
            return rows
        return [point for row in rows for point in _unpivot(row)]

    def _query_prometheus(self, target: Mapping[str, Any]) -> list[Point]:
        end = time.time()
        if target.get("instant"):
            path, when = "query", {"time": end}
        else:
            path, when = "query_range", {"start": end - SECONDS, "end": end, "step": STEP}
        parameters = urllib.parse.urlencode({"query": target["expr"], **when})
        address = f"{self._prometheus}/api/v1/{path}?{parameters}"
        with urllib.request.urlopen(address, timeout=30) as response:  # noqa: S310 - the URL of an operator
            result = json.load(response)["data"]["result"]
        return [
            {"time": _iso(at), "series": _legend(target, series["metric"]), "value": float(value)}
            for series in result
            for at, value in series.get("values") or [series["value"]]
        ]

    def _query(self, database: str, sql: str) -> list[Point]:
        with psycopg.connect(self._databases[database]) as connection:
            cursor = connection.execute(sql)  # type: ignore[call-overload]
            names = [column.name for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def draw(board: Mapping[str, Any], sources: Sources) -> alt.VConcatChart:
    """The panels of a dashboard in rows of two; figures stand in one row."""
    stats = [panel for panel in board["panels"] if panel["type"] == "stat"]
    others = [_chart(panel, sources.points(panel)) for panel in board["panels"] if panel["type"] != "stat"]
    rows = [
        alt.hconcat(*others[at : at + 2], spacing=40).resolve_scale(color="independent")
        for at in range(0, len(others), 2)
    ]
    if stats:
        rows.insert(0, alt.hconcat(*(_figure(panel, sources.points(panel)) for panel in stats)))
    title = alt.TitleParams(board["title"], anchor="start", fontSize=16)
    chart = alt.vconcat(*rows, title=title, spacing=24).resolve_scale(color="independent")
    return chart.configure_view(stroke="#cccccc").configure(background="white")


def _figure(panel: Mapping[str, Any], points: list[Point]) -> alt.Chart:
    text = f"{points[0]['value']:g}" if points else "no data"
    mark = alt.Chart(alt.Data(values=[{"text": text}])).mark_text(fontSize=28)
    return mark.encode(text="text:N").properties(width=195, height=50, title=_title(panel))


def _chart(panel: Mapping[str, Any], points: list[Point]) -> alt.Chart:
    if panel["type"] == "table":
        return _table(panel, points)
    if not points:
        nothing = alt.Chart(alt.Data(values=[{"text": "no data"}])).mark_text(fontSize=14).encode(text="text:N")
        return nothing.properties(width=400, height=150, title=_title(panel))
    divisor, unit = UNITS.get(panel["fieldConfig"]["defaults"].get("unit", ""), (1, ""))
    largest: dict[str, float] = {}
    for point in points:
        largest[point["series"]] = max(largest.get(point["series"], -math.inf), point["value"])
    kept = sorted(largest, key=lambda series: (-largest[series], series))[:SHOWN_SERIES]
    values = [{**point, "value": point["value"] / divisor} for point in points if point["series"] in kept]
    columns = 1 if max(map(len, kept)) > 30 else 3
    left_out = len(largest) - len(kept)
    note = [f"The largest {len(kept)} of {len(largest)} series"] if left_out else []
    return (
        alt.Chart(alt.Data(values=values))
        .mark_line(point={"size": 20} if len({point["time"] for point in values}) == 1 else False)
        .encode(
            x=alt.X("time:T", title=None, scale=alt.Scale(type="utc"), axis=alt.Axis(tickCount=6)),
            y=alt.Y("value:Q", title=unit or None, scale=alt.Scale(zero=True)),
            color=alt.Color(
                "series:N",
                title=None,
                sort=kept,
                legend=alt.Legend(orient="bottom", columns=columns, labelLimit=400),
            ),
        )
        .properties(width=400, height=150, title=_title(panel, note))
    )


def _table(panel: Mapping[str, Any], rows: list[Point]) -> alt.Chart:
    shown = [[name.replace("_", " ") for name in rows[0]]] if rows else []
    shown += [[str(value) for value in row.values()] for row in rows[:SHOWN_ROWS]]
    widths = [6 * max(map(len, column)) + 16 for column in zip(*shown, strict=True)]
    cells = [
        {"row": number, "left": sum(widths[:at]), "text": text}
        for number, texts in enumerate(shown)
        for at, text in enumerate(texts)
    ]
    left_out = len(rows) - SHOWN_ROWS
    note = [f"The first {SHOWN_ROWS} of {len(rows)} rows"] if left_out > 0 else []
    width = max(sum(widths), 1)
    return (
        alt.Chart(alt.Data(values=cells))
        .mark_text(align="left", fontSize=10, dx=6)
        .encode(
            x=alt.X("left:Q", axis=None, scale=alt.Scale(domain=[0, width], nice=False)),
            y=alt.Y("row:O", axis=None),
            text="text:N",
            opacity=alt.condition("datum.row == 0", alt.value(0.6), alt.value(1)),
        )
        .properties(width=width, height=150, title=_title(panel, note))
    )


def _title(panel: Mapping[str, Any], note: list[str] | None = None) -> alt.TitleParams:
    return alt.TitleParams(panel["title"], subtitle=note or [], anchor="start", fontSize=12, frame="group")


def _legend(target: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    text = str(target.get("legendFormat", ""))
    for name, value in labels.items():
        text = text.replace(f"{{{{{name}}}}}", value)
    # A series without these labels, as that of vector(0).
    return re.sub(r"\{\{\w+\}\}", "", text).strip(": ") or "none"


def _unpivot(row: Point) -> list[Point]:
    """Points of a row: of its one series if it names it in `metric`, else of one series per column."""
    at = row["time"].isoformat()
    if "metric" in row:
        return [{"time": at, "series": str(row["metric"]), "value": float(row["value"] or 0)}]
    return [
        {"time": at, "series": name, "value": float(value or 0)}
        for name, value in row.items()
        if name != "time"
    ]


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def main() -> None:
    """Write the pictures."""
    sources = Sources(*sys.argv[1:4])
    OUTPUT.mkdir(exist_ok=True)
    for file in sorted((FOLDER / "dashboards").glob("*.json")):
        chart = draw(json.loads(file.read_text(encoding="utf-8")), sources)
        name = file.stem.removeprefix("dvd-rental-")
        svg = vl_convert.vegalite_to_svg(chart.to_json())
        (OUTPUT / f"{name}.svg").write_text(svg + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
