"""The page Executive: how the business is doing, and what needs attention."""

from collections.abc import Sequence
from typing import Any

from dvd_rental_pipeline.publishing.report_pages.charts import MAX_SERIES, bars, forecast, lines, stacked_bars
from dvd_rental_pipeline.publishing.report_pages.content import (
    Chart,
    ChartColumn,
    Content,
    Dataset,
    Headline,
    Kind,
    PageDeclaration,
    PageSection,
)
from dvd_rental_pipeline.publishing.report_pages.parts import (
    UNCHANGED,
    counted,
    folded,
    merged,
    money,
    month_name,
    period_filter,
    signed,
    store_names,
    with_store_names,
)
from dvd_rental_pipeline.publishing.report_pages.reports import ReportReader

MONTH = ChartColumn("month", "Month", Kind.MONTH)
STORE = ChartColumn("store", "Store")
REVENUE = ChartColumn("revenue", "Revenue ($)", Kind.MONEY)
PAYMENTS = ChartColumn("payments", "Payments", Kind.COUNT)

HEADLINES = {
    "revenue": ("Revenue", 1),
    "rentals": ("Rentals", 1),
    "renting_customers": ("Renting customers", 1),
    "average_payment": ("Average payment", 1),
    "late_rate_pct": ("Returned late", -1),
}
"""By figure: its label, and whether more of it is good (1) or bad (-1)."""

Record = dict[str, Any]


def build(reports: ReportReader) -> Content:
    """Headline figures of the last whole month, revenue with its forecast, stores, money at risk."""
    as_of = reports.as_of()
    stores = store_names(reports)
    trend = reports.read(
        "revenue_trend",
        ["month", "status", "payments", "revenue", "forecast_revenue", "forecast_low", "forecast_high"],
        order="month",
    )
    whole = [record for record in trend.records() if record["status"] == "complete"]
    monthly = with_store_names(
        reports.read(
            "revenue_by_month", ["month", "store_id", "revenue", "payments", "paying_customers"], order="month"
        ),
        stores,
    )
    at_risk = with_store_names(
        reports.read(
            "revenue_at_risk",
            [
                *("store_id", "unpaid_rentals", "unpaid_amount", "overdue_copies", "overdue_cost"),
                *("lost_copies", "lost_cost"),
            ],
            order="store_id",
        ),
        stores,
    )
    headlines = reports.read(
        "headline_figures",
        ["figure", "unit", "figure_value", "change_value", "change_pct", "period_start", "previous_start"],
        where="grain = 'month'",
        order="figure_order",
    )
    running = as_of.date().replace(day=1).isoformat() if as_of else None
    months = sorted({str(record["month"]) for record in monthly.records()})
    return Content(
        as_of=as_of,
        headlines=[*_headlines(headlines), _money_at_risk(at_risk)],
        attention=_attention(whole, monthly, at_risk),
        filters=[period_filter(months, running)],
        sections=[
            PageSection("Revenue", [_trend(trend), _accuracy(reports)]),
            PageSection("Stores side by side", [*_stores(monthly), _comparison(reports)]),
            PageSection("Money at risk", [_at_risk(at_risk)]),
        ],
        limits="Changes compare whole months with the whole month before. Revenue counts on the day of "
        "payment, for the store that owns the copy.",
    )


def _headlines(figures: Dataset) -> list[Headline]:
    headlines = []
    for record in figures.records():
        name = str(record["figure"])
        label, is_good_when = HEADLINES.get(name, ("", 0))
        if label:
            moved = record["change_pct"] if record["unit"] != "percent" else record["change_value"]
            change = shown_change(record["unit"], moved)
            previous = record["previous_start"]
            headlines.append(
                Headline(
                    f"{label} in {month_name(str(record['period_start']))}",
                    _shown(record["unit"], record["figure_value"]),
                    change,
                    f"against {month_name(str(previous))}" if change else "nothing to compare with",
                    _is_good(moved, is_good_when) if change not in ("", UNCHANGED) else None,
                )
            )
    return headlines


def shown_change(unit: Any, moved: Any) -> str:
    """The change of a figure in percent, or of one in percent in points; empty if it is unknown."""
    return signed(moved, "points" if unit == "percent" else "%") if isinstance(moved, int | float) else ""


def _is_good(moved: Any, is_good_when: int) -> bool | None:
    return moved * is_good_when > 0 if is_good_when else None


