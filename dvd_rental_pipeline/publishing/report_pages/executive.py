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
    change,
    counted,
    folded,
    merged,
    money,
    month_name,
    period_filter,
    store_names,
    with_store_names,
)
from dvd_rental_pipeline.publishing.report_pages.reports import ReportReader

MONTH = ChartColumn("month", "Month", Kind.MONTH)
STORE = ChartColumn("store", "Store")
REVENUE = ChartColumn("revenue", "Revenue ($)", Kind.MONEY)
PAYMENTS = ChartColumn("payments", "Payments", Kind.COUNT)

Record = dict[str, Any]


def build(reports: ReportReader) -> Content:
    """Headline figures of the last whole month, revenue with its forecast, stores, money at risk."""
    as_of = reports.as_of()
    stores = store_names(reports)
    trend = reports.read(
        "revenue_trend",
        ["month", "status", "payments", "revenue", "forecast_revenue"],
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
            ["store_id", "unpaid_rentals", "unpaid_amount", "overdue_copies", "overdue_cost"],
            order="store_id",
        ),
        stores,
    )
    running = as_of.date().replace(day=1).isoformat() if as_of else None
    months = sorted({str(record["month"]) for record in monthly.records()})
    return Content(
        as_of=as_of,
        headlines=_headlines(whole, at_risk),
        attention=_attention(whole, trend, monthly, at_risk),
        filters=[period_filter(months, running)],
        sections=[
            PageSection("Revenue", [_trend(trend)]),
            PageSection("Stores side by side", _stores(monthly)),
            PageSection("Money at risk", [_at_risk(at_risk)]),
        ],
        limits="Changes compare whole months with the whole month before. Revenue counts on the day of "
        "payment, for the store that owns the copy.",
    )


def _headlines(whole: Sequence[Record], at_risk: Dataset) -> list[Headline]:
    at_stake = _total(at_risk, "unpaid_amount") + _total(at_risk, "overdue_cost")
    headlines = [
        Headline("Money at risk", money(at_stake), compared_to="unpaid rentals and overdue copies"),
    ]
    if not whole:
        return headlines
    last, before = whole[-1], whole[-2] if len(whole) > 1 else None
    compared = f"against {month_name(before['month'])}" if before else "no earlier whole month"

    def compare(label: str, values: tuple[float, float | None], text: str) -> Headline:
        now, past = values
        return Headline(
            label,
            text,
            change(now, past) if past else "",
            compared,
            None if not past or now == past else now > past,
        )

    def average(record: Record) -> float:
        return float(record["revenue"] / record["payments"]) if record["payments"] else 0.0

    name = month_name(last["month"])
    revenue, payments, each = last["revenue"], last["payments"], average(last)
    return [
        compare(f"Revenue in {name}", (revenue, before["revenue"] if before else None), money(revenue)),
        compare(f"Payments in {name}", (payments, before["payments"] if before else None), f"{payments:,}"),
        compare("Average payment", (each, average(before) if before else None), money(each)),
        *headlines,
    ]


def _attention(whole: Sequence[Record], trend: Dataset, monthly: Dataset, at_risk: Dataset) -> list[str]:
    if not whole:
        return ["There is no whole month of payments yet: nothing can be compared."]
    last = whole[-1]
    copies, rentals = int(_total(at_risk, "overdue_copies")), int(_total(at_risk, "unpaid_rentals"))
    return [
        _against_last_year(whole),
        _weakest_store(monthly, last["month"]),
        f"{counted(copies, 'copy is', 'copies are')} overdue, worth "
        f"{money(_total(at_risk, 'overdue_cost'))}, and {counted(rentals, 'rental is', 'rentals are')} unpaid, "
        f"at list price {money(_total(at_risk, 'unpaid_amount'))}.",
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
    return Chart(
        "revenue_trend",
        "How does revenue develop, and what is forecast?",
        "Dollars per month.",
        trend,
        [
            MONTH,
            ChartColumn("status", "Status"),
            REVENUE,
            ChartColumn("forecast_revenue", "Forecast ($)", Kind.MONEY),
            PAYMENTS,
        ],
        spec=forecast(MONTH, REVENUE, ChartColumn("forecast_revenue", "Forecast ($)", Kind.MONEY)),
        is_key=True,
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
            ("Unpaid rentals, at list price", "unpaid_amount", "unpaid_rentals"),
            ("Overdue copies, at replacement cost", "overdue_cost", "overdue_copies"),
        )
    ]
    return Chart(
        "money_at_risk",
        "How much money is outstanding?",
        "Dollars per store.",
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
    reports=("revenue_trend", "revenue_by_month", "revenue_at_risk", "sales_by_store"),
    build=build,
)
