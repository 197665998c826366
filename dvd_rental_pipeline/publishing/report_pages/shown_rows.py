"""The rows that a chart shows before a reader has used a filter, as report.js selects them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from dvd_rental_pipeline.publishing.report_pages.content import Chart, Filter, Value

Row = dict[str, Any]


def shown_rows(chart: Chart, filters: Sequence[Filter]) -> list[Row]:
    """The rows of `chart` under the first option of each of the page's `filters` that applies to it."""
    rows: list[Row] = [dict(record) for record in chart.data.records()]
    for each in filters:
        kept = each.options[0].values
        if each.name in chart.filters and kept is not None:
            rows = [row for row in rows if row[each.field] in kept]
    if chart.group:
        rows = _summed(chart, rows)
    if chart.order:
        name = chart.order.removeprefix("-")
        rows.sort(key=lambda row: (row[name] is not None, row[name]), reverse=chart.order.startswith("-"))
        rows.sort(key=lambda row: chart.last != "" and chart.last in row.values())
    return rows[: chart.limit]


def _summed(chart: Chart, rows: Sequence[Mapping[str, Any]]) -> list[Row]:
    groups: dict[tuple[Value, ...], Row] = {}
    for row in rows:
        key = tuple(row[name] for name in chart.group)
        group = groups.setdefault(
            key, {**dict(zip(chart.group, key, strict=True)), **dict.fromkeys(chart.sums, 0)}
        )
        for name in chart.sums:
            group[name] += row[name] or 0
    for group in groups.values():
        for name in chart.sums:
            group[name] = _rounded(group[name])
        for name, (above, below, factor) in chart.ratios.items():
            group[name] = _rounded(group[above] / group[below] * factor) if group[below] else None
    return list(groups.values())


def _rounded(value: float) -> float:
    """`value` with two digits; halves go up, as with JavaScript's Math.round."""
    return math.floor(value * 100 + 0.5) / 100