def _shown(unit: Any, value: Any) -> str:
    if value is None:
        return "none"
    match unit:
        case "dollars":
            return money(float(value))
        case "percent":
            return f"{value:,.1f} %"
        case _:
            return f"{value:,.0f}"


def _money_at_risk(at_risk: Dataset) -> Headline:
    return Headline(
        "Money at risk",
        money(_total(at_risk, "unpaid_amount") + _total(at_risk, "overdue_cost")),
        compared_to="unpaid rentals and overdue copies",
    )


def _attention(whole: Sequence[Record], monthly: Dataset, at_risk: Dataset) -> list[str]:
    if not whole:
        return ["There is no whole month of payments yet: nothing can be compared."]
    last = whole[-1]
    copies, rentals = int(_total(at_risk, "overdue_copies")), int(_total(at_risk, "unpaid_rentals"))
    lost = counted(int(_total(at_risk, "lost_copies")), "copy is", "copies are")
    return [
        _against_last_year(whole),
        _weakest_store(monthly, last["month"]),
        f"{counted(copies, 'copy is', 'copies are')} overdue, worth "
        f"{money(_total(at_risk, 'overdue_cost'))}; {lost} lost, worth {money(_total(at_risk, 'lost_cost'))}; "
        f"{counted(rentals, 'rental is', 'rentals are')} unpaid, at list price "
        f"{money(_total(at_risk, 'unpaid_amount'))}.",
    ]


def _against_last_year(whole: Sequence[Record]) -> str:
    last = whole[-1]
    year, rest = int(last["month"][:4]), last["month"][4:]
    before = next((record for record in whole if record["month"] == f"{year - 1}{rest}"), None)
    name = month_name(last["month"])
    if before is None or not before["revenue"]:
        return f"Revenue in {name} was {money(last['revenue'])}; there is no year before to compare with."
    verb = "above" if last["revenue"] >= before["revenue"] else "below"
    percent = abs(last["revenue"] / before["revenue"] - 1)
    return (
        f"Revenue in {name} was {money(last['revenue'])}, {percent:.1%} {verb} {month_name(before['month'])}."
    )


def _weakest_store(monthly: Dataset, month: str) -> str:
    now = {record["store"]: record["revenue"] for record in monthly.records() if record["month"] == month}
    past = [str(record["month"]) for record in monthly.records() if str(record["month"]) < month]
    before = {
        record["store"]: record["revenue"]
        for record in monthly.records()
        if past and record["month"] == max(past)
    }
    changes = {name: float(now.get(name) or 0) / float(value) - 1 for name, value in before.items() if value}
    if not changes:
        return f"No store can be compared with an earlier month than {month_name(month)}."
    name, percent = min(changes.items(), key=lambda item: item[1])
    falls = [each for each in changes.values() if each < 0]
    if not falls:
        return f"All stores grew in {month_name(month)}; the least was {name} with +{percent:.1%}."
    return (
        f"{len(falls)} of {counted(len(changes), 'store')} lost revenue against the month before; the most was "
        f"{name} with {abs(percent):.1%} less."
    )


def _trend(trend: Dataset) -> Chart:
    expected = ChartColumn("forecast_revenue", "Forecast ($)", Kind.MONEY)
    return Chart(
        "revenue_trend",
        "How does revenue develop, and what is forecast?",
        "Dollars per month.",
        trend,
        [
            *(MONTH, ChartColumn("status", "Status"), REVENUE, expected),
            ChartColumn("forecast_low", "Low ($)", Kind.MONEY),
            ChartColumn("forecast_high", "High ($)", Kind.MONEY),
        ],
        spec=forecast(MONTH, REVENUE, expected, "forecast_low", "forecast_high"),
        note="Hollow: the data do not cover the whole month. The forecast is dashed; the band held 80 % "
        "of what came in the past.",
        is_key=True,
        is_broad=True,
    )


