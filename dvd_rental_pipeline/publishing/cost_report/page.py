"""The page Costs: what each day and each asset costs, and what is saved where nothing has changed."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from dvd_rental_pipeline.publishing.cost_report.cost_history import CostHistory
from dvd_rental_pipeline.publishing.report_pages.charts import GREEN, PURPLE, bars, columns
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
    Value,
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
MEGABYTES = ChartColumn("megabytes", "MB loaded or published", Kind.NUMBER)
CREDITS = ChartColumn("credits", "Thousandths of a credit", Kind.NUMBER)

Credits = Mapping[tuple[str, str], float]
"""Snowflake's credits by asset and day."""


def build_content(history: CostHistory, charged: Credits | None, now: datetime, unknown: str = "") -> Content:
    """The page on `history`. `charged` is None where no warehouse charges, or where `unknown` says why not."""
    rows = _rows(history, charged or {})
    names = ["day", "asset", "part", "builds", "reused", "seconds", "saved", "megabytes", "credits"]
    data = Dataset("", names, rows)
    reuse = Dataset("", names, [row for row in rows if row[4]])
    days = sorted({str(row[0]) for row in rows})
    sections = [
        PageSection("By day", _by_day(data, reuse, charged is not None)),
        PageSection("By asset", _by_asset(data, reuse, charged is not None)),
    ]
    return Content(
        as_of=now,
        sections=sections,
        headlines=_headlines(history, rows, now, charged is not None),
        filters=[
            Filter("period", "Period", "day", [Option("All days", None), *_recent(days)]),
            Filter(
                "part", "Part", "part", [Option("All parts", None), *(Option(name, [name]) for name in PARTS)]
            ),
        ],
        limits="Of the last 30 days (UTC). Seconds are those in which a step was busy, summed over threads; "
        "checks count for their asset. What is saved is the mean cost of a build for "
        f"each time that an asset was reused. {unknown}".strip(),
    )


def _rows(history: CostHistory, charged: Credits) -> list[list[Value]]:
    spent: dict[str, tuple[float, int]] = defaultdict(lambda: (0.0, 0))
    for cost in history.days:
        seconds, builds = spent[cost.asset]
        spent[cost.asset] = seconds + cost.seconds, builds + cost.builds
    rows: list[list[Value]] = []
    listed = set()
    for cost in history.days:
        seconds, builds = spent[cost.asset]
        saved = cost.reused * seconds / builds if builds else 0.0
        listed.add((cost.asset, cost.day))
        rows.append(
            [
                *(cost.day, cost.asset, part_of_cost(cost.asset), cost.builds, cost.reused),
                *(round(cost.seconds, 2), round(saved, 2), round(cost.bytes / 1e6, 2)),
                _thousandths(charged.get((cost.asset, cost.day), 0.0)),
            ]
        )
    oldest = min((cost.day for cost in history.days), default="")
    for (asset, day), used in sorted(charged.items()):
        if (asset, day) not in listed and day >= oldest:
            rows.append([day, asset, part_of_cost(asset), 0, 0, 0.0, 0.0, 0.0, _thousandths(used)])
    return rows


def part_of_cost(asset: str) -> str:
    """The one of `PARTS` to which an asset, or the rest of a step, belongs."""
    loading, models, pages, rest = PARTS
    first, slash, _ = asset.partition("/")
    if not slash:
        return rest
    if first == "site":
        return pages
    return models if first in MODELS else loading


def _thousandths(amount: float) -> float:
    return round(amount * 1000, 2)


