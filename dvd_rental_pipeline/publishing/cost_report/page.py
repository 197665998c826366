"""The page Costs: what each day and each asset costs, and what is saved where nothing has changed."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from dvd_rental_pipeline.publishing.cost_report.cost_history import CostHistory
from dvd_rental_pipeline.publishing.report_pages.charts import BLUE, GREEN, PURPLE, bars, columns
from dvd_rental_pipeline.publishing.report_pages.content import (
    Chart,
    ChartColumn,
    Content,
    Dataset,
    Filter,
    Headline,
    Kind,
    Option,
    Page,
    PageSection,
)

COSTS = Page("costs", "Costs", "What does each asset cost, and what does reuse save?", "data_platform")
MODELS = {"staging", "snapshots", "marts", "reports"}
PARTS = ("Loading", "Models and tests", "Pages", "Overhead")
WEEK = timedelta(days=7)
SHOWN = 20
DAY = ChartColumn("day", "Day")
ASSET = ChartColumn("asset", "Asset")
PART = ChartColumn("part", "Part")
SECONDS = ChartColumn("seconds", "Seconds", Kind.NUMBER)
SAVED = ChartColumn("saved", "Seconds saved", Kind.NUMBER)
BUILDS = ChartColumn("builds", "Times built", Kind.COUNT)
REUSED = ChartColumn("reused", "Times reused", Kind.COUNT)
ROWS = ChartColumn("rows", "Rows of the tables built", Kind.COUNT)
MEGABYTES = ChartColumn("megabytes", "MB loaded or published", Kind.NUMBER)
CREDITS = ChartColumn("credits", "Thousandths of a credit", Kind.NUMBER)

FIELDS = (
    "day",
    "asset",
    "part",
    *(each.field for each in (BUILDS, REUSED, SECONDS, SAVED, ROWS, MEGABYTES, CREDITS)),
)
FILTERS = ("period", "part")
NOT_NEEDED = "Seconds of builds that were not needed."
CHARGED = "Thousandths of a credit."
UNCHARGED = "Without idle time; known after up to eight hours."

Credits = Mapping[tuple[str, str], float]
"""Snowflake's credits by asset and day."""


def build_content(history: CostHistory, charged: Credits | None, now: datetime, unknown: str = "") -> Content:
    """The page on `history`. `charged` is None where no warehouse charges, or where `unknown` says why not."""
    costs = _costs(history, charged or {})
    every = Dataset("", FIELDS, [[cost[name] for name in FIELDS] for cost in costs])
    reuse = Dataset("", FIELDS, [[cost[name] for name in FIELDS] for cost in costs if cost["reused"]])
    return Content(
        as_of=now,
        sections=[
            PageSection("By day", _by_day(every, reuse, charged is not None)),
            PageSection("By asset", _by_asset(every, reuse, charged is not None)),
        ],
        headlines=_headlines(costs, now, charged is not None),
        filters=[
            Filter("period", "Period", "day", [Option("All days", None), *_recent(costs)]),
            Filter(
                "part", "Part", "part", [Option("All parts", None), *(Option(name, [name]) for name in PARTS)]
            ),
        ],
        limits="Of the last 30 days (UTC). Seconds are those in which a step was busy, summed over threads; "
        "checks count for their asset. What is saved is the mean cost of a build for each time that an asset "
        f"was reused. {unknown}".strip(),
    )


def _costs(history: CostHistory, charged: Credits) -> list[dict[str, Any]]:
    """The `FIELDS` of each asset and day."""
    seconds: dict[str, float] = defaultdict(float)
    builds: dict[str, int] = defaultdict(int)
    for cost in history.days:
        seconds[cost.asset] += cost.seconds
        builds[cost.asset] += cost.builds
    costs = {
        (cost.asset, cost.day): {
            **_empty(cost.asset, cost.day),
            "builds": cost.builds,
            "reused": cost.reused,
            "seconds": round(cost.seconds, 2),
            "saved": round(cost.reused * seconds[cost.asset] / max(1, builds[cost.asset]), 2),
            "rows": cost.rows,
            "megabytes": round(cost.bytes / 1e6, 2),
        }
        for cost in history.days
    }
    oldest = min((cost.day for cost in history.days), default="")
    for (asset, day), used in sorted(charged.items()):
        if day >= oldest:
            costs.setdefault((asset, day), _empty(asset, day))["credits"] = round(used * 1000, 2)
    return list(costs.values())