def _accuracy(reports: ReportReader) -> Chart:
    accuracy = reports.read(
        "forecast_accuracy",
        ["method", "months", "error_pct", "bias_pct", "is_used", "note"],
        where="horizon = 1",
        order="error_rank",
    )
    rows = [[*row[:4], "yes" if row[4] else "no", row[5]] for row in accuracy.rows]
    return Chart(
        "forecast_accuracy",
        "How good is the forecast, one month ahead?",
        "Errors on past months that the method did not know, in percent of revenue; the smallest first.",
        Dataset(accuracy.report, accuracy.columns, rows),
        [
            ChartColumn("method", "Method"),
            ChartColumn("months", "Months tested", Kind.COUNT),
            ChartColumn("error_pct", "Error (%)", Kind.PERCENT),
            ChartColumn("bias_pct", "Too high by (%)", Kind.PERCENT),
            ChartColumn("is_used", "In use"),
            ChartColumn("note", "Note"),
        ],
    )


def _comparison(reports: ReportReader) -> Chart:
    stores = reports.read(
        "store_comparison",
        [
            *("store_name", "month", "month_revenue", "growth_pct", "month_rentals", "copies", "lost_copies"),
            *("overdue_copies", "late_rate_pct", "year_revenue", "year_revenue_per_copy"),
        ],
        order="year_revenue desc, store_name",
    )
    return Chart(
        "store_comparison",
        "How do the stores compare?",
        "The last whole month, and the last 365 days.",
        stores,
        [
            ChartColumn("store_name", "Store"),
            ChartColumn("month_revenue", "Revenue of the month ($)", Kind.MONEY),
            ChartColumn("growth_pct", "Growth (%)", Kind.PERCENT),
            ChartColumn("month_rentals", "Rentals", Kind.COUNT),
            ChartColumn("copies", "Copies", Kind.COUNT),
            ChartColumn("lost_copies", "Lost", Kind.COUNT),
            ChartColumn("overdue_copies", "Overdue", Kind.COUNT),
            ChartColumn("late_rate_pct", "Returned late (%)", Kind.PERCENT),
            ChartColumn("year_revenue", "Revenue of 365 days ($)", Kind.MONEY),
            ChartColumn("year_revenue_per_copy", "per copy ($)", Kind.MONEY),
        ],
    )


def _stores(monthly: Dataset) -> list[Chart]:
    few = merged(
        folded(monthly, "store", "revenue", keep=MAX_SERIES, other="All other stores"),
        ["revenue", "payments", "paying_customers"],
    )
    return [
        Chart(
            "revenue_by_store",
            "How much does each store sell?",
            "Dollars.",
            monthly,
            [STORE, REVENUE, PAYMENTS, ChartColumn("average_payment", "Average payment ($)", Kind.MONEY)],
            spec=bars(STORE, REVENUE, [PAYMENTS]),
            group=["store"],
            sums=["revenue", "payments"],
            ratios={"average_payment": ("revenue", "payments", 1.0)},
            filters=["period"],
            order="-revenue",
            limit=20,
        ),
        Chart(
            "revenue_by_store_and_month",
            "Which store grows?",
            "Dollars per month.",
            few,
            [MONTH, STORE, REVENUE, PAYMENTS],
            spec=lines(MONTH, REVENUE, STORE),
            filters=["period"],
            note="The first and the last month may not be whole.",
            is_key=True,
        ),
    ]


def _at_risk(at_risk: Dataset) -> Chart:
    kind, amount = ChartColumn("kind", "What"), ChartColumn("amount", "Amount ($)", Kind.MONEY)
    rows = [
        [record["store"], label, record[field], record[number]]
        for record in at_risk.records()
        for label, field, number in (
            ("Unpaid rentals", "unpaid_amount", "unpaid_rentals"),
            ("Overdue copies", "overdue_cost", "overdue_copies"),
            ("Lost copies", "lost_cost", "lost_copies"),
        )
    ]
    return Chart(
        "money_at_risk",
        "How much money is outstanding?",
        "Dollars per store: rentals at their list price, copies at their replacement cost.",
        Dataset("revenue_at_risk", ["store", "kind", "amount", "number"], rows),
        [STORE, kind, amount, ChartColumn("number", "Number", Kind.COUNT)],
        spec=stacked_bars(STORE, amount, kind),
    )


def _total(data: Dataset, name: str) -> float:
    return float(sum(float(record[name] or 0) for record in data.records()))


EXECUTIVE = PageDeclaration(
    name="executive",
    title="Executive",
    question="How is the business doing, and what needs attention?",
    owner="executives",
    consumer="revenue_review",
    reports=(
        *("headline_figures", "revenue_trend", "forecast_accuracy", "revenue_by_month", "store_comparison"),
        *("revenue_at_risk", "sales_by_store"),
    ),
    build=build,
)