def _headlines(
    history: CostHistory, rows: Sequence[Sequence[Value]], now: datetime, has_credits: bool
) -> list[Headline]:
    since = (now - WEEK).date().isoformat()
    recent = [row for row in rows if str(row[0]) > since]
    seconds, saved, charged = (
        sum(value for row in recent if isinstance(value := row[index], int | float)) for index in (5, 6, 8)
    )
    builds = sum(cost.builds for cost in history.days if cost.day > since)
    reused = sum(cost.reused for cost in history.days if cost.day > since)
    share = f"{saved / (seconds + saved):.0%}" if seconds + saved else "0%"
    return [
        Headline("Work, last 7 days", f"{seconds:,.0f} s"),
        Headline("Saved by reuse", share, compared_to=f"{saved:,.0f} s not spent"),
        Headline("Assets built", f"{builds:,}", compared_to=f"{reused:,} reused"),
        *([Headline("Credits for queries", f"{charged / 1000:,.2f}")] if has_credits else []),
    ]


def _recent(days: Sequence[str]) -> list[Option]:
    return [
        Option("Last day" if number == 1 else f"Last {number} days", list(days[-number:]))
        for number in (1, 7)
        if len(days) > number
    ]


def _by_day(data: Dataset, reuse: Dataset, has_credits: bool) -> list[Chart]:
    filters = ["period", "part"]
    charts = [
        Chart(
            "seconds_by_day",
            "What does a day cost?",
            "Seconds of work.",
            data,
            [DAY, PART, SECONDS, BUILDS],
            spec=columns(DAY, SECONDS, PART, order=PARTS),
            group=["day", "part"],
            sums=["seconds", "builds"],
            filters=filters,
            order="day",
            is_key=True,
        ),
        Chart(
            "saved_by_day",
            "What does reuse save?",
            "Seconds of builds that were not needed.",
            reuse,
            [DAY, SAVED, REUSED],
            spec=columns(DAY, SAVED),
            group=["day"],
            sums=["saved", "reused"],
            filters=filters,
            order="day",
        ),
    ]
    if has_credits:
        charts.append(
            Chart(
                "credits_by_day",
                "What does Snowflake charge for the queries of a day?",
                "Thousandths of a credit.",
                data,
                [DAY, CREDITS],
                spec=columns(DAY, CREDITS),
                group=["day"],
                sums=["credits"],
                filters=filters,
                order="day",
                note="Without idle time; known after up to eight hours.",
            )
        )
    return charts


def _by_asset(data: Dataset, reuse: Dataset, has_credits: bool) -> list[Chart]:
    filters = ["period", "part"]
    charts = [
        Chart(
            "seconds_by_asset",
            "Which assets cost most?",
            "Seconds of work.",
            data,
            [ASSET, SECONDS, BUILDS],
            spec=bars(ASSET, SECONDS, [BUILDS]),
            group=["asset"],
            sums=["seconds", "builds"],
            filters=filters,
            order="-seconds",
            limit=SHOWN,
        )
    ]
    if has_credits:
        charts.append(
            Chart(
                "credits_by_asset",
                "Which assets use most credits?",
                "Thousandths of a credit.",
                data,
                [ASSET, CREDITS, BUILDS],
                spec=bars(ASSET, CREDITS, [BUILDS], color=PURPLE),
                group=["asset"],
                sums=["credits", "builds"],
                filters=filters,
                order="-credits",
                limit=SHOWN,
            )
        )
    charts += [
        Chart(
            "saved_by_asset",
            "Where does reuse save most?",
            "Seconds of builds that were not needed.",
            reuse,
            [ASSET, SAVED, REUSED],
            spec=bars(ASSET, SAVED, [REUSED], color=GREEN),
            group=["asset"],
            sums=["saved", "reused"],
            filters=filters,
            order="-saved",
            limit=SHOWN,
        ),
        Chart(
            "assets",
            "What does each asset cost?",
            "In the chosen period.",
            data,
            [
                *(ASSET, PART, BUILDS, REUSED, SECONDS),
                ChartColumn("seconds_per_build", "Seconds per build", Kind.NUMBER),
                *(SAVED, MEGABYTES),
                *([CREDITS] if has_credits else []),
            ],
            group=["asset", "part"],
            sums=["builds", "reused", "seconds", "saved", "megabytes", "credits"],
            ratios={"seconds_per_build": ("seconds", "builds", 1)},
            filters=filters,
            order="-seconds",
            is_broad=True,
        ),
    ]
    return charts