def _empty(asset: str, day: str) -> dict[str, Any]:
    return dict.fromkeys(FIELDS, 0) | {"day": day, "asset": asset, "part": part_of_cost(asset)}


def part_of_cost(asset: str) -> str:
    """The one of `PARTS` to which an asset, or the rest of a step, belongs."""
    loading, models, pages, rest = PARTS
    first, slash, _ = asset.partition("/")
    if not slash:
        return rest
    if first == "site":
        return pages
    return models if first in MODELS else loading


def _headlines(costs: Sequence[Mapping[str, Any]], now: datetime, has_credits: bool) -> list[Headline]:
    since = (now - WEEK).date().isoformat()

    def total(field: str) -> float:
        return float(sum(cost[field] for cost in costs if cost["day"] > since))

    seconds, saved = total("seconds"), total("saved")
    share = f"{saved / (seconds + saved):.0%}" if seconds + saved else "0%"
    return [
        Headline("Work, last 7 days", f"{seconds:,.0f} s"),
        Headline("Saved by reuse", share, compared_to=f"{saved:,.0f} s not spent"),
        Headline("Assets built", f"{total('builds'):,.0f}", compared_to=f"{total('reused'):,.0f} reused"),
        *([Headline("Credits for queries", f"{total('credits') / 1000:,.2f}")] if has_credits else []),
    ]


def _recent(costs: Sequence[Mapping[str, Any]]) -> list[Option]:
    days = sorted({cost["day"] for cost in costs})
    return [
        Option("Last day" if number == 1 else f"Last {number} days", days[-number:])
        for number in (1, 7)
        if len(days) > number
    ]


def _by_day(every: Dataset, reuse: Dataset, has_credits: bool) -> list[Chart]:
    charts = [
        Chart(
            "seconds_by_day",
            "What does a day cost?",
            "Seconds of work.",
            every,
            [DAY, PART, SECONDS, BUILDS],
            spec=columns(DAY, SECONDS, PART, order=PARTS),
            group=["day", "part"],
            sums=["seconds", "builds"],
            filters=FILTERS,
            order="day",
        ),
        _daily("saved_by_day", "What does reuse save?", NOT_NEEDED, reuse, SAVED),
    ]
    if has_credits:
        question = "What does Snowflake charge for the queries of a day?"
        charts.append(_daily("credits_by_day", question, f"{CHARGED} {UNCHARGED}", every, CREDITS))
    return charts


def _daily(name: str, question: str, unit: str, data: Dataset, measure: ChartColumn) -> Chart:
    """The total of `measure` on each day."""
    return Chart(
        name,
        question,
        unit,
        data,
        [DAY, measure],
        spec=columns(DAY, measure),
        group=["day"],
        sums=[measure.field],
        filters=FILTERS,
        order="day",
    )


def _by_asset(every: Dataset, reuse: Dataset, has_credits: bool) -> list[Chart]:
    charts = [
        _largest(
            "seconds_by_asset", "Which assets cost most?", "Seconds of work.", every, SECONDS, count=BUILDS
        )
    ]
    if has_credits:
        question = "Which assets use most credits?"
        charts.append(
            _largest("credits_by_asset", question, CHARGED, every, CREDITS, count=BUILDS, color=PURPLE)
        )
    question = "Where does reuse save most?"
    charts.append(_largest("saved_by_asset", question, NOT_NEEDED, reuse, SAVED, count=REUSED, color=GREEN))
    measures = [BUILDS, REUSED, SECONDS, SAVED, ROWS, MEGABYTES, *([CREDITS] if has_credits else [])]
    charts.append(
        Chart(
            "assets",
            "What does each asset cost?",
            "In the chosen period.",
            every,
            [ASSET, PART, *measures, ChartColumn("seconds_per_build", "Seconds per build", Kind.NUMBER)],
            group=["asset", "part"],
            sums=[measure.field for measure in measures],
            ratios={"seconds_per_build": ("seconds", "builds", 1)},
            filters=FILTERS,
            order="-seconds",
        )
    )
    return charts


def _largest(
    name: str,
    question: str,
    unit: str,
    data: Dataset,
    measure: ChartColumn,
    *,
    count: ChartColumn,
    color: str = BLUE,
) -> Chart:
    """The assets with the largest totals of `measure`; `count` is shown beside it."""
    return Chart(
        name,
        question,
        unit,
        data,
        [ASSET, measure, count],
        spec=bars(ASSET, measure, [count], color=color),
        group=["asset"],
        sums=[measure.field, count.field],
        filters=FILTERS,
        order=f"-{measure.field}",
        limit=SHOWN,
    )
